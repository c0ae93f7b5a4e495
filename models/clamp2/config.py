"""Sizes of CLaMP 2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from transformers import XLMRobertaConfig

from musiczoo.models.base.config import ModelConfig
from musiczoo.models.m3.config import M3Config

# The entries of a configuration of transformers that are sizes of a text encoder.
_TEXT_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
    "layer_norm_eps",
    "pad_token_id",
)


def text_sizes(config: XLMRobertaConfig) -> dict[str, Any]:
    """The sizes of a text encoder as plain numbers, by transformers' names."""
    return {name: getattr(config, name) for name in _TEXT_SIZES}


@dataclass(frozen=True)
class Clamp2Config(ModelConfig):
    """Sizes; the defaults are those of the published models.

    Attributes:
        layers: Layers of the music encoder.
        hidden: Its width.
        patch_size: Characters a patch.
        patch_length: Patches of context (learned positions).
        dropout: Dropout of hidden states and attention.
        heads: Attention heads of the music encoder; 0 means hidden / 64.
        dim: Width of the space that music and text share.
        text: Sizes of the text encoder (:func:`text_sizes`); None leaves the half for text out.
    """

    dropouts: ClassVar[tuple[str, ...]] = ("dropout",)

    layers: int = 12
    hidden: int = 768
    patch_size: int = 64
    patch_length: int = 512
    dropout: float = 0.1
    heads: int = 0
    dim: int = 768
    text: Mapping[str, Any] | None = field(default=None)

    @property
    def encoder(self) -> M3Config:
        """Sizes of the music encoder."""
        return M3Config.from_dict(self.to_dict())
