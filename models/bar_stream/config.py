"""Sizes of the bar-stream patch decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from musiczoo.models.base.config import HeadsByWidth, ModelConfig


@dataclass(frozen=True)
class BarStreamConfig(HeadsByWidth, ModelConfig):
    """Sizes of the two decoders.

    Attributes:
        patch_layers: Layers of the patch decoder.
        char_layers: Layers of the character decoder.
        hidden: Width of both.
        patch_size: Characters a patch.
        patch_length: Patches of context (learned positions).
        dropout: Dropout of residuals, embeddings and attention.
        heads: Attention heads of both decoders; 0 means NotaGen's rule, hidden / 64.
    """

    dropouts: ClassVar[tuple[str, ...]] = ("dropout",)

    patch_layers: int = 12
    char_layers: int = 3
    hidden: int = 768
    patch_size: int = 16
    patch_length: int = 2048
    dropout: float = 0.1
    heads: int = 0


# Wang et al. 2025, section 4.1 gives the large model; small and medium are the published files of
# the authors' repository.
SIZES = {
    "small": BarStreamConfig(patch_layers=12, char_layers=3, hidden=768, patch_length=2048),
    "medium": BarStreamConfig(patch_layers=16, char_layers=3, hidden=1024, patch_length=2048),
    "large": BarStreamConfig(patch_layers=20, char_layers=6, hidden=1280, patch_length=1024),
}
