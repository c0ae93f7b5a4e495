"""Reads MusicBERT's checkpoints (fairseq; https://github.com/microsoft/muzic, MIT)."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from musiczoo.hub.foreign_objects import read_with_foreign_objects, setting_of
from musiczoo.hub.published import Published
from musiczoo.hub.tensors import count_layers, shape_of, tensor_table
from musiczoo.models.musicbert.config import MusicBertConfig
from musiczoo.representations.octuple import OctupleMidi

# Where versions of fairseq keep the parts of the encoder, and what one of them calls a norm.
_PREFIXES = (
    "encoder.sentence_encoder.",
    "decoder.sentence_encoder.",
    "sentence_encoder.",
    "encoder.",
    "decoder.",
)
_RENAMED = {"layernorm_embedding.": "emb_layer_norm."}


def read_published(path: str | Path) -> Published:
    """The sizes and tensors of a published MusicBERT; heads of fine-tuning are left aside.

    Args:
        path: The file; its tensors are under ``"model"``. The settings that fairseq stored beside
            them give the number of attention heads (hidden / 64 where they do not).

    Raises:
        MusicZooError: The file cannot be used, or is of another model.
    """
    path = Path(path)
    content = read_with_foreign_objects(path)
    tensors: dict[str, Tensor] = {}
    for name, value in tensor_table(content, "model", path).items():
        if not name.startswith("classification_heads."):
            tensors[_short(name)] = value
    heads = setting_of(content, "encoder_attention_heads")
    config = MusicBertConfig(
        layers=count_layers(tensors, "layers."),
        hidden=shape_of(tensors, "embed_tokens.weight", 2, path)[1],
        intermediate=shape_of(tensors, "layers.0.fc1.weight", 2, path)[0],
        positions=shape_of(tensors, "embed_positions.weight", 2, path)[0],
        heads=heads if isinstance(heads, int) else 0,
    )
    return Published(config, tensors, OctupleMidi())


def _short(name: str) -> str:
    prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
    short = name.removeprefix(prefix)
    for old, new in _RENAMED.items():
        short = new + short.removeprefix(old) if short.startswith(old) else short
    return short
