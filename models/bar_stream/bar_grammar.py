"""Which character may come next in a voice's bar so that the bar gets the length it must have.

A grammar of the music code that scores turn into (ABC standard 2.1, section 4), read one character at a time. Lengths are counted in whole
ticks: whatever has been written leaves a whole number of ticks, and one note can be written for any number of them, so there is always a
way on. A few things of the standard are never offered, because scores hardly need them and the length of the bar would hang on them:
multi-bar rests, tuplets in tuplets, lengths inside chords, broken rhythm in tuplets, and tuplets whose meaning depends on the meter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from math import gcd

TICKS_PER_WHOLE_NOTE = 128
LONGEST_BAR = 4 * TICKS_PER_WHOLE_NOTE

_PITCHES = "ABCDEFGabcdefg"
_ACCIDENTALS = "^_="
_DECORATIONS = ".~HLMOPSTuv"
# Left out of names and texts: what would close the text, begin a comment, or be taken for a bar-line and cut the patch.
_NAME = "".join(chr(code) for code in range(33, 127) if chr(code) not in '"%!:[\\]|')
_TEXT = "".join(chr(code) for code in range(32, 127) if chr(code) not in '"%:[\\]|')
# A text in the training data has at most 40 characters with its quotes (NotaGen's cleaning). The other bounds only make every bar end.
_LONGEST_TEXT = 38
_LONGEST_NAME = 16
_MOST_HEADS = 8
_MOST_PREFIXES = 6
_MOST_FIELDS = 4
_MOST_LAYERS = 3
_DEEPEST_SLUR = 4

# What the short forms mean: so many notes in the time of so many.
_SHORT_TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
# Three notes of a tick each in the time of two.
_LEAST_TUPLET = 2
_GRACE_LENGTHS = {"": "234/", "2": "", "3": "/", "4": "", "3/": "2", "3/2": "", "/": "24", "/2": "", "/4": ""}

_MAJORS = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
_MINORS = ("Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#")
_MODAL = [f"{tonic}{mode}" for tonic in ("Bb", "F", "C", "G", "D", "A", "E", "B", "F#") for mode in ("dor", "phr", "lyd", "mix", "loc")]
_KEYS = [*_MAJORS, *(f"{tonic}{mode}" for tonic in _MINORS for mode in ("m", "min")), *_MODAL, "none"]
_CLEFS = ["alto", "tenor", "perc", *(f"{clef}{shift}" for clef in ("treble", "bass") for shift in ("", "-8", "+8"))]
_TEMPI = [f"Q:{beat}=" for beat in ("1/2", "3/4", "1/4", "3/8", "1/8", "3/16", "1/16")]


def trie(words: Iterable[str]) -> dict[str, str]:
    """For each beginning of a word the characters that may follow, in no particular order; nothing follows a whole word."""
    following: dict[str, set[str]] = {}
    for word in words:
        following.setdefault(word, set())
        for end in range(len(word)):
            following.setdefault(word[:end], set()).add(word[end])
    return {beginning: "".join(sorted(characters)) for beginning, characters in following.items()}


# Key, clef, tempo and staff fields begin so; what may follow a space or an equals sign does not hang on what stands before it.
_FIELD_STARTS = trie(
    [*(f"K:{key}]" for key in _KEYS), *(f"K:{key} " for key in _KEYS), *(f"K:{clef}]" for clef in _CLEFS), *_TEMPI, "I:staff "]
)
_AFTER_SPACE = {"K": trie(f"{clef}]" for clef in _CLEFS), "I": trie(f"{move}]" for move in ("+1", "-1", "+2", "-2", "1", "2", "3"))}
_DIGITS = "0123456789"


def _field(text: str) -> str:
    """The characters that may follow in an inline field, its opening bracket left out."""
    if " " in text:
        return _AFTER_SPACE[text[0]][text.partition(" ")[2]]
    if "=" in text:
        return (_DIGITS[1:], _DIGITS, _DIGITS + "]", "]")[len(text.partition("=")[2])]
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


@cache
def _tuplets() -> Mapping[str, Mapping[str, int]]:
    """For each beginning of a tuplet's numbers what may follow and the least room for it; ``"."`` stands for the end of the numbers.

    Where the standard leaves the time to the meter (five, seven, nine notes) only the long forms are there.
    """
    words = {f"{actual}.": (actual, normal, actual) for actual, normal in _SHORT_TUPLETS.items()}
    for actual in range(2, 14):
        for normal in range(2, 13):
            if actual != normal and actual <= 2 * normal <= 4 * actual:
                words[f"{actual}:{normal}."] = (actual, normal, actual)
                words.update({f"{actual}:{normal}:{notes}.": (actual, normal, notes) for notes in range(1, 13)})
    following: dict[str, dict[str, int]] = {}
    for word, (actual, normal, notes) in words.items():
        common = gcd(actual, normal)
        # The notes have at least a tick each on paper, and whole ticks together in time.
        room = -(-notes // (actual // common)) * (normal // common)
        for end in range(len(word)):
            choices = following.setdefault(word[:end], {})
            choices[word[end]] = min(room, choices.get(word[end], room))
    return following


def _tuplet_capacity(room: int, actual: int, normal: int) -> int:
    """The most ticks that the notes of a tuplet can have on paper so that it takes a whole number of ticks within the room."""
    common = gcd(actual, normal)
    return room // (normal // common) * (actual // common)


@cache
def _head(text: str) -> tuple[str, bool]:
    """The characters that may follow in a pitch with its accidental and octave marks, and whether it is complete."""
    letter = text.lstrip(_ACCIDENTALS)
    if not letter:
        return {"": _ACCIDENTALS, "^": "^", "_": "_"}.get(text, "") + _PITCHES, False
    # Every pitch stays within the range of MIDI.
    octave, most = (",", 4) if letter[0].isupper() else ("'", 3)
    return octave if letter.count(octave) < most else "", True


class BarGrammar:
    """One voice's bar under construction.

    Args:
        ticks_per_unit: Ticks of a note without a length, a power of two.
        limit: Ticks of the bar: what it must have if ``exact``, otherwise the most.
        exact: The bar ends at ``limit`` and nowhere else.
        slurs: Slurs of the voice that are open.
        meters: The fields that may change the meter at the bar's start, by :func:`trie`; None for none.

    Attributes:
        elapsed: Ticks of what is written; a tuplet counts once it is whole.
        meter: The last ``M:`` field of the bar, such as ``"M:3/4]"``; ``""`` without.
    """

    def __init__(self, ticks_per_unit: int, limit: int, exact: bool, slurs: int = 0, meters: Mapping[str, str] | None = None) -> None:
        self.ticks_per_unit = ticks_per_unit
        self.limit = limit
        self.exact = exact
        self.slurs = slurs
        self.elapsed = 0
        self.meter = ""
        self._meters = {} if meters is None else meters
        # What is being written, "" between two things, and its text so far.
        self._kind = ""
        self._text = ""
        # What stands before, when between two things.
        self._last = "start"
        # A slur or grace notes wait for a pitch.
        self._needs_pitch = False
        self._is_rest = False
        self._prefixes = 0
        self._heads = 0
        self._fields = 0
        self._layers = 1
        # (actual, normal) in lowest terms, notes to come, ticks on paper so far, most ticks on paper.
        self._tuplet: tuple[int, int, int, int, int] | None = None
        # Broken rhythm multiplies the next note by this (numerator, denominator).
        self._broken: tuple[int, int] | None = None
        # Ticks of the last note if broken rhythm may change it, otherwise 0.
        self._plain = 0

    def clone(self) -> BarGrammar:
        """An independent copy."""
        other = object.__new__(BarGrammar)
        other.__dict__.update(self.__dict__)
        return other

    def allowed(self) -> tuple[str, bool]:
        """The characters that may come next, and whether the bar may end here. There is always a character, or the bar may end."""
        text = self._text
        match self._kind:
            case "":
                return self._between()
            case "head":
                following, is_whole = _head(text)
                lengths, may_end = self._length("") if is_whole else ("", False)
                return following + lengths, may_end
            case "length":
                return self._length(text)
            case "chord" if text.endswith("-"):
                return "]" + self._next_head(), False
            case "chord":
                following, is_whole = _head(text)
                return following + ("-]" + self._next_head() if is_whole else ""), False
            case "bracket":
                notes = _head("")[0] if self._has_room() else ""
                return notes + self._field_names(), False
            case "field":
                return self._meters[text] if text[0] == "M" else _field(text), False
            case "graces":
                return "/" + _head("")[0], False
            case "grace":
                following, is_whole = _head(text)
                return following + (_GRACE_LENGTHS[""] + "}" + self._next_head() if is_whole else ""), False
            case "grace length":
                return _GRACE_LENGTHS[text] + ("" if text.endswith("3/") else "}" + self._next_head()), False
            case "name":
                return (_NAME if len(text) < _LONGEST_NAME else "") + ("!" if text else ""), False
            case "text":
                return (_TEXT if len(text) < _LONGEST_TEXT else "") + ('"' if text else ""), False
            case _:
                return self._parenthesis(text)

    def advance(self, character: str) -> None:
        """Reads the next character, one of those that are :meth:`allowed`."""
        text = self._text + character
        match self._kind:
            case "":
                self._begin(character)
            case "head" if character in _head(self._text)[0]:
                self._text = text
            case "head":
                self._kind, self._text = "length", ""
                self.advance(character)
            case "length" if character in "0123456789/":
                self._text = text
            case "length":
                self._end_note(self._ticks(self._text)[1])
                self._begin(character)
            case "bracket" if character in "KQIM":
                self._kind, self._text = "field", character
            case "bracket":
                self._kind, self._text, self._heads, self._is_rest = "chord", character, 1, False
            case "chord" if character == "]":
                self._kind, self._text = "length", ""
            case "grace" | "grace length" if character == "}":
                self._kind, self._last, self._needs_pitch = "", "prefix", True
            case "graces":
                self._kind, self._text, self._heads = "grace", "" if character == "/" else character, 1
            case "grace" if character in _GRACE_LENGTHS[""]:
                self._kind, self._text = "grace length", character
            case "grace length" if character in _GRACE_LENGTHS[self._text]:
                self._text = text
            case "chord" | "grace" | "grace length" if character in _ACCIDENTALS + _PITCHES and (
                text.endswith("-", 0, -1) or _head(self._text)[1]
            ):
                self._kind, self._text, self._heads = self._kind.split()[0], character, self._heads + 1
            case "field" if character == "]":
                self._end_field(text)
            case "name" | "text" if character == {"name": "!", "text": '"'}[self._kind]:
                self._kind, self._last = "", "prefix"
            case "parenthesis" if character in "0123456789:":
                self._text = text
            case "parenthesis":
                self._open(self._text)
                self._begin(character)
            case _:
                self._text = text

    def finish(self) -> int:
        """Ends the bar where it may end and gives its length in ticks."""
        if self._kind:
            self._end_note(self._ticks(self._text if self._kind == "length" else "")[1])
        return self.elapsed

    @property
    def is_untouched(self) -> bool:
        """Whether nothing but fields has been written."""
        return not self._kind and self._last in ("start", "field") and self.elapsed == 0

    def _has_room(self) -> bool:
        return self._tuplet is not None or self.elapsed < self.limit

    def _next_head(self) -> str:
        return _head("")[0] if self._heads < _MOST_HEADS else ""

    def _field_names(self) -> str:
        if self._fields >= _MOST_FIELDS or self._prefixes or self._is_bound():
            return ""
        # A new meter counts from the bar's start.
        return "KQIM" if self._meters and self.elapsed == 0 and self._layers == 1 else "KQI"

    def _is_bound(self) -> bool:
        """Whether what has begun needs more notes."""
        return self._tuplet is not None or self._broken is not None

    def _between(self) -> tuple[str, bool]:
        has_room = self._has_room()
        following = ""
        if has_room:
            following += _head("")[0] + "[" + ("" if self._needs_pitch else "zx")
        elif self._field_names():
            following += "["
        if self._prefixes < _MOST_PREFIXES:
            # Texts and decorations may also stand behind the last note.
            following += '"!' + _DECORATIONS
            if has_room:
                following += "{" + ("(" if self.slurs < _DEEPEST_SLUR or self._may_be_tuplet() else "")
        may_end = self.elapsed > 0 and (self.elapsed == self.limit or not self.exact)
        may_end = may_end and not (self._needs_pitch or self._is_bound() or self._last in ("space", "overlay"))
        match self._last:
            case "note" | "rest" | "tie" | "slur":
                following += self._after_note()
                if may_end and self._layers < _MOST_LAYERS:
                    following += "&"
            case "field" if has_room:
                following += " "
        return following, may_end

    def _after_note(self) -> str:
        following = " "
        if self._last == "note":
            following += "-"
        if self.slurs:
            following += ")"
        if self._plain and self._plain % 2 == 0 and self._last in ("note", "rest"):
            left, half = self.limit - self.elapsed, self._plain // 2
            # The other note has at least two ticks on paper, so one or three in time.
            following += (">" if left >= half + 1 else "") + ("<" if left + half >= 3 else "")
        return following

    def _ticks(self, text: str) -> tuple[str, int]:
        """What may follow in a length and the ticks it has come to, within the time that is left."""
        if self._tuplet is not None:
            actual, _, notes, written, most = self._tuplet
            if notes == 1:
                # The last note makes the whole a multiple of the tuplet's number, so that it takes whole ticks.
                return _length(text, self.ticks_per_unit, -written % actual or actual, actual, most - written)
            return _length(text, self.ticks_per_unit, 1, 1, most - written - (notes - 1))
        left = self.limit - self.elapsed
        if self._broken is not None:
            numerator, denominator = self._broken
            return _length(text, self.ticks_per_unit, denominator, denominator, left * denominator // numerator)
        return _length(text, self.ticks_per_unit, 1, 1, left)

    def _length(self, text: str) -> tuple[str, bool]:
        following, ticks = self._ticks(text)
        if not ticks:
            return following, False
        ended = self.clone()
        ended._end_note(ticks)
        after, may_end = ended._between()
        return following + after, may_end

    def _end_note(self, ticks: int) -> None:
        self._kind, self._text, self._needs_pitch, self._prefixes = "", "", False, 0
        self._last = "rest" if self._is_rest else "note"
        self._plain = 0
        if self._tuplet is not None:
            actual, normal, notes, written, most = self._tuplet
            self._tuplet = (actual, normal, notes - 1, written + ticks, most)
            if notes == 1:
                self._tuplet = None
                self.elapsed += (written + ticks) * normal // actual
        elif self._broken is not None:
            self.elapsed += ticks * self._broken[0] // self._broken[1]
            self._broken = None
        else:
            self.elapsed += ticks
            self._plain = ticks

    def _begin(self, character: str) -> None:
        """Reads a character between two things."""
        self._kind, self._text = "", ""
        match character:
            case "z" | "x":
                self._kind, self._is_rest = "length", True
            case "[":
                self._kind = "bracket"
            case "!" | '"' | "{" | "(":
                self._kind = {"!": "name", '"': "text", "{": "graces", "(": "parenthesis"}[character]
                self._prefixes += 1
            case " ":
                self._last = "space"
            case "-":
                self._last = "tie"
            case ")":
                self._last = "slur"
                self.slurs -= 1
            case ">" | "<":
                half = self._plain // 2
                self.elapsed += half if character == ">" else -half
                self._broken = (1, 2) if character == ">" else (3, 2)
                self._last = "broken"
            case "&":
                self.limit, self.exact, self.elapsed = self.elapsed, True, 0
                self._layers += 1
                self._last = "overlay"
            case _ if character in _DECORATIONS:
                self._last = "prefix"
                self._prefixes += 1
            case _:
                self._kind, self._text, self._is_rest = "head", character, False

    def _end_field(self, text: str) -> None:
        self._kind, self._last = "", "field"
        self._fields += 1
        if text.startswith("M:"):
            self.meter = text

    def _may_be_tuplet(self) -> bool:
        return not self._is_bound() and self.limit - self.elapsed >= _LEAST_TUPLET

    def _parenthesis(self, numbers: str) -> tuple[str, bool]:
        """After an opening parenthesis: the numbers of a tuplet, or a slur and the note it starts from."""
        room = self.limit - self.elapsed
        following = "".join(c for c, least in _tuplets()[numbers].items() if least <= room) if self._may_be_tuplet() else ""
        if "." not in following if numbers else self.slurs == _DEEPEST_SLUR:
            return following, False
        opened = self.clone()
        opened._open(numbers)
        return following.replace(".", "") + opened._between()[0], False

    def _open(self, numbers: str) -> None:
        """The parenthesis has turned out to be a slur (no numbers) or a tuplet."""
        self._kind, self._text, self._last = "", "", "open"
        if not numbers:
            self.slurs += 1
            self._needs_pitch = True
            return
        values = [int(number) for number in numbers.split(":")]
        actual = values[0]
        normal = values[1] if len(values) > 1 else _SHORT_TUPLETS[actual]
        notes = values[2] if len(values) > 2 else actual
        common = gcd(actual, normal)
        self._tuplet = (actual // common, normal // common, notes, 0, _tuplet_capacity(self.limit - self.elapsed, actual, normal))
