"""Reads weights of M3 in their publisher's layout (https://github.com/sanderwood/clamp2, MIT)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from musiczoo.hub.published import Published
from musiczoo.hub.tensors import count_layers, drop_tied, read_torch_file, shape_of, tensor_table
from musiczoo.models.m3.config import M3Config
from musiczoo.models.m3.module import M3Module
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.m3_patches import VOCABULARY, M3Patches

# Buffers that old versions of transformers stored beside the weights.
_BUFFER = re.compile(r"\.(position_ids|attn\.bias|attn\.masked_bias)$")
# The decoder's output layer, which is its character embedding.
_TIED = "decoder.base.lm_head.weight"


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of M3, CLaMP 2 or CLaMP 3, still on the disk.

    Training state is left aside.

    Raises:
        MusicZooError: The file cannot be read.
    """
    return {
        name: value
        for name, value in tensor_table(read_torch_file(path), "model", path).items()
        if not _BUFFER.search(name)
    }


def encoder_sizes(tensors: Mapping[str, Tensor], prefix: str, path: Path) -> dict[str, int]:
    """The sizes of an M3 encoder, as :class:`M3Config` names them, read from its tensors.

    Args:
        tensors: Of a file.
        prefix: What the names of the encoder's tensors begin with, such as ``"music_model"``.
        path: Of the file, for messages.

    Raises:
        MusicZooError: A tensor that a size is read from is missing or misshapen.
    """
    hidden, flat = shape_of(tensors, f"{prefix}.patch_embedding.weight", 2, path)
    return {
        "layers": count_layers(tensors, f"{prefix}.base.encoder.layer."),
        "hidden": hidden,
        "patch_size": flat // VOCABULARY,
        "patch_length": shape_of(
            tensors, f"{prefix}.base.embeddings.position_embeddings.weight", 2, path
        )[0],
    }


def read_published(path: str | Path) -> Published:
    """The sizes and tensors of a published M3, encoder and decoder.

    Args:
        path: The file; its tensors are under ``"model"``.

    Raises:
        MusicZooError: The file cannot be used, or is of another model.
    """
    path = Path(path)
    tensors = read_weights(path)
    if any(name.startswith(("music_model.", "symbolic_model.")) for name in tensors):
        raise MusicZooError(
            "This is a file of CLaMP 2 or CLaMP 3.",
            path=path,
            remedy='Write load("clamp2", ...) or load("clamp3", ...).',
        )
    sizes = encoder_sizes(tensors, "encoder", path)
    embedding = "decoder.base.transformer.wte.weight"
    drop_tied(tensors, _TIED, embedding, path, "The file is no M3.")
    config = M3Config(**sizes, decoder_layers=count_layers(tensors, "decoder.base.transformer.h."))
    # It was trained without lines that hold L:1/8 alone.
    return Published(config, tensors, M3Patches(config.patch_size, config.patch_length, True))


def open_m3(path: str | Path, strip_unit_length: bool = True, **settings: Any) -> M3Module:
    """A module with the weights of a published M3, in eval mode.

    Args:
        path: The file.
        strip_unit_length: Leave out lines that hold ``L:1/8`` alone, as M3 was trained.
        settings: Of :class:`M3Module`, such as ``dropout=0.0``.

    Raises:
        MusicZooError: The file cannot be used; missing, surplus and misshapen tensors are named.
    """
    return M3Module(pretrained=str(path), strip_unit_length=strip_unit_length, **settings).eval()
