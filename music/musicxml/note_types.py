"""Written note values: an exact duration as note types, dots and tuplet ratios."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

_TYPES = (
    "maxima",
    "long",
    "breve",
    "whole",
    "half",
    "quarter",
    "eighth",
    "16th",
    "32nd",
    "64th",
    "128th",
    "256th",
    "512th",
    "1024th",
)
#: Length of each note type in quarter notes.
NOTE_TYPES = {name: Fraction(32) / 2**index for index, name in enumerate(_TYPES)}
MAX_DOTS = 3
# From long to short. Value in quarter notes -> (type, dots).
_VALUES: dict[Fraction, tuple[str, int]] = dict(
    sorted(
        (
            ((2 - Fraction(1, 2**dots)) * base, (name, dots))
            for name, base in NOTE_TYPES.items()
            for dots in range(MAX_DOTS + 1)
        ),
        reverse=True,
    )
)
_SHORTEST = min(_VALUES)
FLAGS = {name: max(0, index - 5) for index, name in enumerate(_TYPES)}


@dataclass(frozen=True, slots=True)
class NoteValue:
    """One written note value.

    Attributes:
        type: MusicXML's name of the type (``"quarter"``).
        dots: Number of augmentation dots.
        actual: ``actual`` notes in the time of ``normal``; both 1 outside tuplets.
        normal: See ``actual``.
        duration: The sounding length in quarter notes.
    """

    type: str
    dots: int
    actual: int
    normal: int
    duration: Fraction


def odd_part(number: int) -> int:
    """The number without its factors of two."""
    return number // (number & -number)


@lru_cache(maxsize=4096)
def note_values(duration: Fraction, actual: int = 1, normal: int = 1) -> tuple[NoteValue, ...]:
    """Write a duration as one note value, or as several to be tied together.

    A duration that no type and dots can show (5/8 of a whole note) becomes several values, the
    longest first. One whose denominator is no power of two after the tuplet ratio is taken out gets
    a further tuplet ratio, so that every positive rational can be written.

    Args:
        duration: Sounding length in quarter notes, positive.
        actual: The tuplet the note stands in: ``actual`` notes in the time of ``normal``.
        normal: See ``actual``.

    Returns:
        Values whose durations add up to ``duration`` exactly.
    """
    odd = odd_part((duration * actual / normal).denominator)
    if odd > 1:
        actual, normal = actual * odd, normal * (1 << (odd.bit_length() - 1))
    ratio = Fraction(normal, actual)
    remaining, values = duration / ratio, []
    while remaining:
        value = next((value for value in _VALUES if value <= remaining), None)
        if value is None:
            # Shorter than any type: the duration stays exact, the type is the shortest.
            values.append(NoteValue(*_VALUES[_SHORTEST], actual, normal, remaining * ratio))
            break
        values.append(NoteValue(*_VALUES[value], actual, normal, value * ratio))
        remaining -= value
    return tuple(values)
