"""The parts of a tune: header fields, voices and bars, their exact events, the sounding notes.

All times are exact fractions of a quarter note.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

STEPS = "CDEFGAB"
STEP_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True, slots=True)
class Field:
    """One header line: ``Field("K", "G")`` for ``K:G``.

    ``Field("%%", "score 1 2")`` is a directive, ``Field("%", "Baroque")`` a comment.
    """

    name: str
    value: str

    @property
    def text(self) -> str:
        """The line as it stands in an ABC header, without the newline."""
        return (
            f"{self.name}{self.value}" if self.name.startswith("%") else f"{self.name}:{self.value}"
        )


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of one voice.

    Attributes:
        text: The ABC music code between two bar-lines, without them; inline fields such as
            ``[K:D]`` included. Field lines of the body stand here as inline fields, so that
            a bar contains all that changes in it. Stripped of outer whitespace.
        right: The bar-line that closes the bar with its volta numbers (``"|"``, ``":|2"``,
            ``"|]"``), ``""`` at an open end.
        left: A bar-line before the bar; only the first bar of a voice has one (``"|:"``).
    """

    text: str
    right: str = "|"
    left: str = ""


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice: its ABC identifier (``"1"``) and its bars."""

    id: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Pitch:
    """A notated pitch: F sharp above middle C is ``Pitch("F", 1, 4)``.

    Attributes:
        step: The diatonic step, one of ``CDEFGAB``.
        alter: Alteration in semitones.
        octave: In scientific notation: middle C is C4.
    """

    step: str
    alter: int
    octave: int

    @property
    def midi(self) -> int:
        """MIDI note number (60 for C4)."""
        return 12 * (self.octave + 1) + STEP_SEMITONES[self.step] + self.alter


@dataclass(frozen=True, slots=True)
class NoteHead:
    """One pitch of a note or chord event.

    Attributes:
        pitch: As notated, after key signature and accidentals of the bar.
        accidental: What is written before the note (``"^"``, ``"^^"``, ``"="``, ``"_"``, ``"__"``)
            or ``""``.
        duration: Quarter notes; inside a chord each head has its own length.
        tie: True when a tie leads from this head to the next one of the same pitch.
    """

    pitch: Pitch
    accidental: str
    duration: Fraction
    tie: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """A note, chord, rest or space of a voice, or a grace note.

    Attributes:
        bar: Index of the bar.
        onset: Quarter notes from the start of the voice (repeats not expanded).
        duration: Quarter notes until the next event of this layer; 0 for grace notes. For a chord,
            the length of its first head.
        heads: The sounding heads; empty for a rest.
        rest: ``"z"`` visible rest, ``"x"`` invisible rest, ``"y"`` nothing but space, ``""`` for
            notes.
        grace: True for a grace note; its heads' durations are the notated ones.
        layer: 0 for the voice itself, 1, 2 ... for the overlays (``&``) of the bar.
        notated: Quarter notes before tuplet scaling (what note type and dots show).
        tuplet: (actual, normal) notes of the innermost tuplet, or None.
        tuplet_start: True on the first event of a tuplet.
        tuplet_stop: True on the last event of a tuplet.
        decorations: Names without exclamation marks, short forms expanded (``"fermata"``,
            ``"staccato"``, ``"trill"``, ``"f"``, ``"<("``).
        annotations: Quoted annotations with their placement character (``"^dolce"``).
        chord_symbol: The quoted accompaniment chord (``"G7"``) before the event, or ``""``.
        slur_starts: Slurs that open before the event.
        slur_stops: Slurs that close after the event.
        beam_break: True when white space (a beam break) follows.
    """

    bar: int
    onset: Fraction
    duration: Fraction
    heads: tuple[NoteHead, ...] = ()
    rest: Literal["", "z", "x", "y"] = ""
    grace: bool = False
    layer: int = 0
    notated: Fraction = Fraction(0)
    tuplet: tuple[int, int] | None = None
    tuplet_start: bool = False
    tuplet_stop: bool = False
    decorations: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()
    chord_symbol: str = ""
    slur_starts: int = 0
    slur_stops: int = 0
    beam_break: bool = False


@dataclass(frozen=True, slots=True)
class BarSpan:
    """What holds in one bar of one voice.

    Attributes:
        onset: Quarter notes from the start of the voice.
        duration: Exact length of what the bar contains, quarter notes (the longest layer).
            Multi-bar rests span several bars' worth.
        meter: The time signature in force at the bar's start as (numerator, denominator); None for
            ``M:none``.
        key: The text of the ``K:`` in force at the bar's start, clef left out (``"G"``,
            ``"F#min"``, ``"Ador"``, ``"none"``).
        fifths: Number of sharps (flats negative) of that key.
        fields: The inline fields of the bar in order, with the quarter-note offset in the bar at
            which each stands.
        left: Bar-line before (first bar only), as in the text.
        right: Bar-line after, with volta numbers, as in the text.
    """

    onset: Fraction
    duration: Fraction
    meter: tuple[int, int] | None
    key: str
    fifths: int
    fields: tuple[tuple[Fraction, Field], ...] = ()
    left: str = ""
    right: str = "|"

    @property
    def nominal(self) -> Fraction | None:
        """Length of a full bar of the meter in quarter notes, None without meter."""
        return None if self.meter is None else Fraction(4 * self.meter[0], self.meter[1])


@dataclass(frozen=True, slots=True)
class ParsedVoice:
    """Events in time order (layers of a bar one after the other) and the span of each bar."""

    id: str
    events: tuple[Event, ...]
    bars: tuple[BarSpan, ...]


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """A sounding note.

    Attributes:
        onset: Quarter notes from the start of the piece.
        pitch: MIDI note number as it sounds (the voice's ``transpose=`` and ``octave=`` applied).
        duration: Quarter notes, ties merged. 0 for a grace note.
        voice: Identifier of the voice.
        bar: Index of the bar in which the note starts.
        grace: True for a grace note.
    """

    onset: Fraction
    pitch: int
    duration: Fraction
    voice: str
    bar: int = 0
    grace: bool = False


class Notated(Protocol):
    """A piece as parsing and playing see it; :class:`~musiczoo.music.abc.tune.Tune` is the one."""

    @property
    def header(self) -> tuple[Field, ...]:
        """The header lines in order."""
        ...

    @property
    def voices(self) -> tuple[Voice, ...]:
        """The voices in the order of the body."""
        ...

    @property
    def path(self) -> str | None:
        """Where the piece was read from."""
        ...

    @property
    def parsed(self) -> tuple[ParsedVoice, ...]:
        """The voices as exact events."""
        ...

    def field(self, name: str, default: str | None = None) -> str | None:
        """The value of the first header line of that name."""
        ...
