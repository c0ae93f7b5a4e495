"""Windows of notes as octuples: random ones for training, fixed ones for validation."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from musiczoo.datamodules.resumable import Draw
from musiczoo.datamodules.token_cache import TokenisedPiece
from musiczoo.representations.octuple import DRUMS, FIELDS, window_ids

_PROGRAM, _PITCH = FIELDS.index("program"), FIELDS.index("pitch")


def notes_of(piece: TokenisedPiece) -> NDArray[np.int64]:
    """(notes, 8) values of a piece whose tokens are octuples."""
    return piece.tokens.reshape(-1, len(FIELDS)).astype(np.int64)


class OctupleCrops:
    """A random window of each piece, drawn again in each epoch, its bars shifted.

    MusicBERT is pre-trained on windows of 1,000 notes whose first one begins at random (published
    code); here each epoch has one window a piece. What is drawn follows from the seed, the epoch
    and the piece's id alone.

    Args:
        pieces: The pieces, their tokens octuples.
        max_length: Rows of an item at most, ``<s>`` and ``</s>`` included.
        transpose: Semitones by which pitched notes are moved at most, within MIDI's range.
        seed: Of all draws.
    """

    def __init__(
        self,
        pieces: Sequence[TokenisedPiece],
        max_length: int,
        *,
        transpose: int = 0,
        seed: int = 0,
    ) -> None:
        self.pieces = pieces
        self.notes = max_length - 2
        self.transpose = transpose
        self.seed = seed
        self.names = [piece.id for piece in pieces]
        counts = [len(piece.tokens) // len(FIELDS) for piece in pieces]
        self.lengths = [min(count, self.notes) + 2 for count in counts]

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, draw: Draw) -> torch.Tensor:
        """(rows, 8) int64."""
        piece = self.pieces[draw.index]
        rng = random.Random(f"{self.seed}:{draw.epoch}:{piece.id}")
        notes = notes_of(piece)
        start = rng.randint(0, max(0, len(notes) - self.notes))
        return window_ids(self._moved(notes[start : start + self.notes], rng), rng)

    def _moved(self, notes: NDArray[np.int64], rng: random.Random) -> NDArray[np.int64]:
        pitched = notes[:, _PROGRAM] != DRUMS
        if not self.transpose or not pitched.any():
            return notes
        pitches = notes[pitched, _PITCH]
        down = min(self.transpose, int(pitches.min()))
        up = min(self.transpose, 127 - int(pitches.max()))
        notes[pitched, _PITCH] += rng.randint(-down, up)
        # A chord stays in order, and so do other programs of its moment.
        return notes


class OctupleWindows:
    """Each piece from its first note to its last, in windows that are the same each time.

    Args:
        pieces: The pieces, their tokens octuples.
        max_length: Rows of an item at most.
    """

    def __init__(self, pieces: Sequence[TokenisedPiece], max_length: int) -> None:
        self.pieces = pieces
        self.notes = max_length - 2
        counts = [len(piece.tokens) // len(FIELDS) for piece in pieces]
        self.places = [
            (index, start)
            for index, count in enumerate(counts)
            for start in range(0, count, self.notes)
        ]
        self.names = [f"{pieces[index].id}@{start}" for index, start in self.places]
        self.lengths = [min(counts[index] - start, self.notes) + 2 for index, start in self.places]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, draw: Draw) -> torch.Tensor:
        """(rows, 8) int64."""
        index, start = self.places[draw.index]
        return window_ids(notes_of(self.pieces[index])[start : start + self.notes])
