"""Keys and meters as ``K:`` and ``M:`` fields write them (ABC standard 2.1, 3.1.14 and 3.1.6)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from musiczoo.music.abc.notation import Field

#: Sharps of a major key by tonic letter.
LETTER_FIFTHS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
SHARP_ORDER = "FCGDAEB"

#: What a mode adds to the sharps of the major key of the same tonic. The first three letters of the
#: mode decide, in capitals or not.
MODE_FIFTHS = {
    "maj": 0,
    "ion": 0,
    "": 0,
    "mix": -1,
    "dor": -2,
    "m": -3,
    "min": -3,
    "aeo": -3,
    "phr": -4,
    "loc": -5,
    "lyd": 1,
}

ACCIDENTAL_ALTER = {"": 0, "=": 0, "^": 1, "^^": 2, "_": -1, "__": -2}
#: The accidental that writes an alteration.
ACCIDENTAL_MARKS = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}

_KEY = re.compile(
    r"""(?P<tonic>(?-i:[A-G]))(?P<sign>(?-i:[#b\u266f\u266d])?)\s*
    (?P<mode>(?:maj|min|mix|dor|phr|lyd|loc|aeo|ion)[a-z]*|m(?![a-z]))?\s*(?P<rest>.*)$""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_ACCIDENTALS = re.compile(r"(\^\^?|__?|=)([A-Ga-g])(?![A-Za-z])")
_PROPERTY = re.compile(
    r"""\b(?:clef|middle|m|octave|transpose|score|sound|shift|stafflines|staffscale|cue|name|nm|subname|snm|style)\s*=\s*(?:"[^"]*"|\S+)"""
)
_CLEF = re.compile(
    r"\b(?:treble|bass|alto|tenor|soprano|mezzosoprano|mezzo|baritone|perc|none)(?:[1-5])?(?:[+\-^_](?:8|15))?(?![\w])"
)
_NUMBER_PROPERTY = re.compile(r"\b(octave|transpose)\s*=\s*([+-]?\d{1,3})\b")


@dataclass(frozen=True, slots=True)
class Key:
    """A ``K:`` field understood.

    Attributes:
        name: The key's text without clef and other properties (``"F#min"``, ``"D exp _b"``), ``""``
            when the field names no key.
        fifths: Sharps (flats negative) of the signature.
        alters: Alteration of each letter under the signature, for ``CDEFGAB``.
        octave: The field's ``octave=``, or None.
        transpose: The field's ``transpose=``, or None.
        tonal_fifths: Sharps that tonic and mode alone would have; differs from ``fifths`` where
            accidentals are listed.
    """

    name: str
    fifths: int
    alters: tuple[int, int, int, int, int, int, int]
    octave: int | None = None
    transpose: int | None = None
    tonal_fifths: int = 0


#: No signature at all, as of ``K:none``.
NO_KEY = Key("none", 0, (0,) * 7)


def signature(fifths: int) -> dict[str, int]:
    """Alteration of each letter in the signature of that number of sharps (flats negative)."""
    alters = dict.fromkeys("CDEFGAB", 0)
    for index in range(abs(fifths)):
        letter = SHARP_ORDER[index % 7] if fifths > 0 else SHARP_ORDER[6 - index % 7]
        alters[letter] += 1 if fifths > 0 else -1
    return alters


def tonic_fifths(letter: str, sign: str) -> int:
    """Sharps of the major key on that tonic."""
    return LETTER_FIFTHS[letter] + {"#": 7, "\u266f": 7, "b": -7, "\u266d": -7}.get(sign, 0)


def tonic(fifths: int) -> str:
    """Tonic of the major key with that number of sharps (flats negative).

    The inverse of :func:`tonic_fifths`.

    >>> tonic(0), tonic(-2), tonic(8)
    ('C', 'Bb', 'G#')
    """
    # F stands at -1, so counting from it names every tonic: seven letters on, one sharp more.
    signs, place = divmod(fifths + 1, 7)
    return SHARP_ORDER[place] + ("#" * signs if signs > 0 else "b" * -signs)


@lru_cache(maxsize=1024)
def parse_key(value: str) -> Key:
    """Read the value of a ``K:`` field.

    A text that names no key (a clef alone, say) gives ``name=""``.
    """
    numbers = {name: int(number) for name, number in _NUMBER_PROPERTY.findall(value)}
    octave, transpose = numbers.get("octave"), numbers.get("transpose")
    text = _PROPERTY.sub(" ", value).strip()
    if text.lower().startswith("none"):
        return Key("none", 0, (0,) * 7, octave, transpose)
    text = " ".join(_CLEF.sub(" ", text).split())
    if text.startswith(("HP", "Hp")):
        # Highland pipes: HP prints and means no signature, Hp means F sharp and C sharp (3.1.14).
        fifths = 2 if text.startswith("Hp") else 0
        return Key(text[:2], fifths, _as_tuple(signature(fifths)), octave, transpose, fifths)
    match = _KEY.match(text)
    if match is None:
        alters = signature(0)
        changed = _apply_accidentals(text, alters)
        return Key(
            text if changed else "", sum(alters.values()), _as_tuple(alters), octave, transpose
        )
    mode = (match["mode"] or "").lower()
    fifths = (
        tonic_fifths(match["tonic"].upper(), match["sign"].lower())
        + MODE_FIFTHS["m" if mode == "m" else mode[:3]]
    )
    rest = match["rest"]
    explicit = re.match(r"exp\b", rest, re.IGNORECASE)
    alters = signature(0 if explicit else fifths)
    found = _apply_accidentals(rest, alters)
    name = match["tonic"].upper() + match["sign"] + (match["mode"] or "")
    if explicit or found:
        name = " ".join(
            [
                name,
                *(["exp"] if explicit else []),
                *(mark + letter for mark, letter in _ACCIDENTALS.findall(rest)),
            ]
        )
    tonal, fifths = fifths, sum(alters.values())
    return Key(name, fifths, _as_tuple(alters), octave, transpose, tonal)


def _apply_accidentals(text: str, alters: dict[str, int]) -> bool:
    found = _ACCIDENTALS.findall(text)
    for mark, letter in found:
        alters[letter.upper()] = ACCIDENTAL_ALTER[mark]
    return bool(found)


def _as_tuple(alters: dict[str, int]) -> tuple[int, int, int, int, int, int, int]:
    return (
        alters["C"],
        alters["D"],
        alters["E"],
        alters["F"],
        alters["G"],
        alters["A"],
        alters["B"],
    )


_METER = re.compile(r"\(?\s*(\d{1,3}(?:\s*\+\s*\d{1,3})*)\s*\)?\s*/\s*(\d{1,3})")


@lru_cache(maxsize=256)
def parse_meter(value: str) -> tuple[int, int] | None:
    """Read the value of an ``M:`` field; None for ``"none"`` and for what is no meter.

    >>> parse_meter("C"), parse_meter("C|"), parse_meter("(3+2)/8"), parse_meter("none")
    ((4, 4), (2, 2), (5, 8), None)
    """
    text = value.strip()
    if text.startswith("C|"):
        return (2, 2)
    if text.startswith("C") and not text[1:2].isalpha():
        return (4, 4)
    match = _METER.match(text)
    if match is None:
        return None
    above = sum(int(part) for part in match[1].split("+"))
    below = int(match[2])
    return (above, below) if above and below else None


def is_compound(meter: tuple[int, int] | None) -> bool:
    """Whether tuplets without a second number use the compound rule (standard 4.13).

    They do where the numerator is a multiple of three above three.
    """
    return meter is not None and meter[0] % 3 == 0 and meter[0] > 3


def full_bar(meter: tuple[int, int] | None) -> Fraction:
    """The length of a bar rest in quarter notes."""
    # Without a meter a bar rest has no length of its own; abcm2ps and abc2midi use four quarters.
    return Fraction(4) if meter is None else Fraction(4 * meter[0], meter[1])


_UNIT = re.compile(r"\s*(\d{1,4})\s*(?:/\s*(\d{1,4}))?")


@lru_cache(maxsize=256)
def parse_unit(value: str) -> Fraction | None:
    """Read the value of an ``L:`` field as quarter notes (``"1/8"`` is 1/2).

    None when it is no length.
    """
    match = _UNIT.match(value)
    if match is None or not int(match[1]) or (match[2] is not None and not int(match[2])):
        return None
    return Fraction(4 * int(match[1]), int(match[2] or 1))


def default_unit(meter: tuple[int, int] | None) -> Fraction:
    """The unit length in quarter notes where no ``L:`` is given (standard 3.1.7).

    A sixteenth for meters below 3/4, an eighth otherwise.
    """
    return Fraction(1, 4) if meter is not None and 4 * meter[0] < 3 * meter[1] else Fraction(1, 2)


def meter_of(header: Iterable[Field]) -> tuple[int, int] | None:
    """The meter that header lines state; None for ``M:none`` and without ``M:``."""
    value = _value(header, "M")
    return None if value is None else parse_meter(value)


def unit_of(header: Iterable[Field]) -> Fraction:
    """The unit note length that header lines state or imply, in quarter notes."""
    value = _value(header, "L")
    return (parse_unit(value) if value else None) or default_unit(meter_of(header))


def _value(header: Iterable[Field], name: str) -> str | None:
    return next((item.value for item in header if item.name == name), None)
