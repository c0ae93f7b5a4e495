"""Sizes of the REMI Phi-3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from musiczoo.models.causal_lm.config import DecoderConfig

SMART_VOCABULARY = 413


@dataclass(frozen=True)
class Phi3RemiConfig(DecoderConfig):
    """Sizes of the decoder.

    The defaults are those of SMART's base model (arXiv 2504.16839, section 3.1, and its authors'
    scripts).

    Attributes:
        layers: "Our model has 4 layers".
        hidden: "and a hidden size of 512".
        heads: "with 8 attention heads".
        intermediate: Width of the feed-forward layers: 2048 in the authors' sibling scripts.
        vocabulary: Tokens; 0 for those of the representation, or SMART's 413 for a net alone.
        positions: Longest sequence. All others are described by :class:`DecoderConfig`.
    """

    shown_as: ClassVar[str] = "Phi-3"

    layers: int = 4
    hidden: int = 512
    heads: int = 8
    intermediate: int = 2048
    positions: int = 4096
