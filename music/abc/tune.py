"""The piece of notated music: header fields in order, voices, and bars whose text is ABC music code.

A :class:`Tune` keeps ABC text as the one source of truth and parses it on demand into exact events
(:attr:`Tune.parsed`) and sounding notes (:meth:`Tune.notes`). All times are exact fractions of a
quarter note. The text form follows the ABC standard 2.1
(https://abcnotation.com/wiki/abc:standard:v2.1) with the ``[V:n]`` interleaving of the multi-voice
language models (Wu et al. 2024, CLaMP 2; Wang et al. 2025, NotaGen).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Literal

STEPS = "CDEFGAB"
STEP_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True, slots=True)
class Field:
    """One header line: ``Field("K", "G")`` for ``K:G``, ``Field("%%", "score 1 2")`` a directive, ``Field("%", "Baroque")`` a comment."""

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
            ``[K:D]`` included. Body field lines of the source stand here as inline fields, so that
            a bar carries all that changes in it. Stripped of outer whitespace.
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
    """A notated pitch: diatonic step (one of ``CDEFGAB``), alteration in semitones, octave in scientific notation (middle C is C4)."""

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
    """One thing in a voice that takes time, or a grace note that takes none.

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


@dataclass(frozen=True)
class Tune:
    """A piece of notated music.

    Attributes:
        header: The header lines in order, ``V:`` definitions and comment lines included.
        voices: The voices in the order of the body. Voices of a well-formed multi-voice tune have
            the same number of bars.
        path: Where the tune was read from; not part of its value.
    """

    header: tuple[Field, ...]
    voices: tuple[Voice, ...]
    path: str | None = field(default=None, compare=False)

    def field(self, name: str, default: str | None = None) -> str | None:
        """The value of the first header line of that name (``"K"``, ``"M"``, ``"L"``, ``"Q"``, ``"T"``)."""
        return next((item.value for item in self.header if item.name == name), default)

    @cached_property
    def parsed(self) -> tuple[ParsedVoice, ...]:
        """The voices as exact events.

        Raises:
            MusicZooError: Music code that cannot be read, with voice and bar.
        """
        from musiczoo.music.abc.parse import parse_tune

        return parse_tune(self)

    def notes(self, *, graces: bool = False, expand_repeats: bool = False) -> list[Note]:
        """Sounding notes of all voices with ties merged, sorted by (onset, pitch).

        Args:
            graces: Include grace notes, at the onset of the note they adorn, with duration 0.
            expand_repeats: Play repeats and voltas as written out instead of once through.

        Raises:
            MusicZooError: Music code that cannot be read, with voice and bar.
        """
        from musiczoo.music.abc.sounding import sounding_notes

        return sounding_notes(self, graces=graces, expand_repeats=expand_repeats)

    def with_header(self, header: tuple[Field, ...]) -> Tune:
        """The same music under another header."""
        return replace(self, header=header)
