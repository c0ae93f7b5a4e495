"""Reads weights in transformers' layout: SMART's base model, and any Phi-3 over REMI tokens.

A folder holds ``config.json``, ``model.safetensors`` (or shards, or ``pytorch_model.bin``) and, of
MidiTok, ``tokenizer.json``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from musiczoo.hub.published import Published
from musiczoo.hub.tensors import count_layers, read_safetensors, read_torch_file, shape_of
from musiczoo.models.causal_lm.published import read_config
from musiczoo.models.phi3_remi.config import Phi3RemiConfig
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.remi import Remi


def read_published(path: str | Path) -> Published:
    """The sizes and tensors of a Phi-3, and its tokens where the folder holds a tokenizer.

    Sizes are read from the tensors; what these do not state (heads, positions, rotary base) from
    ``config.json``.

    Args:
        path: The folder, or a weights file in it.

    Raises:
        MusicZooError: Something is missing, damaged, or of another architecture.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    tensors = _tensors(path)
    config = _sizes(tensors, _config(folder), path)
    if config.tied:
        tensors.pop("lm_head.weight", None)
    tokens = Remi.from_file(folder) if (folder / "tokenizer.json").is_file() else None
    return Published(config, tensors, tokens)


def _tensors(path: Path) -> dict[str, Tensor]:
    in_folder = sorted(path.glob("model*.safetensors")) or sorted(path.glob("pytorch_model*.bin"))
    files = in_folder if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise MusicZooError(
            "There are no weights.",
            path=path,
            remedy=(
                "Give a folder with model.safetensors, or a weights file in transformers' layout."
            ),
        )
    if files[0].suffix == ".safetensors":
        return read_safetensors(files)
    tensors: dict[str, Tensor] = {}
    for file in files:
        content = read_torch_file(file)
        if not all(isinstance(value, Tensor) for value in content.values()):
            raise MusicZooError(
                "The file holds more than tensors.",
                path=file,
                remedy="Give the publisher's weights file.",
            )
        tensors.update(content)
    return tensors


def _config(folder: Path) -> dict[str, Any]:
    found = read_config(folder)
    if (kind := found.get("model_type")) != "phi3":
        raise MusicZooError(
            f"The configuration is of a {kind}, not of a phi3.",
            path=folder / "config.json",
            remedy="Give a Phi-3's.",
        )
    return found


def _sizes(tensors: dict[str, Tensor], found: dict[str, Any], path: Path) -> Phi3RemiConfig:
    vocabulary, hidden = shape_of(tensors, "model.embed_tokens.weight", 2, path)
    layers = count_layers(tensors, "model.layers.")
    inner = shape_of(tensors, "model.layers.0.mlp.down_proj.weight", 2, path)[1]
    try:
        heads = int(found["num_attention_heads"])
        rope = found.get("rope_parameters") or found.get("rope_scaling") or {}
        if (rope.get("rope_type") or rope.get("type") or "default") != "default":
            raise MusicZooError(
                "The rotary positions are scaled.",
                where="rope_parameters",
                path=path,
                remedy="Only plain ones are known.",
            )
        if found.get("hidden_act", "silu") != "silu":
            raise MusicZooError(
                f"The activation is {found['hidden_act']}, not silu.", where="hidden_act", path=path
            )
        # Within its window, a model that sees no further back than the window sees everything.
        positions = min(
            int(found.get("max_position_embeddings", 4096)),
            int(found.get("sliding_window") or 1 << 30),
        )
        return Phi3RemiConfig(
            layers=layers,
            hidden=hidden,
            heads=heads,
            intermediate=inner,
            vocabulary=vocabulary,
            positions=positions,
            key_value_heads=int(found.get("num_key_value_heads") or heads),
            rope_theta=float(rope.get("rope_theta") or found.get("rope_theta") or 10_000.0),
            rotary=float(
                rope.get("partial_rotary_factor") or found.get("partial_rotary_factor") or 1.0
            ),
            tied=bool(found.get("tie_word_embeddings", False)),
            norm_eps=float(found.get("rms_norm_eps", 1e-5)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MusicZooError(
            f"The configuration does not state the sizes: {error}",
            path=path,
            remedy="Give the publisher's.",
        ) from error
