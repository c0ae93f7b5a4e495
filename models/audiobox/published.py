"""Reads weights of Audiobox Aesthetics in their publisher's layout (CC-BY-4.0, WavLM's part MIT).

https://github.com/facebookresearch/audiobox-aesthetics. Two files are published:
``model.safetensors``, with a ``config.json`` that holds the statistics of the ratings, and
``checkpoint.pt``, with the same statistics in it and ``model.`` before the names of the tensors.
Sizes are read from the tensors.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from musiczoo.hub.published import Published
from musiczoo.hub.registry import entry
from musiczoo.hub.tensors import (
    count_layers,
    read_safetensors,
    read_torch_file,
    shape_of,
    tensor_table,
)
from musiczoo.hub.transfer import fetch_file
from musiczoo.models.audiobox.config import AudioboxConfig
from musiczoo.models.audiobox.convolutions import TRANSFORM
from musiczoo.models.audiobox.net import AXES, STRIDES
from musiczoo.music.errors import MusicZooError

NAME = "audiobox-aesthetics"
CONFIG = "config.json"
# WavLM's names in fairseq, as published, and the same in transformers.
_RENAMED = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^mask_emb$", "masked_spec_embed"),
        (r"^post_extract_proj\.", "feature_projection.projection."),
        (r"^layer_norm\.", "feature_projection.layer_norm."),
        (r"^(feature_extractor\.conv_layers\.\d+)\.0\.", r"\1.conv."),
        (r"^(feature_extractor\.conv_layers\.0)\.2\.", r"\1.layer_norm."),
        (r"^encoder\.pos_conv\.0\.bias$", "encoder.pos_conv_embed.conv.bias"),
        (
            r"^encoder\.pos_conv\.0\.weight_g$",
            "encoder.pos_conv_embed.conv.parametrizations.weight.original0",
        ),
        (
            r"^encoder\.pos_conv\.0\.weight_v$",
            "encoder.pos_conv_embed.conv.parametrizations.weight.original1",
        ),
        (r"\.self_attn_layer_norm\.", ".layer_norm."),
        (r"\.self_attn\.grep_linear\.", ".attention.gru_rel_pos_linear."),
        (r"\.self_attn\.grep_a$", ".attention.gru_rel_pos_const"),
        (r"\.self_attn\.relative_attention_bias\.", ".attention.rel_attn_embed."),
        (r"\.self_attn\.", ".attention."),
        (r"\.fc1\.", ".feed_forward.intermediate_dense."),
        (r"\.fc2\.", ".feed_forward.output_dense."),
    )
)
_PREFIX = "model."
_WAVLM = "wavlm_model."
# Settings that a configuration may hold, and what the net does.
_FIXED = {"normalize_embed": True, "use_weighted_layer_sum": True, "output_dim": 1}


def read_published(path: str | Path, config: str | Path | None = None) -> Published:
    """The sizes and tensors of a published file.

    Args:
        path: ``model.safetensors`` or ``checkpoint.pt``.
        config: The ``config.json`` of a safetensors file; the one beside it when None.

    Returns:
        With the tensors by the names that :class:`musiczoo.models.audiobox.net.AudioboxNet` gives
        them, and the setting ``targets``: mean and standard deviation of each axis' ratings.

    Raises:
        MusicZooError: A file is missing, damaged or of another model, or the statistics of the
            ratings are missing.
    """
    path = Path(path)
    if path.suffix in {".pt", ".pth", ".ckpt"}:
        content = read_torch_file(path)
        stored = tensor_table(content, "state_dict" if "state_dict" in content else "model", path)
        settings, source = {**_table(content, "model_cfg"), **content}, path
    else:
        stored = read_safetensors([path])
        source = _config_file(path, config)
        settings = _read_json(source)
    _check_settings({**settings, **_table(settings, "model_cfg")}, source)
    tensors = {renamed(name.removeprefix(_PREFIX)): value for name, value in stored.items()}
    targets = _targets(settings, source)
    return Published(config_of(tensors, path), tensors, settings={"targets": targets})


def renamed(name: str) -> str:
    """A published name of a tensor as our net has it; a name that is not WavLM's stays."""
    if not name.startswith(_WAVLM):
        return name
    name = name.removeprefix(_WAVLM)
    for pattern, replacement in _RENAMED:
        name = pattern.sub(replacement, name)
    return _WAVLM + name


