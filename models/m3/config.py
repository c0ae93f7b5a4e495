"""Sizes of M3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from musiczoo.models.base.config import HeadsByWidth, ModelConfig


@dataclass(frozen=True)
class M3Config(HeadsByWidth, ModelConfig):
    """Sizes of encoder and decoder; the defaults are those of the published M3.

    Attributes:
        layers: Layers of the encoder.
        decoder_layers: Layers of the decoder.
        hidden: Width of both.
        patch_size: Characters a patch, the decoder's positions.
        patch_length: Patches of context (learned positions).
        dropout: Dropout of hidden states and attention.
        heads: Attention heads; 0 means hidden / 64.
    """

    dropouts: ClassVar[tuple[str, ...]] = ("dropout",)

    layers: int = 12
    decoder_layers: int = 3
    hidden: int = 768
    patch_size: int = 64
    patch_length: int = 512
    dropout: float = 0.1
    heads: int = 0
