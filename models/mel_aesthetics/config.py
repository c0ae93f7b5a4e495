"""Sizes of MelAesthetics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from musiczoo.models.base.config import ModelConfig
from musiczoo.music.errors import MusicZooError


@dataclass(frozen=True)
class MelAestheticsConfig(ModelConfig):
    """Sizes of the net.

    Attributes:
        mels: Bands of the spectrogram, a multiple of 16.
        channels: Channels of the first convolution; the others have up to three times as many.
        width: Features of each moment.
        layers: Layers over time.
        heads: Attention heads of each.
        dropout: Of the features of each moment, and of the clip.
    """

    dropouts: ClassVar[tuple[str, ...]] = ("dropout",)

    mels: int = 96
    channels: int = 8
    width: int = 80
    layers: int = 3
    heads: int = 4
    dropout: float = 0.1

    def __post_init__(self) -> None:
        fits = (
            self.mels > 0
            and self.mels % 16 == 0
            and min(self.channels, self.width, self.heads) > 0
            and self.width % self.heads == 0
        )
        if not fits or self.layers < 0 or not 0 <= self.dropout < 1:
            raise MusicZooError(
                f"These sizes make no net: {self}.",
                remedy="The bands are a multiple of 16, and the width is one of the heads.",
            )
