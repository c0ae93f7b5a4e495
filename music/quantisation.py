"""Times of performed or sequenced notes brought onto the bars and beats of notation.

Every beat of every track gets its own subdivision. Scores whose times all lie on some subdivision
were written by a notation program or by :func:`musiczoo.music.midi.to_score` and keep their times;
in others each beat gets the subdivision with the best balance of closeness and simplicity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from symusic.core import ScoreTick

MAX_BARS = 10_000
#: Gain in mean distance (in beats) that pays for one more subdivision of a beat.
SUBDIVISION_COST = 0.004
#: Subdivisions tried on scores whose times are exact.
EXACT_SUBDIVISIONS = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    12,
    14,
    15,
    16,
    18,
    20,
    24,
    28,
    32,
    36,
    40,
    48,
    64,
)
#: The finest subdivision that counts as exact where none of these meets all times of a beat.
FINEST_EXACT = 96


@dataclass(frozen=True, slots=True)
class MeterBar:
    """One bar: its start and length in quarter notes, and the meter it is written in."""

    start: Fraction
    length: Fraction
    meter: tuple[int, int]

    @property
    def beat(self) -> Fraction:
        """Length of a beat: three units in compound meters, else at most a quarter note."""
        above, below = self.meter
        if above % 3 == 0 and above > 3 and below >= 8:
            return Fraction(12, below)
        return min(Fraction(1), Fraction(4, below))


def meter_bars(signatures: Sequence[tuple[Fraction, int, int]], end: Fraction) -> list[MeterBar]:
    """The bars from 0 to ``end`` under time signatures.

    A signature that changes inside a bar cuts that bar short; the short bar gets a meter of its own
    length, so that every bar is full. A short first bar that lasts exactly one bar of its signature
    is a pickup and gets the meter that follows.

    Args:
        signatures: (time in quarter notes, numerator, denominator), sorted.
        end: Where the last note ends; at least one bar is made.

    Raises:
        MusicZooError: More bars than any piece has.
    """
    usable = [
        (_snapped(time), above, below)
        for time, above, below in signatures
        if 0 < above <= 64 and below in (1, 2, 4, 8, 16, 32, 64)
    ]
    changes: dict[Fraction, tuple[int, int]] = {Fraction(0): (4, 4)}
    changes.update({time: (above, below) for time, above, below in usable})
    times = sorted(changes)
    bars: list[MeterBar] = []
    for index, start in enumerate(times):
        meter = changes[start]
        nominal = Fraction(4 * meter[0], meter[1])
        stop = times[index + 1] if index + 1 < len(times) else None
        limit = (
            max(end, start + (nominal if index == 0 else 0))
            if stop is None
            else min(stop, max(end, Fraction(0)))
        )
        if (limit - start) / nominal > MAX_BARS:
            raise MusicZooError(
                f"The piece would have more than {MAX_BARS} bars.",
                remedy="Check the times of its events and its time signatures.",
            )
        position = start
        while position < limit:
            length = nominal if stop is None else min(nominal, stop - position)
            bars.append(
                MeterBar(
                    position,
                    length,
                    meter if length == nominal else _meter_of_length(length, meter[1]),
                )
            )
            position += length
    if (
        len(bars) > 1
        and bars[0].length < bars[1].length
        and len(times) > 1
        and times[1] == bars[1].start
    ):
        bars[0] = MeterBar(bars[0].start, bars[0].length, bars[1].meter)
    return bars


def score_bars(score: ScoreTick, end: Fraction) -> list[MeterBar]:
    """The bars from 0 to ``end`` under a score's time signatures.

    Args:
        score: The piece, in ticks.
        end: In quarter notes.

    Raises:
        MusicZooError: More bars than any piece has.
    """
    resolution = int(score.ticks_per_quarter)
    signatures = sorted(
        (Fraction(int(item.time), resolution), int(item.numerator), int(item.denominator))
        for item in score.time_signatures
    )
    return meter_bars(signatures, end)


def _snapped(time: Fraction) -> Fraction:
    return Fraction(round(time * 16), 16)


def _meter_of_length(length: Fraction, below: int) -> tuple[int, int]:
    whole = length / 4
    below = max(below, whole.denominator)
    return int(whole * below), below


def _tolerance(subdivision: int) -> float:
    """Ticks by which a time may miss a subdivision.

    Coarse ones allow for rounding (septuplets in 480 ticks); fine ones are near to any time.
    """
    return 0.51 if subdivision <= 16 else 1e-6


class BeatGrid:
    """The beats of a piece, and the quantisation of one track's times onto them.

    Args:
        bars: From :func:`meter_bars`.
        ticks_per_quarter: Resolution of the times.
    """

    def __init__(self, bars: Sequence[MeterBar], ticks_per_quarter: int) -> None:
        self._starts: list[Fraction] = []
        self._lengths: list[Fraction] = []
        self._beats: list[Fraction] = []
        for bar in bars:
            position = Fraction(0)
            while position < bar.length:
                self._starts.append(bar.start + position)
                self._lengths.append(min(bar.beat, bar.length - position))
                self._beats.append(bar.beat)
                position += bar.beat
        self._ticks_per_quarter = ticks_per_quarter
        self._start_ticks = np.array([float(start * ticks_per_quarter) for start in self._starts])
        self._beat_ticks = np.array([float(beat * ticks_per_quarter) for beat in self._beats])

    def is_exact(self, times: NDArray[np.int64]) -> bool:
        """Whether (nearly) all times lie on a subdivision that is coarse beside the resolution."""
        if not len(times):
            return True
        cells, inside = self._locate(times)
        hits = np.zeros(len(times), dtype=bool)
        for subdivision in EXACT_SUBDIVISIONS:
            if subdivision <= 8 or 4 * subdivision <= self._ticks_per_quarter:
                hits |= self._distance(inside, subdivision) * self._beat_ticks[cells] < _tolerance(
                    subdivision
                )
        hits |= self._denominators(times) <= FINEST_EXACT
        return float(hits.mean()) >= 0.98

    def _denominators(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        denominators: NDArray[np.int64] = self._ticks_per_quarter // np.gcd(
            times, self._ticks_per_quarter
        )
        return denominators

    def quantise(
        self, times: NDArray[np.int64], grid: Sequence[int], *, exact: bool
    ) -> tuple[list[Fraction], list[Fraction]]:
        """Bring times onto the grid.

        Args:
            times: Ticks.
            grid: Subdivisions of the beat to choose from.
            exact: Prefer in each beat the coarsest of :data:`EXACT_SUBDIVISIONS` that meets every
                time in it; where none does, keep the times that are simple fractions of a quarter
                as they are.

        Returns:
            The times in quarter notes, and for each the step of the grid it lies on.
        """
        if not len(times):
            return [], []
        cells, inside = self._locate(times)
        used, cell_of_time = np.unique(cells, return_inverse=True)
        counts = np.bincount(cell_of_time)
        choices = sorted({*grid, *(EXACT_SUBDIVISIONS if exact else ())})
        cost = np.empty((len(choices), len(used)))
        for row, subdivision in enumerate(choices):
            distance = self._distance(inside, subdivision)
            if subdivision in grid:
                cost[row] = (
                    np.bincount(cell_of_time, distance) / counts + SUBDIVISION_COST * subdivision
                )
            else:
                cost[row] = np.inf
            if exact:
                worst = np.zeros(len(used))
                np.maximum.at(worst, cell_of_time, distance * self._beat_ticks[cells])
                cost[row] = np.where(worst < _tolerance(subdivision), -1.0 / subdivision, cost[row])
        chosen = np.array(choices)[np.argmin(cost, axis=0)][cell_of_time]
        numerators = np.rint(inside * chosen).astype(int)
        places, steps = [], []
        met = cost.min(axis=0)[cell_of_time] < 0
        kept = exact & ~met & (self._denominators(times) <= FINEST_EXACT)
        for time, cell, subdivision, numerator, keep in zip(
            times.tolist(),
            cells.tolist(),
            chosen.tolist(),
            numerators.tolist(),
            kept.tolist(),
            strict=True,
        ):
            step = self._beats[cell] / subdivision
            place = (
                Fraction(time, self._ticks_per_quarter)
                if keep
                else self._starts[cell] + min(numerator * step, self._lengths[cell])
            )
            places.append(place)
            steps.append(step)
        return places, steps

    def _locate(self, times: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The beat in which each time lies, and how far in it, in beats."""
        cells = np.clip(np.searchsorted(self._start_ticks, times + 1e-6, side="right") - 1, 0, None)
        return cells, (times - self._start_ticks[cells]) / self._beat_ticks[cells]

    @staticmethod
    def _distance(inside: NDArray[np.float64], subdivision: int) -> NDArray[np.float64]:
        scaled = inside * subdivision
        distance: NDArray[np.float64] = np.abs(scaled - np.rint(scaled)) / subdivision
        return distance
