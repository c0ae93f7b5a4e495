"""Which character may come next in a voice's bar so that the bar gets the length it must have.

A grammar of the music code that scores turn into (ABC standard 2.1, section 4), read one character at a time. Lengths are counted in whole
ticks: whatever has been written leaves a whole number of ticks, and one note can be written for any number of them, so there is always a
way on. A few things of the standard are never offered, because scores hardly need them and the length of the bar would hang on them:
multi-bar rests, tuplets in tuplets, lengths inside chords, broken rhythm in tuplets, and tuplets whose meaning depends on the meter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from functools import cache, lru_cache
from math import gcd

TICKS_PER_WHOLE_NOTE = 128

_PITCHES = "ABCDEFGabcdefg"
_ACCIDENTALS = "^_="
_DECORATIONS = ".~HLMOPSTuv"
# Left out of names and texts: what would close the text, begin a comment, or be taken for a bar-line and cut the patch.
_NAME = "".join(chr(code) for code in range(33, 127) if chr(code) not in '"%!:[\\]|')
_TEXT = "".join(chr(code) for code in range(32, 127) if chr(code) not in '"%:[\\]|')
_TEXT_START = "^_<>ABCDEFG"
# A text of the training data has at most 40 characters with its quotes (NotaGen's cleaning). The other bounds only see to it that a bar ends.
_LONGEST_TEXT = 38
_LONGEST_NAME = 16
_MOST_HEADS = 8
_MOST_PREFIXES = 6
_MOST_FIELDS = 4
_MOST_LAYERS = 3
_DEEPEST_SLUR = 4

_MAJORS = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
_MINORS = ("Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#")
_MODAL = [f"{tonic}{mode}" for tonic in ("Bb", "F", "C", "G", "D", "A", "E", "B", "F#") for mode in ("dor", "phr", "lyd", "mix", "loc")]
_KEYS = [*_MAJORS, *(f"{tonic}{mode}" for tonic in _MINORS for mode in ("m", "min")), *_MODAL, "none"]
_CLEFS = ["alto", "tenor", "perc", *(f"{clef}{shift}" for clef in ("treble", "bass") for shift in ("", "-8", "+8"))]
_METERS = [f"{beats}/{unit}" for unit in (1, 2, 4, 8, 16, 32) for beats in range(1, 33)]
_TEMPI = [f"{beat}={tempo}" for beat in ("1/2", "3/4", "1/4", "3/8", "1/8", "3/16", "1/16") for tempo in range(10, 400)]


def trie(words: Iterable[str]) -> dict[str, str]:
    """For each beginning of a word the characters that may follow, in no particular order; nothing follows a whole word."""
    following: dict[str, set[str]] = {}
    for word in words:
        following.setdefault(word, set())
        for end in range(len(word)):
            following.setdefault(word[:end], set()).add(word[end])
    return {beginning: "".join(sorted(characters)) for beginning, characters in following.items()}


@cache
def _fields() -> Mapping[str, str]:
    """Inline fields without their opening bracket."""
    keys = [*_KEYS, *_CLEFS, *(f"{key} {clef}" for key in _KEYS for clef in _CLEFS)]
    moves = ("+1", "-1", "+2", "-2", "1", "2", "3")
    return trie([*(f"K:{key}]" for key in keys), *(f"Q:{tempo}]" for tempo in _TEMPI), *(f"I:staff {move}]" for move in moves)])


@cache
def _meter_fields() -> Mapping[str, str]:
    return trie(f"M:{meter}]" for meter in _METERS)


@cache
def _spellings(ticks_per_unit: int) -> Mapping[str, list[tuple[int, str]]]:
    """For each beginning of a note length the (ticks, whole text) that it may become."""
    spelled: list[tuple[int, str]] = []
    for ticks in range(1, 4 * TICKS_PER_WHOLE_NOTE + 1):
        common = gcd(ticks, ticks_per_unit)
        count, unit = ticks // common, ticks_per_unit // common
        head = "" if count == 1 else str(count)
        spelled += [(ticks, head)] if unit == 1 else [(ticks, f"{head}/{unit}")]
        if unit in (2, 4):
            spelled.append((ticks, head + ("/" if unit == 2 else "//")))
    beginnings: dict[str, list[tuple[int, str]]] = {}
    for ticks, text in spelled:
        for end in range(len(text) + 1):
            beginnings.setdefault(text[:end], []).append((ticks, text))
    return beginnings


@lru_cache(maxsize=1 << 14)
def _length(text: str, ticks_per_unit: int, first: int, step: int, last: int) -> tuple[str, int]:
    """The characters that may follow in a note length, and the ticks of what stands there (0 if that is no allowed length).

    Allowed are ``first, first + step, ...`` up to ``last`` ticks.
    """
    following, ticks = set(), 0
    for value, whole in _spellings(ticks_per_unit).get(text, ()):
        if first <= value <= last and (value - first) % step == 0:
            if len(whole) == len(text):
                ticks = value
            else:
                following.add(whole[len(text)])
    return "".join(sorted(following)), ticks


@lru_cache(maxsize=1 << 10)
def _tuplets(room: int) -> Mapping[str, str]:
    """For each beginning of a tuplet's numbers, without the parenthesis, what may follow; ``"."`` stands for the end of the numbers.

    Where the standard leaves the time to the meter (five, seven, nine notes) only the long forms are offered.
    """
    words = [f"{actual}." for actual, normal in _SHORT_TUPLETS.items() if _tuplet_capacity(room, actual, normal) >= actual]
    for actual in range(2, 14):
        for normal in range(2, 13):
            if actual == normal or not actual <= 2 * normal <= 4 * actual:
                continue
            capacity = _tuplet_capacity(room, actual, normal)
            words += [f"{actual}:{normal}."] if capacity >= actual else []
            words += [f"{actual}:{normal}:{notes}." for notes in range(1, 13) if capacity >= notes]
    return trie(words)


_SHORT_TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}


def _tuplet_capacity(room: int, actual: int, normal: int) -> int:
    """The most ticks that the notes of a tuplet can have on paper so that it takes a whole number of ticks within the room."""
    common = gcd(actual, normal)
    return room // (normal // common) * (actual // common)


class BarGrammar:
    """One voice's bar under construction.

    Args:
        ticks_per_unit: Ticks of a note without a length.
        limit: Ticks of the bar: what it must have if ``exact``, otherwise the most.
        exact: The bar ends at ``limit`` and nowhere else.
        slurs: Slurs of the voice that are open.

    Attributes:
        limit: As given; the length of the bar once that has been settled by an overlay or a change of meter.
        elapsed: Ticks written so far.
        meter: The text of the last ``[M:...]`` in the bar, ``""`` without.
        meters: The ``[M:...]`` fields that the start of the bar may hold, by :func:`trie`; None for none.
    """

    __slots__ = ("_broken", "_count", "_fields", "_heads", "_kind", "_last", "_layers", "_need", "_room", "_text", "_tuplet", "elapsed", "exact", "limit", "meter", "meters", "slurs", "unit")

    def __init__(self, ticks_per_unit: int, limit: int, exact: bool, slurs: int = 0, meters: Mapping[str, str] | None = None) -> None:
        self.unit = ticks_per_unit
        self.limit = limit
        self.exact = exact
        self.slurs = slurs
        self.meters = meters
        self.meter = ""
        self.elapsed = 0
        # What is being written, and its text so far: "" between two things, otherwise "accidental", "pitch", "rest", ...
        self._kind = ""
        self._text = ""
        # Between two things: what stands before, "start", "note", "rest", "tie", "slur", "field", or a prefix of the note to come.
        self._last = "start"
        # What must come before the bar may end: "" nothing, "note" a note or rest, "pitch" a note, "now" a note or rest with nothing before it.
        self._need = ""
        self._count = 0
        self._heads = 0
        self._fields = 0
        self._layers = 1
        # The tuplet's (actual, normal) in lowest terms, notes to come, ticks on paper so far, and the most ticks on paper.
        self._tuplet: tuple[int, int, int, int, int] | None = None
        # Broken rhythm changes the next note by this factor.
        self._broken: tuple[int, int] | None = None
        # Ticks of the last plain note, which broken rhythm may change; 0 if it may not.
        self._room = 0