def config_of(tensors: Mapping[str, Tensor], path: Path) -> AudioboxConfig:
    """Reads the sizes from tensors with our names.

    Raises:
        MusicZooError: A tensor that a size is read from is missing or has the wrong number of axes,
            or the sizes contradict each other.
    """
    wavlm = f"{_WAVLM}encoder"
    convolution = f"{_WAVLM}feature_extractor.conv_layers"
    kernels = [
        shape_of(tensors, f"{convolution}.{index}.conv.weight", 3, path)
        for index in range(len(STRIDES))
    ]
    hidden, grouped, kernel = shape_of(
        tensors, f"{wavlm}.pos_conv_embed.conv.parametrizations.weight.original1", 3, path
    )
    buckets, heads = shape_of(tensors, f"{wavlm}.layers.0.attention.rel_attn_embed.weight", 2, path)
    widths = [shape[2] for shape in kernels]
    if not {2, 3}.issuperset(widths[1:]) or kernel >= TRANSFORM:
        raise MusicZooError(
            f"Convolutions of {', '.join(map(str, widths))} and {kernel} inputs are not WavLM's.",
            path=path,
            remedy="The file is damaged or of another architecture.",
        )
    if grouped == 0 or hidden % grouped or heads == 0 or hidden % heads:
        raise MusicZooError(
            f"A width of {hidden} has no groups of {grouped} and no {heads} heads.",
            path=path,
            remedy="The file is damaged or of another architecture.",
        )
    return AudioboxConfig(
        layers=count_layers(tensors, f"{wavlm}.layers."),
        hidden=hidden,
        heads=heads,
        feed_forward=shape_of(
            tensors, f"{wavlm}.layers.0.feed_forward.intermediate_dense.weight", 2, path
        )[0],
        channels=kernels[0][0],
        kernels=tuple(widths),
        position_kernel=kernel,
        position_groups=hidden // grouped,
        buckets=buckets,
        depth=len(
            [
                name
                for name in tensors
                if re.fullmatch(rf"proj_layer\.{AXES[0]}\.\d+\.weight", name)
                and tensors[name].ndim == 2
            ]
        ),
    )


def _config_file(path: Path, config: str | Path | None) -> Path:
    """The file with the statistics: named, beside the weights, or from where these came."""
    found = Path(config) if config is not None else path.with_name(CONFIG)
    row = entry(NAME)
    if (
        config is None
        and not found.is_file()
        and row.repository is not None
        and path.parent.name == row.revision
    ):
        # The Hub's cache has a folder for each commit; weights that a user keeps anywhere else need
        # their own file.
        return fetch_file(row.repository, CONFIG, row.revision)
    return found


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise MusicZooError(
            f"The statistics of the ratings cannot be read ({error.strerror or error}).",
            path=path,
            remedy=f"Put the publisher's {CONFIG} beside the weights, or name it: config=PATH.",
        ) from error
    except ValueError as error:
        raise MusicZooError(
            f"This is no JSON file ({error}).",
            path=path,
            remedy=f"Get the publisher's {CONFIG} again.",
        ) from error
    if not isinstance(content, dict):
        raise MusicZooError(
            f"The file holds a {type(content).__name__}, not settings.",
            path=path,
            remedy=f"Get the publisher's {CONFIG}.",
        )
    return content


def _table(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = content.get(key)
    return found if isinstance(found, Mapping) else {}


def _targets(content: Mapping[str, Any], path: Path) -> dict[str, tuple[float, float]]:
    table = _table(content, "target_transform")
    targets = {}
    for axis in AXES:
        row = _table(table, axis)
        try:
            mean, deviation = float(row["mean"]), float(row["std"])
        except (KeyError, TypeError, ValueError) as error:
            raise MusicZooError(
                "The file does not hold mean and standard deviation of the ratings.",
                path=path,
                where=f"target_transform, {axis}",
                remedy=f"Give the publisher's {CONFIG}.",
            ) from error
        if not (math.isfinite(mean) and math.isfinite(deviation)):
            raise MusicZooError(
                "Mean and standard deviation must be numbers.",
                path=path,
                where=f"target_transform, {axis}",
            )
        targets[axis] = (mean, deviation)
    return targets


def _check_settings(settings: Mapping[str, Any], path: Path) -> None:
    for name, value in _FIXED.items():
        if name in settings and settings[name] != value:
            raise MusicZooError(
                f"Models with {name} = {settings[name]} are not known here.",
                path=path,
                where=name,
                remedy=f"It must be {value}.",
            )
