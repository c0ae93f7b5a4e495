"""What every representation offers to models and datamodules."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar

import torch

Piece = TypeVar("Piece")


class Representation(Protocol[Piece]):
    """Turns pieces into tensors and back.

    Stored in a checkpoint by its configuration, so that a model never guesses it.
    """

    def encode(
        self, piece: Piece, *, max_length: int | None = None, rng: random.Random | None = None
    ) -> torch.Tensor:
        """The piece as a tensor whose first axis is time, at most ``max_length`` long; ``rng`` chooses which part of a longer piece."""
        ...

    def decode(self, encoded: torch.Tensor) -> Piece:
        """The piece that a tensor of :meth:`encode`, or a generated one, stands for."""
        ...

    def collate(self, encoded: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Encoded pieces of different lengths as one padded batch, with the key ``lengths`` of shape (batch,)."""
        ...

    def to_config(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        ...

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The representation with the settings of :meth:`to_config`."""
        ...
