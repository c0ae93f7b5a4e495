"""Parts of tokenised pieces as items: random ones for training, fixed ones for validation."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch

from musiczoo.datamodules.resumable import Draw
from musiczoo.datamodules.token_cache import TokenisedPiece
from musiczoo.datamodules.token_shifts import TokenShifts


class TokenCrops:
    """A random part of each piece, drawn again in each epoch.

    These are the "random crops" of SMART (arXiv 2504.16839, section 3.1).

    The part and the shifts follow from the seed, the epoch and the piece's id alone, so neither the
    number of worker processes, nor the order of pieces, nor a resumed run changes them. BOS and EOS
    stay where the piece has them, so a part from its middle has neither.

    Args:
        pieces: The pieces.
        max_length: Longest part in tokens.
        shifts: Varies each part; None leaves all as they are.
        seed: Of all draws.
    """

    def __init__(
        self,
        pieces: Sequence[TokenisedPiece],
        max_length: int,
        *,
        shifts: TokenShifts | None = None,
        seed: int = 0,
    ) -> None:
        self.pieces = pieces
        self.max_length = max_length
        self.shifts = shifts
        self.seed = seed
        self.names = [piece.id for piece in pieces]
        self.lengths = [min(len(piece.tokens), max_length) for piece in pieces]

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, draw: Draw) -> torch.Tensor:
        """(tokens,) int64."""
        piece = self.pieces[draw.index]
        rng = random.Random(f"{self.seed}:{draw.epoch}:{piece.id}")
        start = rng.randint(0, max(0, len(piece.tokens) - self.max_length))
        ids = piece.tokens[start : start + self.max_length].astype(np.int64)
        if self.shifts:
            ids = self.shifts(ids, rng, int(piece.tokens[start - 1]) if start else -1)
        return torch.from_numpy(ids)


class TokenWindows:
    """Each piece from its first token to its last in windows that share one token.

    A window's first token is the last of the one before, so that every token of a piece but the
    first is a target exactly once. The windows are the same each time.

    Args:
        pieces: The pieces.
        max_length: Longest window in tokens, at least 2.
    """

    def __init__(self, pieces: Sequence[TokenisedPiece], max_length: int) -> None:
        self.pieces = pieces
        self.max_length = max_length
        self.places = [
            (index, start)
            for index, piece in enumerate(pieces)
            for start in range(0, len(piece.tokens) - 1, max_length - 1)
        ]
        self.names = [f"{pieces[index].id}@{start}" for index, start in self.places]
        self.lengths = [
            min(len(pieces[index].tokens) - start, max_length) for index, start in self.places
        ]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, draw: Draw) -> torch.Tensor:
        """(tokens,) int64."""
        index, start = self.places[draw.index]
        return torch.from_numpy(
            self.pieces[index].tokens[start : start + self.max_length].astype(np.int64)
        )
