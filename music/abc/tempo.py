"""Tempo marks: an ABC ``Q:`` field as a beat and a speed (ABC standard 2.1, section 3.1.8)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_SPEED = re.compile(r"^((?:\d+/\d+\s*)*|[CL]\d*)\s*=\s*(\d+(?:\.\d+)?)")
_BARE_NUMBER = re.compile(r"^(\d+(?:\.\d+)?)$")


@dataclass(frozen=True, slots=True)
class TempoMark:
    """A tempo mark.

    Attributes:
        words: What is written out (``"Allegro"``), or ``""``.
        beat: Length of the counted beat in quarter notes.
        beats_per_minute: How many of them, or None when the mark is words only.
    """

    words: str
    beat: Fraction
    beats_per_minute: float | None

    @property
    def quarters_per_minute(self) -> float | None:
        """Quarter notes a minute, or None when the mark is words only."""
        return None if self.beats_per_minute is None else float(self.beat) * self.beats_per_minute


def parse_tempo(text: str) -> TempoMark | None:
    """Read the text of a ``Q:`` field.

    Args:
        text: Such as ``1/4=120``, ``"Allegro" 3/8=60``, ``1/4 1/8=90`` (beats add up), ``"Largo"``
            or the outdated ``120`` (quarters).

    Returns:
        The mark, or None when nothing in it can be understood. Speeds of zero or beyond 2,000
        quarters a minute count as not given.
    """
    words = " ".join(part.strip() for part in re.findall(r'"([^"]*)"', text) if part.strip())
    rest = re.sub(r'"[^"]*"', "", text).strip()
    beat, speed = Fraction(1), None
    if found := _SPEED.match(rest):
        fractions = re.findall(r"(\d+)/(\d+)", found[1])
        if fractions and all(int(bottom) for _, bottom in fractions):
            beat = (
                sum((Fraction(4 * int(top), int(bottom)) for top, bottom in fractions), Fraction(0))
                or beat
            )
        speed = float(found[2])
    elif bare := _BARE_NUMBER.match(rest):
        speed = float(bare[1])
    if speed is not None and not 0 < speed * beat <= 2000:
        speed = None
    return TempoMark(words, beat, speed) if words or speed is not None else None
