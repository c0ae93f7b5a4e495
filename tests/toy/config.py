"""Sizes of the toy net."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from musiczoo.models.base.config import ModelConfig


@dataclass(frozen=True)
class ToyConfig(ModelConfig):
    """Sizes.

    Attributes:
        hidden: Width.
        positions: Longest sequence in tokens.
        dropout: Of the embedded tokens.
    """

    dropouts: ClassVar[tuple[str, ...]] = ("dropout",)

    hidden: int = 16
    positions: int = 48
    dropout: float = 0.0
