"""What one measure of one MusicXML part contains, at exact times, before it is cut into ABC voices.

Times are ticks: whole numbers of a division that all measures of the score share, so that the usual
arithmetic is on integers; only a file with fractional durations, or tuplets that its divisions
cannot express, brings fractions in.
"""

from __future__ import annotations

from fractions import Fraction

Ticks = int | Fraction
#: Diatonic step, alteration, octave, whether a tie leads on, length in ticks.
Head = tuple[str, int, int, bool, Ticks]


def whole(value: Fraction) -> Ticks:
    """A fraction as an integer where it is one: arithmetic on integers is many times faster."""
    return value.numerator if value.denominator == 1 else value


class NoteEvent:
    """A note, chord or rest of one MusicXML voice, with its marks, slurs and grace notes.

    Attributes that few notes have are class attributes until they are set: scores have many notes.
    """

    flexible = False  # a rest that fills its measure, however long that is
    hidden = False  # print-object="no"
    unpitched = False
    grace: Fraction | None = None  # notated quarter notes of a grace note
    slashed = False
    graces: tuple[NoteEvent, ...] = ()  # those before this event
    ratio: tuple[int, int] | None = None  # (actual, normal) of a tuplet
    tuplet_start = False
    tuplet_stop = False
    marks: tuple[str, ...] = ()  # decorations of the note itself
    signs: tuple[str, ...] = ()  # decorations and annotations of directions before it
    symbol = ""
    slurs: tuple[tuple[str, str], ...] = ()  # (type, number) as read
    slur_starts = 0
    slur_stops = 0
    adorned = False  # anything stands before the note

    def __init__(
        self,
        onset: Ticks,
        duration: Ticks,
        voice: str,
        staff: int,
        heads: tuple[Head, ...],
        beamed: bool,
    ) -> None:
        self.onset = onset
        self.duration = duration
        self.voice = voice
        self.staff = staff
        self.heads = heads
        self.beamed = beamed  # to the next note


class Measure:
    """One measure of one part."""

    __slots__ = (
        "bar_left",
        "bar_right",
        "changes",
        "directions",
        "events",
        "length",
        "meter",
        "sounding",
        "straight",
        "trailing_graces",
    )

    def __init__(self) -> None:
        self.events: list[NoteEvent] = []
        self.trailing_graces: list[NoteEvent] = []
        # (time, staff or 0 for all, field name, value)
        self.changes: list[tuple[Ticks, int, str, str]] = []
        # (time, staff, voice, code); the code of a chord symbol begins with a quote and a letter.
        self.directions: list[tuple[Ticks, int, str | None, str]] = []
        self.length: Ticks = 0
        self.sounding: Ticks = 0  # end of the last note
        self.meter: Ticks | None = None  # length of a full bar
        self.straight = True  # each event begins where the one before it ends
        self.bar_left = ""
        self.bar_right = ""
