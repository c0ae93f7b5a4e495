"""Which characters may come next in pitches, lengths, tuplets and inline fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from math import gcd

TICKS_PER_WHOLE_NOTE = 128
LONGEST_BAR = 4 * TICKS_PER_WHOLE_NOTE

PITCHES = "ABCDEFGabcdefg"
ACCIDENTALS = "^_="

# The short forms: a number of notes in the time of another number.
SHORT_TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
# Three notes of a tick each in the time of two.
LEAST_TUPLET = 2

_MAJORS = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
_MINORS = ("Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#")
_MODAL = [
    f"{tonic}{mode}"
    for tonic in ("Bb", "F", "C", "G", "D", "A", "E", "B", "F#")
    for mode in ("dor", "phr", "lyd", "mix", "loc")
]
_KEYS = [
    *_MAJORS,
    *(f"{tonic}{mode}" for tonic in _MINORS for mode in ("m", "min")),
    *_MODAL,
    "none",
]
_CLEFS = [
    "alto",
    "tenor",
    "perc",
    "alto1",
    "alto2",
    "treble1",
    "bass3",
    *(f"{clef}{shift}" for clef in ("treble", "bass") for shift in ("", "-8", "+8")),
]
_TEMPI = [f"Q:{beat}=" for beat in ("1/2", "3/4", "1/4", "3/8", "1/8", "3/16", "1/16")]


def trie(words: Iterable[str]) -> dict[str, str]:
    """For each beginning of a word the characters that may follow, in no particular order.

    Nothing follows a whole word.
    """
    following: dict[str, set[str]] = {}
    for word in words:
        following.setdefault(word, set())
        for end in range(len(word)):
            following.setdefault(word[:end], set()).add(word[end])
    return {beginning: "".join(sorted(characters)) for beginning, characters in following.items()}


DECORATIONS = ".~HLMOPSTuv"
# The decorations of the standard (4.14) and those that scores turn into. Free names would be a
# place for a model to continue in when its notes are not allowed.
_ALL_NAMES = (
    "trill trill( trill) lowermordent uppermordent mordent pralltriller roll turn turnx"
    " invertedturn invertedturnx arpeggio > accent emphasis fermata invertedfermata tenuto 0 1 2 3"
    " 4 5 + plus snap slide wedge upbow downbow open thumb breath pppp ppp pp p mp mf f ff fff ffff"
    " sf sfz sfp sffz fp fz rf rfz crescendo( <( crescendo) <) diminuendo( >( diminuendo) >) segno"
    " coda D.S. D.C. dacoda dacapo fine D.C.alfine D.C.alcoda D.S.alfine D.S.alcoda shortphrase"
    " mediumphrase longphrase ^ marcato 8va( 8va) 8vb( 8vb) 15ma( 15ma) 15mb( 15mb) ped ped-up / //"
    " /// //// courtesy editorial stemless staccatissimo"
)
DECORATION_NAMES = trie(f"{name}!" for name in _ALL_NAMES.split())
# Left out of texts: what would close the text, begin a comment, or be taken for a bar-line and cut
# the patch.
TEXT_CHARACTERS = "".join(chr(code) for code in range(32, 127) if chr(code) not in '"%:[\\]|')
# A text in the training data has at most 40 characters with its quotes (NotaGen's cleaning). The
# other bounds only make every bar end.
LONGEST_TEXT = 38
MOST_HEADS = 8
MOST_PREFIXES = 10
MOST_FIELDS = 4
MOST_LAYERS = 3
DEEPEST_SLUR = 4
GRACE_LENGTHS = {
    "": "234/",
    "2": "",
    "3": "/",
    "4": "",
    "3/": "2",
    "3/2": "",
    "/": "24",
    "/2": "",
    "/4": "",
}

# Key, clef, tempo and staff fields begin so; what may follow a space or an equals sign does not
# hang on what stands before it.
_FIELD_STARTS = trie(
    [
        *(f"K:{key}]" for key in _KEYS),
        *(f"K:{key} " for key in _KEYS),
        *(f"K:{clef}]" for clef in _CLEFS),
        *_TEMPI,
        "I:staff ",
    ]
)
_AFTER_SPACE = {
    "K": trie(f"{clef}]" for clef in _CLEFS),
    "I": trie(f"{move}]" for move in ("+1", "-1", "+2", "-2", "1", "2", "3")),
}
DIGITS = "0123456789"


def field_characters(text: str) -> str:
    """The characters that may follow in an inline field, its opening bracket left out."""
    if " " in text:
        return _AFTER_SPACE[text[0]][text.partition(" ")[2]]
    if "=" in text:
        return (DIGITS[1:], DIGITS, DIGITS + "]", "]")[len(text.partition("=")[2])]
    return _FIELD_STARTS[text]


METER_FIELDS = trie(f"M:{beats}/{unit}]" for unit in (1, 2, 4, 8, 16, 32) for beats in range(1, 33))
"""Every change of meter that may be offered, for :class:`BarGrammar`."""


@cache
def _spellings(ticks_per_unit: int) -> Mapping[str, list[tuple[int, str]]]:
    """For each beginning of a note length the (ticks, whole text) that it may become."""
    spelled: list[tuple[int, str]] = []
    for ticks in range(1, LONGEST_BAR + 1):
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


@lru_cache(maxsize=1 << 12)
def plain_length_characters(text: str, ticks_per_unit: int, last: int) -> tuple[str, int]:
    """:func:`length_characters` up to ``last`` ticks, of lengths that one note on paper has.

    That is, a note with up to two dots, or one of five.

    A model that has gone past the end of its bar is so led to a short note and not to a length of
    41/16. A note of one tick is always among them, so there is a way on whatever time is left.
    """
    following, ticks = set(), 0
    for value, whole in _spellings(ticks_per_unit).get(text, ()):
        if value <= last and value // (value & -value) in (1, 3, 5, 7):
            if len(whole) == len(text):
                ticks = value
            else:
                following.add(whole[len(text)])
    return "".join(sorted(following)), ticks


@lru_cache(maxsize=1 << 14)
def length_characters(
    text: str, ticks_per_unit: int, first: int, step: int, last: int
) -> tuple[str, int]:
    """The characters that may follow in a note length, and the ticks of what stands there.

    The ticks are 0 where that is no allowed length.

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


