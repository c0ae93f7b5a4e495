"""The tokens of ABC music code.

One compiled expression is shared by parsing, bar splitting, transposition, rest omission and
cleaning. It follows the ABC standard 2.1, section 4
(https://abcnotation.com/wiki/abc:standard:v2.1), read leniently: what no rule knows becomes a
one-character ``junk`` token that every reader skips.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from musiczoo.music.errors import MusicZooError

LENGTH = r"\d*(?:/+\d*)?"
NOTE = rf"(?:\^\^?|__?|=)?[A-Ga-g][,']*(?:{LENGTH})"

#: The parts of one note, in chords and grace groups too: accidental, letter, octave marks, length.
NOTE_PARTS = re.compile(rf"(\^\^?|__?|=)?([A-Ga-g])([,']*)({LENGTH})")

#: Bar-lines: any run of ``|`` and ``:`` with the brackets that belong to it; not a lone colon.
BAR_LINE = r"(?=\.?[:\[\]]*\||::)\.?(?:\[(?=[|\]:])|\](?=[|:])|[|:]\]?)+"
VOLTA = r"\d+(?:[,.\-]\d+)*"

#: Every token kind in the order in which they are tried. The length of a field is bounded, so that
#: a row of open ones is not searched to its end each time.
TOKEN = re.compile(
    rf"""
      (?P<note>{NOTE})
    | (?P<space>[ \t\r\n\f\v]+)
    | (?P<bar>(?:{BAR_LINE})(?:\s*\[(?=\d))?(?:{VOLTA})? | \[{VOLTA})
    | (?P<field>\[[A-Za-z]:[^\]\n]{{0,400}}\])
    | (?P<chord>\[(?!\d)(?:[^\[\]|"\n]|"[^"\n]*")*\](?P<chord_length>{LENGTH}))
    | (?P<rest>[zxyZX](?P<rest_length>{LENGTH}))
    | (?P<tie>\.?-)
    | (?P<broken>>+|<+)
    | (?P<quote>"[^"\n]*"?)
    | (?P<decoration>![^!\s|]+!|\+[^+\s|]+\+)
    | (?P<short>[~HLMOPSTuv]|\.(?![|(\-]))
    | (?P<grace>\{{[^{{}}\n]*\}})
    | (?P<tuplet>\.?\((?P<tuplet_p>[1-9]\d+|[2-9])(?::(?P<tuplet_q>\d*))?(?::(?P<tuplet_r>\d*))?)
    | (?P<slur_start>\.?\()
    | (?P<slur_stop>\))
    | (?P<overlay>&)
    | (?P<mark>[$`\\])
    | (?P<junk>.)
    """,
    re.VERBOSE,
)

#: Short decorations of the standard (4.14) and their names.
SHORT_DECORATIONS = {
    ".": "staccato",
    "~": "roll",
    "H": "fermata",
    "L": "accent",
    "M": "lowermordent",
    "O": "coda",
    "P": "uppermordent",
    "S": "segno",
    "T": "trill",
    "u": "upbow",
    "v": "downbow",
}

#: Kinds that take time; a stretch between bar-lines without any of them is not a bar.
TIMED_KINDS = frozenset({"note", "chord", "rest"})


class Token(NamedTuple):
    """A piece of music code: kind (a group name of :data:`TOKEN`), text and start."""

    kind: str
    text: str
    start: int


def tokenize(text: str) -> Iterator[Token]:
    """The tokens of a stretch of music code; joined they give the text again."""
    for match in TOKEN.finditer(text):
        yield Token(match.lastgroup or "junk", match.group(), match.start())


@lru_cache(maxsize=4096)
def length_factor(length: str) -> Fraction:
    """The multiple of the unit length that a written length means.

    >>> [str(length_factor(text)) for text in ("", "3", "/", "//", "3/2")]
    ['1', '3', '1/2', '1/4', '3/2']

    Raises:
        MusicZooError: Division by zero, or a number of more than six digits.
    """
    above, slash, below = length.partition("/")
    slashes = 1 + below.count("/") if slash else 0
    below = below.lstrip("/")
    if len(above) > 6 or len(below) > 6 or slashes > 12:
        raise MusicZooError(f"the note length {length!r} is out of all proportion")
    denominator = int(below) if below else 2**slashes
    if denominator == 0:
        raise MusicZooError(f"the note length {length!r} divides by zero")
    return Fraction(int(above) if above else 1, denominator)


def format_length(factor: Fraction) -> str:
    """The shortest way to write a multiple of the unit length.

    >>> [format_length(Fraction(*pair)) for pair in ((1, 1), (3, 2), (1, 2), (1, 4))]
    ['', '3/2', '/', '/4']
    """
    above, below = factor.numerator, factor.denominator
    if below == 1:
        return "" if above == 1 else str(above)
    over = "" if above == 1 else str(above)
    return f"{over}/" if below == 2 and above == 1 else f"{over}/{below}"


def written_octave(letter: str, marks: str) -> int:
    """The octave in scientific notation of a letter with its octave marks: ``c'`` is C6."""
    return (5 if letter.islower() else 4) + marks.count("'") - marks.count(",")


def format_letter(step: str, octave: int) -> str:
    """The letter and octave marks of a step.

    >>> [format_letter("C", octave) for octave in (3, 4, 5, 6)]
    ['C,', 'C', 'c', "c'"]
    """
    if octave >= 5:
        return step.lower() + "'" * (octave - 5)
    return step + "," * (4 - octave)


@lru_cache(maxsize=65536)
def note_parts(text: str) -> tuple[str, str, int, str]:
    """Accidental, step, octave and written length of a note token.

    >>> note_parts("^f'3/2")
    ('^', 'F', 6, '3/2')
    """
    match = NOTE_PARTS.match(text)
    assert match is not None
    accidental, letter, marks, length = match.groups()
    return accidental or "", letter.upper(), written_octave(letter, marks), length
