"""Clips of a piece from its beginning, middle and end, cut at bar lines.

MIDI-LLaMA, section 2.3: "we segmented three non-overlapping 20-second clips from each piece [...]
from different positions within the piece (e.g., beginning, middle, and later sections).
Segmentation boundaries were aligned with bar lines when feasible".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from musiczoo.llm.records import Clip
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.excerpt import excerpt
from musiczoo.music.midi.tempo_map import TempoMap
from musiczoo.music.quantisation import score_bars

if TYPE_CHECKING:
    from symusic.core import ScoreTick

SECONDS = 20.0
COUNT = 3
# A tempo in MIDI is a whole number of microseconds: ten bars of 2 seconds at 90 take 20.00001.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class CutClip:
    """A clip as a score that begins at tick 0, and where it was cut."""

    score: ScoreTick
    clip: Clip


@dataclass(frozen=True)
class _Lines:
    """The bar lines of a piece and the end of its last bar: ticks and seconds, (bars + 1,)."""

    ticks: NDArray[np.int64]
    seconds: NDArray[np.float64]


def cut_clips(
    score: ScoreTick, count: int = COUNT, *, seconds: float = SECONDS, nominal: bool = False
) -> list[CutClip]:
    """Clips that do not overlap, the first from the beginning of each part of a piece.

    A piece is divided into ``count`` parts of the same length. The clip of a part begins at the
    first bar line in it, and ends at the last one within ``seconds``. Where a bar is longer than
    that, it ends after that time within the bar, and its alignment is ``"time"``.

    Args:
        score: The piece, in ticks.
        count: Clips at most. A piece that is shorter than that many gives fewer, and one shorter
            than a clip gives its whole.
        seconds: Length of a clip at most.
        nominal: Whether the tempo and the time signatures mean nothing, as in transcriptions; such
            clips are so marked.

    Returns:
        The clips in order; those without a note are left out.

    Raises:
        MusicZooError: A piece without notes, with impossible tempos, or with too many bars.
    """
    if count < 1 or seconds <= 0:
        raise MusicZooError("Clips must be one at least, and longer than no time.")
    ends = [int(track.end()) for track in score.tracks if len(track.notes)]
    if not ends:
        raise MusicZooError("The piece has no notes.")
    times = TempoMap(score)
    lines = _lines(score, max(ends), times)
    whole = float(times.seconds(max(ends)))
    parts = max(min(count, math.floor((whole + _TOLERANCE) / seconds)), 1)
    clips: list[CutClip] = []
    until = 0
    for part in range(parts):
        first = max(part * whole / parts, float(times.seconds(until)))
        span = _span(lines, times, first, seconds, until)
        if span is None:
            break
        (start, end), aligned = span
        until = end
        score_of_clip = excerpt(score, start, end)
        if len(score_of_clip.tracks):
            alignment = "time" if not aligned else "nominal" if nominal else "score"
            clips.append(CutClip(score_of_clip, _clip(lines, times, start, end, alignment)))
    return clips


def _lines(score: ScoreTick, end: int, times: TempoMap) -> _Lines:
    resolution = int(score.ticks_per_quarter)
    bars = score_bars(score, Fraction(end, resolution))
    places = [bar.start for bar in bars] + [bars[-1].start + bars[-1].length]
    ticks = np.array([round(place * resolution) for place in places], np.int64)
    return _Lines(ticks, times.seconds(ticks))


def _span(
    lines: _Lines, times: TempoMap, first: float, seconds: float, until: int
) -> tuple[tuple[int, int], bool] | None:
    """Start and end of a clip in ticks, and whether both are bar lines."""
    begin = int(np.searchsorted(lines.seconds, first - _TOLERANCE))
    if begin >= len(lines.ticks) - 1 and lines.seconds[-1] - first < seconds:
        return None  # what is left of the last bar is too short
    if begin < len(lines.ticks) - 1:
        start = lines.seconds[begin]
        last = int(np.searchsorted(lines.seconds, start + seconds + _TOLERANCE, side="right")) - 1
        if last > begin and start - first <= seconds:
            return (int(lines.ticks[begin]), int(lines.ticks[last])), True
    start_tick = max(math.ceil(times.tick(first)), until)
    end_tick = min(math.floor(times.tick(first + seconds)), int(lines.ticks[-1]))
    return ((start_tick, end_tick), False) if end_tick > start_tick else None


def _clip(lines: _Lines, times: TempoMap, start: int, end: int, alignment: str) -> Clip:
    first = int(np.searchsorted(lines.ticks, start, side="right")) - 1
    after = int(np.searchsorted(lines.ticks, end, side="left"))
    begin, finish = (round(float(times.seconds(tick)), 6) for tick in (start, end))
    return Clip(begin, finish, first, after, alignment)  # type: ignore[arg-type]
