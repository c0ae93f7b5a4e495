"""Piano rolls of the beginnings of pieces, and the mean roll of many pieces.

SMART (arXiv 2504.16839, figure 6) shows the mean over a thousand pieces of the first sixteen beats:
a model that has lost its variety has distinct patterns there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from musiczoo.metrics.sounding import music_of, sounding
from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from symusic.core import ScoreTick

BEATS = 16
"""Quarter notes of a roll: SMART's figure shows the first sixteen."""

STEPS_PER_BEAT = 4


def piano_roll(
    piece: ScoreTick | Tune, *, beats: int = BEATS, resolution: int = STEPS_PER_BEAT
) -> NDArray[np.bool_]:
    """The beginning of a piece as a piano roll, without drums.

    Args:
        piece: A score in ticks, or a tune.
        beats: Length of the roll in quarter notes, whatever the length of the piece.
        resolution: Steps of a quarter note.

    Returns:
        (128, beats * resolution): whether the pitch sounds in any part of the step.

    Raises:
        MusicZooError: A roll without steps, or a tune with music code that cannot be read.
    """
    steps = roll_steps(beats, resolution)
    notes = sounding(piece)
    first = notes.start * resolution // notes.resolution
    kept = ~notes.drum & (first >= 0) & (first < steps)
    notes, first = notes.only(kept), first[kept]
    last = np.minimum(np.maximum(first + 1, -(-notes.end * resolution // notes.resolution)), steps)
    # +1 where a note begins, -1 where it has ended; a pitch sounds where the sum is above 0.
    changes = np.zeros((128, steps + 1), dtype=np.int32)
    np.add.at(changes, (notes.pitch, first), 1)
    np.add.at(changes, (notes.pitch, last), -1)
    return np.cumsum(changes[:, :steps], axis=1) > 0


def onset_roll(
    piece: ScoreTick | Tune, *, beats: int = BEATS, resolution: int = STEPS_PER_BEAT
) -> NDArray[np.bool_]:
    """The onsets of pitch classes in the beginning of a piece, without drums.

    Unlike a piano roll it has no octaves and no durations, so that a line in another setting has
    the same roll.

    Args:
        piece: A score in ticks, or a tune.
        beats: Length of the roll in quarter notes, whatever the length of the piece.
        resolution: Steps of a quarter note.

    Returns:
        (12, beats * resolution): whether the pitch class begins at the step, each onset at its
        nearest step.

    Raises:
        MusicZooError: A roll without steps, or a tune with music code that cannot be read.
    """
    steps = roll_steps(beats, resolution)
    notes = sounding(piece)
    step = (2 * notes.start * resolution + notes.resolution) // (2 * notes.resolution)
    kept = ~notes.drum & (step >= 0) & (step < steps)
    roll = np.zeros((12, steps), dtype=bool)
    roll[notes.pitch[kept] % 12, step[kept]] = True
    return roll


def roll_steps(beats: int, resolution: int) -> int:
    """The number of steps of a roll.

    Args:
        beats: Quarter notes.
        resolution: Steps of a quarter note.

    Raises:
        MusicZooError: It is 0.
    """
    if beats < 1 or resolution < 1:
        raise MusicZooError(
            f"A roll cannot have {beats} beats of {resolution} steps.",
            remedy="Give beats and resolution of 1 or more.",
        )
    return beats * resolution


class MeanPianoRoll(Metric):
    r"""The part of the pieces in which a pitch sounds, for each step of the beginning.

    Drums do not count. Results of generation that are no pieces are left out and counted in
    ``skipped``; pieces without notes count as silence.

    Args:
        beats: Length of the roll in quarter notes.
        resolution: Steps of a quarter note.
        settings: Of :class:`torchmetrics.Metric`.

    Raises:
        MusicZooError: A roll without steps.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> metric = MeanPianoRoll(beats=2, resolution=1)
        >>> metric.update([read_abc("L:1/4\nK:C\nCD|\n"), read_abc("L:1/4\nK:C\nCC|\n")])
        >>> metric.compute()[60], metric.compute()[62]
        (tensor([1.0000, 0.5000]), tensor([0.0000, 0.5000]))
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    counts: Tensor
    pieces: Tensor
    skipped: Tensor

    def __init__(
        self, beats: int = BEATS, resolution: int = STEPS_PER_BEAT, **settings: Any
    ) -> None:
        super().__init__(**settings)
        steps = roll_steps(beats, resolution)
        self.beats = beats
        self.resolution = resolution
        self.add_state("counts", torch.zeros(128, steps, dtype=torch.int64), dist_reduce_fx="sum")
        for name in ("pieces", "skipped"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, pieces: Iterable[ScoreTick | Tune | Generated]) -> None:
        """Adds pieces: scores, tunes, or results of generation.

        Raises:
            MusicZooError: A tune with music code that cannot be read.
        """
        for piece in pieces:
            roll = music_of(
                piece, lambda music: piano_roll(music, beats=self.beats, resolution=self.resolution)
            )
            if roll is None:
                self.skipped += 1
            else:
                self.counts += torch.from_numpy(roll).to(self.counts)
                self.pieces += 1

    def compute(self) -> Tensor:
        """(128, beats * resolution), 0 to 1; NaN before the first piece."""
        return self.counts / self.pieces
