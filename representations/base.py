"""What every representation offers to models and datamodules."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

Piece = TypeVar("Piece")


@runtime_checkable
class Representation(Protocol[Piece]):
    """Turns pieces into tensors and back; one *step* is what its first axis counts.

    A checkpoint stores its representation by :meth:`to_config`, so that a model never guesses it.
    Those of the zoo inherit this class; so does one of your own, or it has all of these members.

    Attributes:
        max_length: Steps of a piece at most, where the context of a model limits them.
        vocabulary: The names of the tokens in the order of their ids; empty where a step is not one
            token of a vocabulary.
    """

    max_length: int | None = None
    vocabulary: tuple[str, ...] = ()

    def encode(
        self, piece: Piece, *, max_length: int | None = None, rng: random.Random | None = None
    ) -> Tensor:
        """The piece as a tensor.

        Args:
            piece: The piece.
            max_length: Steps at most; None for :attr:`max_length`.
            rng: Chooses the part of a longer piece; None keeps its beginning.

        Returns:
            Shape (steps, ...), of an integer type.

        Raises:
            MusicZooError: The piece cannot be represented.
        """
        ...

    def decode(self, encoded: Tensor) -> Piece:
        """The piece of a tensor that :meth:`encode` or a model gave, shape (steps, ...).

        Raises:
            MusicZooError: The tensor does not hold a piece.
        """
        ...

    def collate(self, encoded: Sequence[Tensor]) -> dict[str, Tensor]:
        """Encoded pieces of different lengths as one padded batch.

        Returns:
            The pieces under a name of the representation's own, shape (batch, longest, ...), and
            ``lengths``, the steps of each, shape (batch,), int64.
        """
        ...

    def to_config(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        ...

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The representation with the settings of :meth:`to_config`."""
        return cls(**config)


def padded(encoded: Sequence[Tensor], name: str) -> dict[str, Tensor]:
    """Pieces of different lengths as one batch, zero after the end of each.

    Args:
        encoded: Pieces of shape (steps, ...), of one type.
        name: What the batch calls them.

    Returns:
        ``name``, shape (batch, longest, ...), of the pieces' type, and ``lengths``, shape (batch,),
        int64.
    """
    lengths = torch.tensor([len(piece) for piece in encoded])
    # (steps, ...) of each piece -> (batch, longest, ...)
    return {name: pad_sequence(list(encoded), batch_first=True), "lengths": lengths}
