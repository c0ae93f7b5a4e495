"""How loud notes are played: velocities from the dynamic marks of a tune.

The table is MuseScore's, sixteen apart in the middle; in it *mezzo forte* is 80, what a note
without any mark is played at.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from musiczoo.music.abc.score import score_layout
from musiczoo.music.abc.sounding import playing_order
from musiczoo.music.abc.tune import Note, ParsedVoice, Tune

VELOCITY = 80
#: Marks that hold until the next one, ``!pp!`` in ABC.
LEVELS = {
    "pppp": 10,
    "ppp": 16,
    "pp": 33,
    "p": 49,
    "mp": 64,
    "mf": 80,
    "f": 96,
    "ff": 112,
    "fff": 126,
    "ffff": 127,
}
#: Marks of a single note, with the level that follows, if they name one.
_SINGLE = {
    "sf": None,
    "sfz": None,
    "sffz": None,
    "fz": None,
    "rf": None,
    "rfz": None,
    "fp": "p",
    "sfp": "p",
}
_ACCENT = 32
_HAIRPIN_STEP = 16
_HAIRPINS = {"<(": 1, "crescendo(": 1, ">(": -1, "diminuendo(": -1, "decrescendo(": -1}
_HAIRPIN_ENDS = {"<)": 1, "crescendo)": 1, ">)": -1, "diminuendo)": -1, "decrescendo)": -1}


@dataclass(frozen=True)
class _Course:
    """The dynamics of one voice as written: levels that change in straight lines between points."""

    times: tuple[Fraction, ...]
    levels: tuple[float, ...]
    slopes: tuple[float, ...]
    singles: dict[Fraction, float]

    def velocity(self, time: Fraction) -> int:
        if time in self.singles:
            return round(self.singles[time])
        index = bisect_right(self.times, time) - 1
        return (
            round(self.levels[index] + self.slopes[index] * float(time - self.times[index]))
            if index >= 0
            else VELOCITY
        )


class Dynamics:
    """The velocities of a tune's notes.

    A voice without marks of its own uses those of the first voice that has some on its staff, else
    within its brace: the marks of a piano stand between its staves. Hairpins lead in a straight
    line to the next mark, or sixteen up or down. A mark on a single note (``!sfz!``) raises it by
    32. Where repeats are played, marks hold as they stand in the bars that are played.

    Args:
        tune: The tune.
        expand_repeats: Whether the notes that are asked for have repeats played out.

    Raises:
        MusicZooError: Music code that cannot be read.
    """

    def __init__(self, tune: Tune, *, expand_repeats: bool = False) -> None:
        own = {voice.id: course for voice in tune.parsed if (course := _course(voice)) is not None}
        self._courses: dict[str, _Course] = {}
        self._turns: dict[str, tuple[list[Fraction], list[Fraction]]] = {}
        if not own:
            return
        layout = score_layout(tune)
        together = [
            *layout.staves,
            *(
                tuple(one for staff in group.staves for one in staff)
                for group in layout.groups
                if group.kind == "{"
            ),
        ]
        for voice in tune.parsed:
            companions = (one for voices in together if voice.id in voices for one in voices)
            source = next((one for one in (voice.id, *companions) if one in own), None)
            if source is not None:
                self._courses[voice.id] = own[source]
                self._turns[voice.id] = _turns(voice, expand_repeats)

    def velocity(self, note: Note) -> int:
        """The velocity of a note, 1 to 127."""
        course = self._courses.get(note.voice)
        if course is None:
            return VELOCITY
        starts, shifts = self._turns[note.voice]
        turn = max(0, bisect_right(starts, note.onset) - 1)
        return max(1, min(127, course.velocity(note.onset + shifts[turn])))


def _turns(voice: ParsedVoice, expand_repeats: bool) -> tuple[list[Fraction], list[Fraction]]:
    """When each bar is played, and what to add to that time for the time at which it is written."""
    starts, shifts, time = [Fraction(0)], [Fraction(0)], Fraction(0)
    for index in playing_order(voice.bars) if expand_repeats else range(len(voice.bars)):
        starts.append(time)
        shifts.append(voice.bars[index].onset - time)
        time += voice.bars[index].duration
    return starts, shifts


def _course(voice: ParsedVoice) -> _Course | None:
    """The dynamics of a voice, or None without any mark."""
    marks = sorted(_marks(voice), key=lambda mark: mark[0])
    if not marks:
        return None
    singles: dict[Fraction, float] = {}
    points: list[tuple[Fraction, float, float]] = []
    level, hairpin = float(VELOCITY), None
    for time, name in marks:
        if name in _HAIRPINS:
            hairpin = (time, level, _HAIRPINS[name])
        elif name in _HAIRPIN_ENDS:
            if hairpin is not None:
                target = _next_level(marks, time)
                if target is None or (target - hairpin[1]) * hairpin[2] <= 0:
                    target = max(
                        LEVELS["pppp"], min(127.0, hairpin[1] + hairpin[2] * _HAIRPIN_STEP)
                    )
                level = _led(points, hairpin, time, target)
                hairpin = None
        elif name in LEVELS:
            if hairpin is not None:
                _led(points, hairpin, time, LEVELS[name])
                hairpin = None
            level = float(LEVELS[name])
            points.append((time, level, 0.0))
        else:
            after = _SINGLE[name]
            singles[time] = float(LEVELS["f"]) if name == "fp" else min(127.0, level + _ACCENT)
            if after is not None:
                level = float(LEVELS[after])
                points.append((time, level, 0.0))
    times, levels, slopes = zip(*points, strict=True) if points else ((), (), ())
    return _Course(times, levels, slopes, singles)


def _marks(voice: ParsedVoice) -> Iterator[tuple[Fraction, str]]:
    for event in voice.events:
        for name in event.decorations:
            if name in LEVELS or name in _SINGLE or name in _HAIRPINS or name in _HAIRPIN_ENDS:
                yield event.onset, name


def _next_level(marks: list[tuple[Fraction, str]], time: Fraction) -> float | None:
    """The level that a hairpin ending at ``time`` leads to.

    It is that of a mark at the same place, or of the next one if no hairpin comes first.
    """
    for moment, name in marks:
        if moment >= time and (name in LEVELS or (name in _HAIRPINS and moment > time)):
            return float(LEVELS[name]) if name in LEVELS else None
    return None


def _led(
    points: list[tuple[Fraction, float, float]],
    hairpin: tuple[Fraction, float, int],
    end: Fraction,
    target: float,
) -> float:
    """Adds a hairpin to the course; returns the level at its end."""
    start, level, _ = hairpin
    if end > start:
        points.append((start, level, (target - level) / float(end - start)))
    points.append((end, target, 0.0))
    return target
