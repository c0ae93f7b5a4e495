"""Intervals between the 15 major signatures, and how notes move from one to another."""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter

from musiczoo.music.abc.keys import parse_key
from musiczoo.music.abc.notation import STEP_SEMITONES, STEPS, Notated
from musiczoo.music.abc.tokens import format_letter, written_octave

#: The 15 major keys in the order of the published code, and the sharps (flats negative) of their
#: signatures.
KEY_FIFTHS = {
    "Cb": -7,
    "C": 0,
    "C#": 7,
    "Db": -5,
    "D": 2,
    "Eb": -3,
    "E": 4,
    "F": -1,
    "F#": 6,
    "Gb": -6,
    "G": 1,
    "Ab": -4,
    "A": 3,
    "Bb": -2,
    "B": 5,
}
KEYS: tuple[str, ...] = tuple(KEY_FIFTHS)
#: The major key of a signature.
KEY_NAMES: dict[int, str] = dict(zip(KEY_FIFTHS.values(), KEY_FIFTHS, strict=True))

_SEMITONES: tuple[int, ...] = itemgetter(*STEPS)(STEP_SEMITONES)


def signature_key(tune: Notated) -> str:
    """The major key with the signature of the tune.

    It is ``"A"`` for ``K:F#min``, ``"C"`` for ``K:Ddor`` and ``K:none``.
    """
    return KEY_NAMES[wrapped_fifths(parse_key(tune.field("K") or "none").tonal_fifths)]


def wrapped_fifths(fifths: int) -> int:
    """The enharmonic signature within seven sharps or flats."""
    while fifths > 7:
        fifths -= 12
    while fifths < -7:
        fifths += 12
    return fifths


def key_interval(source: str, target: str) -> int:
    """Semitones from one of the 15 keys to another by the rule of the published code: -5 to 6."""
    interval = 7 * (KEY_FIFTHS[target] - KEY_FIFTHS[source]) % 12
    return interval - 12 if interval > 6 else interval


class Shift:
    """How notes move from one key signature to another.

    Args:
        source: Sharps of the signature (flats negative).
        target: Sharps of the signature after the move.
        interval: Semitones by which notes move.
        alters: Alteration of each letter (``CDEFGAB``) under the signature.
        keeps_none: Whether the signature is ``K:none`` and stays so.

    Attributes:
        steps: Letters by which notes move.
        change: What moving adds to the alteration of each letter.
        moved_alters: Alteration of each letter under the signature after the move.
        known: Notes moved so far, by diatonic number and alteration (:meth:`written`).
    """

    def __init__(
        self, source: int, target: int, interval: int, alters: tuple[int, ...], keeps_none: bool
    ) -> None:
        self.source, self.target, self.interval = source, target, interval
        letters = _tonic_step(target) - _tonic_step(source)
        # Of the octaves that this letter distance may have, the one nearest to the interval.
        self.steps = letters + 7 * round((interval * 7 / 12 - letters) / 7)
        self.change = tuple(
            _SEMITONES[index]
            + interval
            - _SEMITONES[(index + self.steps) % 7]
            - 12 * ((index + self.steps) // 7)
            for index in range(7)
        )
        self.alters = alters
        moved = [0] * 7
        if not keeps_none:
            for index in range(7):
                moved[(index + self.steps) % 7] = alters[index] + self.change[index]
        self.moved_alters = tuple(moved)
        self.known: dict[tuple[int, int], tuple[int, int, str]] = {}

    def note(self, number: int, alter: int, most: int = 2) -> tuple[int, int]:
        """Diatonic number (octave * 7 + step) and alteration of a moved note.

        A note with more than ``most`` accidentals gets another letter.
        """
        new = number + self.steps
        changed = alter + self.change[number % 7]
        while abs(changed) > most:
            direction = 1 if changed > 0 else -1
            changed -= _semitone(new + direction) - _semitone(new)
            new += direction
        return new, changed

    def written(self, number: int, alter: int) -> tuple[int, int, str]:
        """What :meth:`note` gives, with the letter and octave marks; it is kept in ``known``."""
        new, changed = self.note(number, alter)
        found = self.known[number, alter] = new, changed, note_letter(new)
        return found


def _semitone(number: int) -> int:
    return 12 * (number // 7) + _SEMITONES[number % 7]


def _tonic_step(fifths: int) -> int:
    """Index in ``CDEFGAB`` of the tonic of the major key with that number of sharps."""
    return (4 * fifths) % 7


@lru_cache(maxsize=4096)
def shift_of(value: str, fifths: int, interval: int) -> Shift:
    """How notes move under a ``K:`` field.

    Args:
        value: The value of the field.
        fifths: Sharps that the move adds to every signature.
        interval: Semitones by which notes move.
    """
    key = parse_key(value)
    target = wrapped_fifths(key.tonal_fifths + fifths)
    return Shift(key.tonal_fifths, target, interval, key.alters, key.name == "none")


@lru_cache(maxsize=4096)
def diatonic_number(letter: str, marks: str) -> int:
    """Octave * 7 + step of a letter with its octave marks."""
    return 7 * written_octave(letter, marks) + STEPS.index(letter.upper())


@lru_cache(maxsize=4096)
def note_letter(number: int) -> str:
    """The letter and octave marks of a diatonic number."""
    octave, step = divmod(number, 7)
    return format_letter(STEPS[step], octave)
