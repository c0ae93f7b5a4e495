"""A tuplet under construction: how long its notes may be, so that it takes whole ticks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd
from typing import Self

from musiczoo.models.bar_stream.note_grammar import (
    SHORT_TUPLETS,
    length_characters,
    tuplet_capacity,
)


@dataclass(frozen=True)
class OpenTuplet:
    """A tuplet, ``notes`` before its end.

    Attributes:
        actual: Notes of the tuplet in the time of ``normal``, without common factors.
        normal: See ``actual``.
        notes: Notes to come.
        written: Ticks on paper so far.
        most: Ticks on paper at most.
    """

    actual: int
    normal: int
    notes: int
    written: int
    most: int

    @classmethod
    def opened(cls, numbers: str, room: int) -> Self:
        """A tuplet that begins.

        Args:
            numbers: Such as ``"3"`` or ``"5:4:5"``.
            room: Ticks that are left in the bar.
        """
        values = [int(number) for number in numbers.split(":")]
        actual = values[0]
        normal = values[1] if len(values) > 1 else SHORT_TUPLETS[actual]
        notes = values[2] if len(values) > 2 else actual
        common = gcd(actual, normal)
        most = tuplet_capacity(room, actual, normal)
        return cls(actual // common, normal // common, notes, 0, most)

    @property
    def ticks(self) -> int:
        """Ticks that the notes so far take."""
        return self.written * self.normal // self.actual

    def characters(self, text: str, ticks_per_unit: int) -> tuple[str, int]:
        """The characters that may follow in the length of the next note, and its ticks so far."""
        if self.notes == 1:
            # The last note makes the whole a multiple of the tuplet's number, so that it takes
            # whole ticks.
            first = -self.written % self.actual or self.actual
            last = self.most - self.written
            return length_characters(text, ticks_per_unit, first, self.actual, last)
        last = self.most - self.written - (self.notes - 1)
        return length_characters(text, ticks_per_unit, 1, 1, last)

    def with_note(self, ticks: int) -> Self:
        """The tuplet after a note."""
        return replace(self, notes=self.notes - 1, written=self.written + ticks)
