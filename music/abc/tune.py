"""The piece of notated music: header fields in order, voices, and bars of ABC music code.

A :class:`Tune` keeps ABC text as the one source of truth and parses it on demand into exact events
(:attr:`Tune.parsed`) and sounding notes (:meth:`Tune.notes`). All times are exact fractions of a
quarter note. The text form follows the ABC standard 2.1
(https://abcnotation.com/wiki/abc:standard:v2.1) with the ``[V:n]`` interleaving of the multi-voice
language models (Wu et al. 2024, CLaMP 2; Wang et al. 2025, NotaGen).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

from musiczoo.music.abc.notation import (
    STEP_SEMITONES,
    STEPS,
    Bar,
    BarSpan,
    Event,
    Field,
    Note,
    NoteHead,
    ParsedVoice,
    Pitch,
    Voice,
)
from musiczoo.music.abc.parse import parse_tune
from musiczoo.music.abc.sounding import sounding_notes

__all__ = [
    "STEPS",
    "STEP_SEMITONES",
    "Bar",
    "BarSpan",
    "Event",
    "Field",
    "Note",
    "NoteHead",
    "ParsedVoice",
    "Pitch",
    "Tune",
    "Voice",
]


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
        """The value of the first header line of that name, such as ``"K"``, ``"M"`` or ``"Q"``."""
        return next((item.value for item in self.header if item.name == name), default)

    @cached_property
    def parsed(self) -> tuple[ParsedVoice, ...]:
        """The voices as exact events.

        Raises:
            MusicZooError: Music code that cannot be read, with voice and bar.
        """
        return parse_tune(self)

    def notes(self, *, graces: bool = False, expand_repeats: bool = False) -> list[Note]:
        """Sounding notes of all voices with ties merged, sorted by (onset, pitch).

        Args:
            graces: Include grace notes, at the onset of the note they adorn, with duration 0.
            expand_repeats: Play repeats and voltas as written out instead of once through.

        Raises:
            MusicZooError: Music code that cannot be read, with voice and bar.
        """
        return sounding_notes(self, graces=graces, expand_repeats=expand_repeats)

    def with_header(self, header: tuple[Field, ...]) -> Tune:
        """The same music under another header."""
        return replace(self, header=header)
