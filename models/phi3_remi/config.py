"""Sizes of the REMI Phi-3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from musiczoo.models.base.config import ModelConfig
from musiczoo.music.errors import MusicZooError

SMART_VOCABULARY = 413


@dataclass(frozen=True)
class Phi3RemiConfig(ModelConfig):
    """Sizes of the decoder.

    The defaults are those of SMART's base model (arXiv 2504.16839, section 3.1, and its authors'
    scripts).

    Attributes:
        layers: "Our model has 4 layers".
        hidden: "and a hidden size of 512".
        heads: "with 8 attention heads".
        intermediate: Width of the feed-forward layers: 2048 in the authors' sibling scripts.
        vocabulary: Tokens; 0 for those of the representation, or SMART's 413 for a net alone.
        positions: Longest sequence.
        key_value_heads: Heads of keys and values; 0 for as many as ``heads``.
        rope_theta: Base of the rotary positions.
        rotary: Part of each head that turns.
        tied: Whether the output layer is the embedding.
        norm_eps: Of the norms.
        dropout: Of what attention and feed-forward layers add.
        attention_dropout: Of the attention weights.
    """

    dropouts: ClassVar[tuple[str, ...]] = ("dropout", "attention_dropout")

    layers: int = 4
    hidden: int = 512
    heads: int = 8
    intermediate: int = 2048
    vocabulary: int = 0
    positions: int = 4096
    key_value_heads: int = 0
    rope_theta: float = 10_000.0
    rotary: float = 1.0
    tied: bool = False
    norm_eps: float = 1e-5
    dropout: float = 0.0
    attention_dropout: float = 0.0

    def __post_init__(self) -> None:
        sizes = (
            self.layers,
            self.hidden,
            self.heads,
            self.intermediate,
            self.positions,
        )
        if min(sizes) < 1 or self.hidden % (2 * self.heads) or self.heads % self.kv_heads:
            raise MusicZooError(
                f"A Phi-3 with {self.hidden} values in {self.heads} heads ({self.kv_heads} of keys)"
                " cannot be built.",
                remedy=(
                    "The width must be an even multiple of the heads, and the heads one of those of"
                    " keys and values."
                ),
            )

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.key_value_heads or self.heads
