"""Ticks as seconds and back, by a score's tempos, in double precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from symusic.core import ScoreTick

_DEFAULT_QUARTER = 500_000  # microseconds: 120 quarter notes a minute, of the standard


class TempoMap:
    """The times of a score's ticks.

    symusic's ``Score.to("second")`` computes in single precision, which is some milliseconds off
    after a few minutes.

    Args:
        score: The piece, in ticks.

    Raises:
        MusicZooError: A tempo of no length.

    Example:
        >>> from symusic.core import ScoreTick, TempoTick
        >>> score = ScoreTick(480)
        >>> score.tempos.extend([TempoTick(0, 120.0), TempoTick(960, 60.0)])
        >>> times = TempoMap(score)
        >>> times.seconds([480, 960, 1440]).tolist(), times.tick(2.0)
        ([0.5, 1.0, 2.0], 1440.0)
    """

    def __init__(self, score: ScoreTick) -> None:
        resolution = int(score.ticks_per_quarter)
        changes = {0: _DEFAULT_QUARTER}
        # Of several tempos at one tick the last holds; those before the beginning hold at it.
        for tempo in sorted(score.tempos, key=lambda one: int(one.time)):
            changes[max(int(tempo.time), 0)] = int(tempo.mspq)
        if min(changes.values()) <= 0:
            raise MusicZooError("The score has a tempo of no length.", where="its tempos")
        ticks = sorted(changes)
        self._ticks = np.array(ticks, np.float64)
        self._per_tick = np.array([changes[tick] for tick in ticks]) / (1e6 * resolution)
        spans = np.diff(self._ticks) * self._per_tick[:-1]
        self._seconds = np.concatenate([[0.0], np.cumsum(spans)])

    def seconds(self, ticks: ArrayLike) -> NDArray[np.float64]:
        """The time of each tick, in seconds from tick 0, of the same shape."""
        places = np.asarray(ticks, np.float64)
        row = np.searchsorted(self._ticks, places, side="right") - 1
        row = np.maximum(row, 0)
        found: NDArray[np.float64] = (
            self._seconds[row] + (places - self._ticks[row]) * self._per_tick[row]
        )
        return found

    def tick(self, seconds: float) -> float:
        """The tick of a time, with its fraction."""
        row = max(int(np.searchsorted(self._seconds, seconds, side="right")) - 1, 0)
        return float(self._ticks[row] + (seconds - self._seconds[row]) / self._per_tick[row])