@cache
def tuplets() -> Mapping[str, Mapping[str, int]]:
    """For each beginning of a tuplet's numbers what may follow, and the least room for it.

    ``"."`` stands for the end of the numbers.

    Where the standard leaves the time to the meter (five, seven, nine notes) only the long forms
    are there.
    """
    words = {f"{actual}.": (actual, normal, actual) for actual, normal in SHORT_TUPLETS.items()}
    for actual in range(2, 14):
        for normal in range(2, 13):
            if actual != normal and actual <= 2 * normal <= 4 * actual:
                words[f"{actual}:{normal}."] = (actual, normal, actual)
                words.update(
                    {
                        f"{actual}:{normal}:{notes}.": (actual, normal, notes)
                        for notes in range(1, 13)
                    }
                )
    following: dict[str, dict[str, int]] = {}
    for word, (actual, normal, notes) in words.items():
        common = gcd(actual, normal)
        # The notes have at least a tick each on paper, and whole ticks together in time.
        room = -(-notes // (actual // common)) * (normal // common)
        for end in range(len(word)):
            choices = following.setdefault(word[:end], {})
            choices[word[end]] = min(room, choices.get(word[end], room))
    return following


def tuplet_capacity(room: int, actual: int, normal: int) -> int:
    """The most ticks on paper of a tuplet's notes that take a whole number of ticks in the room."""
    common = gcd(actual, normal)
    return room // (normal // common) * (actual // common)


@cache
def pitch_characters(text: str) -> tuple[str, bool]:
    """The characters that may follow in a pitch with its marks, and whether it is complete."""
    letter = text.lstrip(ACCIDENTALS)
    if not letter:
        return {"": ACCIDENTALS, "^": "^", "_": "_"}.get(text, "") + PITCHES, False
    # Every pitch stays within the range of MIDI.
    octave, most = (",", 4) if letter[0].isupper() else ("'", 3)
    return octave if letter.count(octave) < most else "", True
