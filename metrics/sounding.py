"""The notes that sound in a piece, as arrays, for measures of performed music."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from symusic.core import ScoreTick

Measure = TypeVar("Measure")


@dataclass(frozen=True)
class Sounding:
    """The notes of a piece, in the order of its tracks.

    Attributes:
        resolution: Ticks of a quarter note.
        start: (n,) int64 ticks.
        end: (n,) int64 ticks, not before ``start``.
        pitch: (n,) int64, 0 to 127.
        velocity: (n,) int64, 0 to 127.
        drum: (n,) bool: the note is of the drum kit, where the pitch names an instrument.
        last_control: Tick of the last controller of a track with notes; 0 without any.
    """

    resolution: int
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    pitch: NDArray[np.int64]
    velocity: NDArray[np.int64]
    drum: NDArray[np.bool_]
    last_control: int

    @property
    def count(self) -> int:
        """Number of notes."""
        return len(self.start)

    def only(self, kept: NDArray[np.bool_]) -> Sounding:
        """The notes for which ``kept``, (n,) bool, is true."""
        return replace(
            self,
            start=self.start[kept],
            end=self.end[kept],
            pitch=self.pitch[kept],
            velocity=self.velocity[kept],
            drum=self.drum[kept],
        )


def sounding(piece: ScoreTick | Tune) -> Sounding:
    r"""The notes of a piece: those of a score on its own ticks.

    A tune is played first, its repeats too.

    Raises:
        MusicZooError: A tune with music code that cannot be read, or an object that is no piece.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> sounding(read_abc("L:1/4\nK:C\nCE|\n")).pitch.tolist()
        [60, 64]
    """
    if isinstance(piece, Tune):
        from musiczoo.music.midi.from_tune import to_score

        score = to_score(piece)
    else:
        score = piece
    if not hasattr(score, "ticks_per_quarter") or not hasattr(score, "tracks"):
        raise MusicZooError(
            f"A {type(piece).__name__} is no piece of music.",
            remedy="Give a symusic Score in ticks, or a Tune.",
        )
    tracks = [track for track in score.tracks if len(track.notes)]
    arrays = [track.notes.numpy() for track in tracks]

    def column(name: str) -> NDArray[np.int64]:
        # symusic's ticks are 32 bits wide, pitches 8: sums would run over.
        return np.concatenate(
            [np.zeros(0, dtype=np.int64), *(array[name] for array in arrays)]
        ).astype(np.int64, copy=False)

    start = column("time")
    return Sounding(
        int(score.ticks_per_quarter),
        start,
        start + np.maximum(column("duration"), 0),
        column("pitch"),
        column("velocity"),
        np.repeat(
            [bool(track.is_drum) for track in tracks], [len(array["time"]) for array in arrays]
        ).astype(bool),
        max(
            (int(track.controls.numpy()["time"].max()) for track in tracks if len(track.controls)),
            default=0,
        ),
    )


def music_of(
    piece: ScoreTick | Tune | Generated, measure: Callable[[ScoreTick | Tune], Measure]
) -> Measure | None:
    """The measure of a piece.

    It is None for a result of generation that is no piece, or has music code that cannot be read.

    Args:
        piece: A score, a tune, or a result of generation.
        measure: Takes a score or a tune.

    Raises:
        MusicZooError: A tune, given as such, with music code that cannot be read.
    """
    if not isinstance(piece, Generated):
        return measure(piece)
    try:
        return None if piece.piece is None else measure(piece.piece)
    except MusicZooError:
        # A generated text need not be music.
        return None
