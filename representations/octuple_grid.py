"""The grid of OctupleMIDI: positions, what holds at each of them, and bar lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from musiczoo.representations.octuple_codes import GRID, Codes, bar_length


def positions(ticks: ArrayLike, ticks_per_quarter: int) -> Codes:
    """The nearest position of each tick, 16 a quarter note; a tick in the middle goes to the even.

    >>> positions([0, 15, 45, 480], 480).tolist()
    [0, 0, 2, 16]
    """
    exact = np.asarray(ticks, np.float64) * GRID / ticks_per_quarter
    return np.rint(exact).astype(np.int64)


@dataclass(frozen=True)
class Timeline:
    """Values such as tempos, each of which holds until the next.

    Attributes:
        starts: The position from which each holds, ascending from 0, (values,).
        values: (values,).

    Example:
        >>> tempos = Timeline.of([(960, 90.0), (960, 80.0)], 480, default=120.0)
        >>> tempos.at(np.array([31, 32])).tolist()
        [120.0, 80.0]
    """

    starts: Codes
    values: NDArray[Any]

    @classmethod
    def of(
        cls, events: Iterable[tuple[int, float]], ticks_per_quarter: int, default: float
    ) -> Timeline:
        """The timeline of events (tick, value) in any order.

        Of several at one position the last one holds, and before the first one the default.
        """
        ordered = sorted(events, key=lambda event: event[0])
        starts = positions([tick for tick, _ in ordered], ticks_per_quarter)
        found = {0: default}
        for start, (_, value) in zip(np.maximum(starts, 0).tolist(), ordered, strict=True):
            found[start] = value
        return cls(np.array(list(found)), np.array(list(found.values())))

    def at(self, places: Codes) -> NDArray[Any]:
        """The value that holds at each position."""
        return self.values[np.searchsorted(self.starts, places, side="right") - 1]


def bars_of(onsets: Codes, signatures: Timeline) -> tuple[Codes, Codes]:
    """The bar of each onset, and the position in it.

    A change of the time signature within a bar holds from the next bar line on (published code).

    Args:
        onsets: Positions from the beginning of the piece, (notes,).
        signatures: Codes of time signatures.

    Returns:
        (notes,) and (notes,).

    >>> signatures = Timeline(np.array([0, 32]), np.array([9, 8]))  # 4/4, and 3/4 in mid-bar
    >>> bars, places = bars_of(np.array([0, 63, 64, 112]), signatures)
    >>> bars.tolist(), places.tolist()
    ([0, 0, 1, 2], [0, 63, 0, 0])
    """
    starts, codes = signatures.starts.tolist(), signatures.values.tolist()
    # Where each row of bars of one length begins, the number of its first bar, and that length.
    rows: list[tuple[int, int, int]] = []
    begin = bar = 0
    for number, code in enumerate(codes):
        following = starts[number + 1] if number + 1 < len(starts) else None
        if following is not None and following <= begin:
            continue  # Another change follows before the next bar line.
        length = bar_length(int(code))
        rows.append((begin, bar, length))
        if following is not None:
            count = -(-(following - begin) // length)
            begin, bar = begin + count * length, bar + count
    begins, firsts, lengths = np.array(rows).T
    row = np.searchsorted(begins, onsets, side="right") - 1
    inside = onsets - begins[row]
    return firsts[row] + inside // lengths[row], inside % lengths[row]
