"""Which character may come next in a voice's bar so that the bar gets the length it must have.

A grammar of the music code that scores turn into (ABC standard 2.1, section 4), read one character
at a time. Lengths are counted in whole ticks: whatever has been written leaves a whole number of
ticks, and one note can be written for any number of them, so there is always a way on. A few things
of the standard are never offered, because scores hardly need them and the length of the bar would
hang on them: multi-bar rests, tuplets in tuplets, lengths inside chords, broken rhythm in tuplets,
and tuplets whose meaning depends on the meter.
"""

from __future__ import annotations

from collections.abc import Mapping

from musiczoo.models.bar_stream.note_grammar import (
    ACCIDENTALS,
    DECORATION_NAMES,
    DECORATIONS,
    DEEPEST_SLUR,
    GRACE_LENGTHS,
    LEAST_TUPLET,
    LONGEST_TEXT,
    MOST_FIELDS,
    MOST_HEADS,
    MOST_LAYERS,
    MOST_PREFIXES,
    PITCHES,
    TEXT_CHARACTERS,
    field_characters,
    length_characters,
    pitch_characters,
    plain_length_characters,
    tuplets,
)
from musiczoo.models.bar_stream.tuplet import OpenTuplet


class BarGrammar:
    """One voice's bar under construction.

    Args:
        ticks_per_unit: Ticks of a note without a length, a power of two.
        limit: Ticks of the bar: what it must have if ``exact``, otherwise the most.
        exact: The bar ends at ``limit`` and nowhere else.
        slurs: Slurs of the voice that are open.
        meters: The fields that may change the meter at the bar's start, by :func:`trie`; None for
            none.

    Attributes:
        elapsed: Ticks of what is written; a tuplet counts once it is whole.
        meter: The last ``M:`` field of the bar, such as ``"M:3/4]"``; ``""`` without.
    """

    def __init__(
        self,
        ticks_per_unit: int,
        limit: int,
        exact: bool,
        slurs: int = 0,
        meters: Mapping[str, str] | None = None,
    ) -> None:
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
        # A slur waits for a pitch.
        self._needs_pitch = False
        self._is_rest = False
        self._prefixes = 0
        self._heads = 0
        self._fields = 0
        self._layers = 1
        self._tuplet: OpenTuplet | None = None
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
        """The characters that may come next, and whether the bar may end here.

        There is always a character, or the bar may end.
        """
        text = self._text
        match self._kind:
            case "":
                return self._between()
            case "head":
                following, is_whole = pitch_characters(text)
                lengths, may_end = self._length("") if is_whole else ("", False)
                return following + lengths, may_end
            case "length":
                return self._length(text)
            case "chord" if text.endswith("-"):
                return "]" + self._next_head(), False
            case "chord":
                following, is_whole = pitch_characters(text)
                return following + ("-]" + self._next_head() if is_whole else ""), False
            case "bracket":
                notes = pitch_characters("")[0] if self._has_room() else ""
                return notes + self._field_names(), False
            case "field":
                return self._meters[text] if text[0] == "M" else field_characters(text), False
            case "graces":
                return "/" + pitch_characters("")[0], False
            case "grace":
                following, is_whole = pitch_characters(text)
                lengths = GRACE_LENGTHS[""] + "}" + self._next_head() if is_whole else ""
                return following + lengths, False
            case "grace length":
                following = "" if text.endswith("3/") else "}" + self._next_head()
                return GRACE_LENGTHS[text] + following, False
            case "name":
                return DECORATION_NAMES[text], False
            case "text":
                following = TEXT_CHARACTERS if len(text) < LONGEST_TEXT else ""
                return following + ('"' if text else ""), False
            case _:
                return self._parenthesis(text)

    def advance(self, character: str) -> None:
        """Reads the next character, one of those that are :meth:`allowed`."""
        text = self._text + character
        match self._kind:
            case "":
                self._begin(character)
            case "head" if character in pitch_characters(self._text)[0]:
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
                self._kind, self._last = "", "prefix"
            case "graces":
                self._kind, self._heads = "grace", 1
                self._text = "" if character == "/" else character
            case "grace" if character in GRACE_LENGTHS[""]:
                self._kind, self._text = "grace length", character
            case "grace length" if character in GRACE_LENGTHS[self._text]:
                self._text = text
            case "chord" | "grace" | "grace length" if character in ACCIDENTALS + PITCHES and (
                text.endswith("-", 0, -1) or pitch_characters(self._text)[1]
            ):
                self._kind, self._text = self._kind.split()[0], character
                self._heads += 1
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
        return pitch_characters("")[0] if self._heads < MOST_HEADS else ""

    def _field_names(self) -> str:
        if self._fields >= MOST_FIELDS or self._prefixes or self._is_bound():
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
            following += pitch_characters("")[0] + "[" + ("" if self._needs_pitch else "zx")
        elif self._field_names():
            following += "["
        if self._prefixes < MOST_PREFIXES:
            # Texts, decorations and grace notes may also stand behind the last note.
            following += '"!{' + DECORATIONS
            if has_room and (self.slurs < DEEPEST_SLUR or self._may_be_tuplet()):
                following += "("
        may_end = self.elapsed > 0 and (self.elapsed == self.limit or not self.exact)
        may_end = may_end and not (
            self._needs_pitch or self._is_bound() or self._last in ("space", "overlay")
        )
        match self._last:
            case "note" | "rest" | "tie" | "slur":
                following += self._after_note()
                if may_end and self._layers < MOST_LAYERS:
                    following += "&"
            case "field" | "prefix" if has_room or self._prefixes < MOST_PREFIXES:
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
        """What may follow in a length, and its ticks so far, within the time that is left."""
        if self._tuplet is not None:
            return self._tuplet.characters(text, self.ticks_per_unit)
        left = self.limit - self.elapsed
        if self._broken is not None:
            numerator, denominator = self._broken
            return length_characters(
                text, self.ticks_per_unit, denominator, denominator, left * denominator // numerator
            )
        return plain_length_characters(text, self.ticks_per_unit, left)

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
            self._tuplet = self._tuplet.with_note(ticks)
            if not self._tuplet.notes:
                self.elapsed += self._tuplet.ticks
                self._tuplet = None
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
                self._kind = {"!": "name", '"': "text", "{": "graces", "(": "parenthesis"}[
                    character
                ]
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
            case _ if character in DECORATIONS:
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
        return not self._is_bound() and self.limit - self.elapsed >= LEAST_TUPLET

    def _parenthesis(self, numbers: str) -> tuple[str, bool]:
        """After an opening parenthesis: the numbers of a tuplet, or a slur and its first note."""
        room = self.limit - self.elapsed
        following = (
            "".join(c for c, least in tuplets()[numbers].items() if least <= room)
            if self._may_be_tuplet()
            else ""
        )
        if "." not in following if numbers else self.slurs == DEEPEST_SLUR:
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
        self._tuplet = OpenTuplet.opened(numbers, self.limit - self.elapsed)
