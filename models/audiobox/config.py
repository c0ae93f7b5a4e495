"""Sizes of Audiobox Aesthetics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from musiczoo.models.base.config import ModelConfig


@dataclass(frozen=True)
class AudioboxConfig(ModelConfig):
    """Sizes of a net; the defaults are the published ones.

    Attributes:
        layers: Layers of the encoder.
        hidden: Its width.
        heads: Attention heads.
        feed_forward: Width of the feed-forward layers.
        channels: Channels of the convolutions.
        kernels: Widths of the convolutions, in inputs of each.
        position_kernel: Width of the positional convolution, in frames.
        position_groups: Its groups.
        buckets: Rows of the table of relative positions.
        depth: Linear layers of each axis' network.
    """

    layers: int = 12
    hidden: int = 768
    heads: int = 12
    feed_forward: int = 3072
    channels: int = 512
    kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    position_kernel: int = 128
    position_groups: int = 16
    buckets: int = 320
    depth: int = 5

    def __post_init__(self) -> None:
        # From JSON it comes as a list.
        object.__setattr__(self, "kernels", tuple(self.kernels))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**super().to_dict(), "kernels": list(self.kernels)}
