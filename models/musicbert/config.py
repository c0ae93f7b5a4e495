"""Sizes of MusicBERT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from musiczoo.models.base.config import HeadsByWidth, ModelConfig


@dataclass(frozen=True)
class MusicBertConfig(HeadsByWidth, ModelConfig):
    """Sizes; the defaults are those of the published MusicBERT-small.

    Attributes:
        layers: Layers of the encoder.
        hidden: Width.
        intermediate: Width of the feed-forward layers; 0 means four times ``hidden``.
        positions: Rows of the table of positions, of which the first two are not used (fairseq
            begins with its number of the padding, 1, plus 1).
        dropout: Of hidden states and attention.
        heads: Attention heads; 0 means hidden / 64.
    """

    dropouts: ClassVar[tuple[str, ...]] = ("dropout",)

    layers: int = 4
    hidden: int = 512
    intermediate: int = 0
    positions: int = 8194
    dropout: float = 0.1
    heads: int = 0

    @property
    def feed_forward(self) -> int:
        """Width of the feed-forward layers."""
        return self.intermediate or 4 * self.hidden


#: The published sizes, and those that the published code defines besides.
SIZES = {
    "small": MusicBertConfig(),
    "base": MusicBertConfig(layers=12, hidden=768),
    "medium": MusicBertConfig(layers=8),
    "large": MusicBertConfig(layers=24, hidden=1024),
    "mini": MusicBertConfig(hidden=256),
    "tiny": MusicBertConfig(layers=2, hidden=128),
}
