"""Pieces whose voices have bars of one length, as a grammar of single characters."""

from __future__ import annotations

from fractions import Fraction

from musiczoo.models.bar_stream.bar_counters import BEGIN, END, counter_characters
from musiczoo.models.bar_stream.bar_grammar import BarGrammar
from musiczoo.models.bar_stream.note_grammar import (
    LONGEST_BAR,
    METER_FIELDS,
    TICKS_PER_WHOLE_NOTE,
    trie,
)
from musiczoo.music.abc.keys import default_unit, parse_meter, parse_unit

_PRINTABLE = "".join(map(chr, range(32, 127)))
_RIGHT_BAR_LINES = trie(
    [
        "|",
        "||",
        "|]",
        "|:",
        ":|",
        "::",
        *(f"{line}{volta}" for line in ("|", ":|") for volta in "123456"),
    ]
)
_WHOLE_BAR_LINES = frozenset(line for line in _RIGHT_BAR_LINES if line not in ("", ":"))
_LEFT_BAR_LINES = trie(["|:", "||"])


class AlignedBars:
    """The grammar of :class:`musiczoo.models.bar_stream.guards.BarDurations`.

    Args:
        holds_meter: Hold the first voice to the meter too.
    """

    def __init__(self, holds_meter: bool) -> None:
        self._holds_meter = holds_meter
        # "header"; of each line "line", "counter", "newline"; of each of its voices "voice", "left"
        # (bar-line), "bar", "right" (bar-line); "end". A line that does not follow the grammar, as
        # a prompt may have it, is "lost": the guard waits for the next one.
        self._phase = "header"
        self._text = ""
        self._position = 0
        self._header: tuple[str, ...] = ()
        self._ticks_per_unit = 0
        self._full_bar: int | None = None
        self._voices: tuple[str, ...] = ()
        self._slurs: dict[str, int] = {}
        self._lines = 0
        self._is_last_line = False
        # Of the current line: the next voice's place, the length of its bars, and their bar-lines,
        # once they are known.
        self._next_voice = 0
        self._target: int | None = None
        self._left: str | None = ""
        self._right: str | None = None
        self._meter = ""
        self._bar = BarGrammar(1, 1, exact=False)
        self._is_open = False
        self._after_right = ""

    def clone(self) -> AlignedBars:
        """A copy that can be read on by itself."""
        other = object.__new__(AlignedBars)
        other.__dict__.update(self.__dict__)
        other._bar = self._bar.clone()
        return other

    def close(self) -> None:
        """Ends the patch."""
        self._position = 0
        if self._phase == "newline":
            self._phase, self._text = "line", ""
        elif self._phase == "header" and self._text.endswith("\n"):
            self._text = ""

    def allowed(self) -> str | None:
        """The characters that may come next, None for any."""
        text = self._text
        match self._phase:
            case "header":
                return END if text.endswith("\n") else _PRINTABLE + ("\n" if text else "")
            case "line":
                return "[r:"[len(text)] + ("" if text else BEGIN)
            case "counter":
                return counter_characters(text)
            case "voice":
                return "".join(
                    {
                        tag[len(text)]
                        for voice in self._voices[self._next_voice :]
                        if (tag := f"[V:{voice}]").startswith(text)
                    }
                )
            case "left":
                return _LEFT_BAR_LINES[text] if self._left is None else self._left[len(text)]
            case "bar":
                return self._allowed_in_bar()
            case "right":
                if self._right is None:
                    return _RIGHT_BAR_LINES[text] + (
                        self._after_right if text in _WHOLE_BAR_LINES else ""
                    )
                return self._right[len(text)] if len(text) < len(self._right) else self._after_right
            case "newline" | "end":
                return END
        return None

    def advance(self, character: str) -> None:
        """Reads a character."""
        allowed = self.allowed()
        self._position += 1
        if self._phase != "header" and (allowed is None or character not in allowed):
            self._phase = "newline" if character == "\n" else "lost"
            self._lines += character == "\n"
            return
        if character != END:
            self._text += character
        match self._phase:
            case "header" if self._text == "[":
                self._begin_body()
            case "header" if character == "\n":
                self._header = (*self._header, self._text)
            case "line" if character == BEGIN:
                self._phase = "end"
            case "line" if self._text == "[r:":
                self._phase, self._text = "counter", ""
            case "counter" if character == "]":
                self._begin_line()
            case "voice" if character == "]":
                self._begin_bar()
            case "left" if self._text in ("|:", "||"):
                self._phase, self._left = "bar", self._text
            case "bar":
                self._advance_in_bar(character)
            case "right" if character == "[":
                self._phase, self._right, self._text = "voice", self._text[:-1], "["
            case "right" if character == "\n":
                self._phase = "newline"
                self._lines += 1

    def _begin_body(self) -> None:
        self._phase = "line"
        fields = {line[:2]: line[2:].strip() for line in reversed(self._header)}
        meter = parse_meter(fields.get("M:", "4/4"))
        unit = parse_unit(fields.get("L:", "")) or default_unit(meter)
        ticks = unit * TICKS_PER_WHOLE_NOTE / 4
        is_regular = ticks.denominator == 1 and ticks.numerator & (ticks.numerator - 1) == 0
        # Any unit will do for voices that only have to match each other, but not beside a meter.
        self._ticks_per_unit = ticks.numerator if is_regular else TICKS_PER_WHOLE_NOTE // 8
        self._full_bar = _full_bar(meter) if is_regular else None
        voices = list(
            dict.fromkeys(
                line[2:].split()[0]
                for line in self._header
                if line.startswith("V:") and line[2:].strip()
            )
        ) or ["1"]
        self._voices = tuple(
            sorted(voices, key=int) if all(voice.isdecimal() for voice in voices) else voices
        )

    def _begin_line(self) -> None:
        self._is_last_line = self._text.endswith("/0]")
        self._phase, self._text = "voice", ""
        self._next_voice = 0
        self._target = self._right = None
        # Only a voice's first bar can have a bar-line on its left.
        self._left = "" if self._lines else None
        self._meter = ""

    def _begin_bar(self) -> None:
        voice = self._text[3:-1]
        self._next_voice = self._voices.index(voice) + 1
        self._phase, self._text, self._is_open = "bar", "", False
        slurs = self._slurs.get(voice, 0)
        if self._target is None:
            self._bar = BarGrammar(self._ticks_per_unit, *self._first_length(), slurs, METER_FIELDS)
        else:
            self._bar = BarGrammar(
                self._ticks_per_unit,
                self._target,
                True,
                slurs,
                trie([self._meter]) if self._meter else None,
            )

    def _first_length(self) -> tuple[int, bool]:
        """The limit of the first voice's bar, and whether the bar must be as long."""
        if self._full_bar is None:
            return LONGEST_BAR, False
        if self._holds_meter:
            return self._full_bar, self._lines > 0 and not self._is_last_line
        return min(2 * self._full_bar, LONGEST_BAR), False

    def _awaits_left_bar_line(self) -> bool:
        """Whether a left bar-line may (``_left`` None) or must stand here."""
        return self._left != "" and not self._is_open and self._bar.is_untouched

    def _allowed_in_bar(self) -> str:
        following, may_end = self._bar.allowed()
        if self._awaits_left_bar_line():
            # A bar-line opens a group, and a group a patch.
            start = END if self._position else "|"
            return following + start if self._left is None else start
        if not may_end:
            return following
        if self._position and self._next_voice < len(self._voices):
            following += END
        return following + (_RIGHT_BAR_LINES[""] if self._right is None else self._right[0])

    def _advance_in_bar(self, character: str) -> None:
        if self._awaits_left_bar_line():
            if character in (END, "|"):
                self._phase, self._text, self._is_open = "left", character.strip(END), True
                return
            self._left = ""
        if character == END or (character in "|:" and self._bar.allowed()[1]):
            self._end_bar(character)
            return
        self._bar.advance(character)
        if self._target is None and self._bar.meter != self._meter:
            self._meter = self._bar.meter
            self._full_bar = _full_bar(parse_meter(self._meter[2:-1]))
            self._bar.limit, self._bar.exact = self._first_length()

    def _end_bar(self, character: str) -> None:
        ticks = self._bar.finish()
        self._target = self._target or ticks
        self._slurs = self._slurs | {self._voices[self._next_voice - 1]: self._bar.slurs}
        self._phase, self._text = "right", character.strip(END)
        # Behind an end mark a bar-line opens the group of the next voice, within a patch it closes
        # the line, between full patches either.
        opens_group = character == END or (
            self._position == 1 and self._next_voice < len(self._voices)
        )
        self._after_right = ("[" if opens_group else "") + ("" if character == END else "\n")


def _full_bar(meter: tuple[int, int] | None) -> int | None:
    """Ticks of a full bar, None without a meter or if they are not a whole number or too many."""
    if meter is None:
        return None
    ticks = Fraction(TICKS_PER_WHOLE_NOTE * meter[0], meter[1])
    return ticks.numerator if ticks.denominator == 1 and ticks <= LONGEST_BAR else None
