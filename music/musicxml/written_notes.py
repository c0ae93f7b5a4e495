"""Written notes: one ``<note>`` or chord each, with the value, ties, slurs and beams it shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from musiczoo.music.abc.notation import Event, Pitch
from musiczoo.music.musicxml.note_types import NoteValue


@dataclass(slots=True)
class WrittenHead:
    """One pitch of a written note with the ties that really lead somewhere."""

    pitch: Pitch
    accidental: str
    tie_stop: bool = False
    tie_start: bool = False


@dataclass(slots=True)
class WrittenNote:
    """One ``<note>`` (or chord of them).

    Attributes:
        onset: Quarter notes from the start of the bar.
        duration: Quarter notes; 0 for a grace note.
        value: Type and dots; None for a rest that fills the measure.
        event: Where it comes from; its marks are printed at ``first`` and ``last``. None in streams
            that only hold heads of other lengths.
        heads: The pitches; empty for a rest.
        first: The first of the values that the event was split into.
        last: The last of them.
        tuplet_start: A tuplet bracket opens here.
        tuplet_stop: It closes here.
        slur_starts: Numbers of the slurs of this voice that open here.
        slur_stops: Numbers of those that close.
        beams: One state for each beam level, such as ``["begin", "forward hook"]``.
    """

    onset: Fraction
    duration: Fraction
    value: NoteValue | None
    event: Event | None
    heads: list[WrittenHead] = field(default_factory=list)
    first: bool = True
    last: bool = True
    tuplet_start: bool = False
    tuplet_stop: bool = False
    slur_starts: tuple[int, ...] = ()
    slur_stops: tuple[int, ...] = ()
    beams: list[str] = field(default_factory=list)


Stream = list[WrittenNote]
"""Written notes of one bar in order, without overlaps."""
