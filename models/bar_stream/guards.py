"""Guards: options of generation that steer what the model may say, and delete nothing.

A guard follows a piece character by character and tells at each one which may come next; the
sampler gives the others no probability. Under :class:`BarDurations` the voices of every bar have
one length; under :class:`Countdown` the bar counters run from ``[r:0/n]`` to ``[r:n/0]`` and the
piece ends there. :class:`Guards` joins several. The alternative is to throw away, afterwards, the
pieces whose voices have come apart (the "syntax error checks" of Wang et al. 2025, NotaGen, section
3.3) or that never end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from musiczoo.models.bar_stream.bar_grammar import BarGrammar
from musiczoo.models.bar_stream.note_grammar import (
    LONGEST_BAR,
    METER_FIELDS,
    TICKS_PER_WHOLE_NOTE,
    trie,
)
from musiczoo.music.abc.keys import default_unit, parse_meter, parse_unit
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.bar_stream import VOCABULARY, BarStreamPatches

Mask = NDArray[np.bool_]

_BEGIN = "\x01"
_END = "\x02"
_PATCH_SIZE = 16
_NOT_BEGIN = "".join(map(chr, range(2, VOCABULARY)))
_COUNTERS = re.compile(r"\[r:(\d+)/(\d+)\]")
_PRINTABLE = "".join(map(chr, range(32, 127)))
_DIGITS = "0123456789"
_LONGEST_COUNTER = 4
LONGEST_PIECE = 10**_LONGEST_COUNTER
"""Bars of the longest piece that :class:`Countdown` counts."""
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


class PieceGuard(Protocol):
    """Follows one piece."""

    def mask(self, partial: str) -> Mask | None:
        """Which characters may come next.

        Args:
            partial: The text of the patch under construction, begin and end marks as the characters
                1 and 2.

        Returns:
            128 truth values, at least one of them True, or None for no opinion.
        """
        ...

    def commit(self, patch: str) -> None:
        """Takes note of a finished patch: full, or closed by its end mark."""
        ...


class Guard(Protocol):
    """A guard as a setting; makes one follower a piece."""

    def for_piece(self, prompt: str) -> PieceGuard:
        """The follower of a piece that goes on from ``prompt``: header lines, and bars if there are any."""
        ...


class Guards:
    """Several guards at once: what all of them allow.

    Args:
        guards: At most one of a kind.
    """

    def __init__(self, guards: Sequence[Guard]) -> None:
        self.guards = tuple(guards)

    def for_piece(self, prompt: str) -> PieceGuard:
        """The follower of a piece that goes on from ``prompt``."""
        return _Joined([guard.for_piece(prompt) for guard in self.guards])


class _Joined:
    def __init__(self, followers: Sequence[PieceGuard]) -> None:
        self._followers = followers

    def mask(self, partial: str) -> Mask | None:
        masks = [
            mask for follower in self._followers if (mask := follower.mask(partial)) is not None
        ]
        return np.logical_and.reduce(masks) if masks else None

    def commit(self, patch: str) -> None:
        for follower in self._followers:
            follower.commit(patch)


class BarDurations:
    """All voices of a bar have one length.

    The first voice of a line sets the length of its bar; the others are steered so that their bar
    ends exactly there: no note is longer than what is left, and no bar-line or end mark comes
    before. The patches are cut where the representation cuts them, and all voices have the
    bar-lines of the first.

    Args:
        meter: Also hold the first voice to the meter (``M:``): every bar is full except the first
            and the last, which may be shorter. Otherwise it may be up to two full bars long.
    """

    def __init__(self, meter: bool = False) -> None:
        self.meter = meter

    def for_piece(self, prompt: str) -> PieceGuard:
        """The follower of a piece that goes on from ``prompt``."""
        return _follow(prompt, _Aligned(self.meter))


class Countdown:
    """The bar counters run down and the piece ends with them: ``[r:0/n]``, ``[r:1/n-1]``, ..., ``[r:n/0]``, end.

    Args:
        min_bars: Bars of the piece at least.
        max_bars: Bars of the piece at most.
    """

    def __init__(self, min_bars: int = 1, max_bars: int = 1000) -> None:
        if not 1 <= min_bars <= max_bars <= LONGEST_PIECE:
            raise MusicZooError(
                f"No piece has {min_bars} to {max_bars} bars.",
                remedy=f"Choose 1 <= min_bars <= max_bars <= {LONGEST_PIECE}.",
            )
        self.min_bars = min_bars
        self.max_bars = max_bars

    def for_piece(self, prompt: str) -> PieceGuard:
        """The follower of a piece that goes on from ``prompt``."""
        return _follow(prompt, _Counted(self.min_bars, self.max_bars))


class _Grammar(Protocol):
    """A piece read one character at a time."""

    def allowed(self) -> str | None:
        """The characters that may come next, None for any."""
        ...

    def advance(self, character: str) -> None: ...

    def close(self) -> None:
        """The patch has ended."""
        ...

    def clone(self) -> _Grammar: ...


class _Follower:
    """A grammar behind the two calls of a sampler, which may ask about one patch several times and begin it anew."""

    def __init__(self, grammar: _Grammar) -> None:
        self._committed = grammar
        self._current = grammar.clone()
        self._partial = ""

    def mask(self, partial: str) -> Mask | None:
        self._read(partial)
        allowed = self._current.allowed()
        return None if allowed is None else _mask(allowed)

    def commit(self, patch: str) -> None:
        self._read(patch)
        self._current.close()
        self._committed, self._current, self._partial = self._current, self._current.clone(), ""

    def _read(self, partial: str) -> None:
        if not partial.startswith(self._partial):
            self._current, self._partial = self._committed.clone(), ""
        for character in partial[len(self._partial) :]:
            self._current.advance(character)
        self._partial = partial


def _follow(prompt: str, grammar: _Grammar) -> _Follower:
    follower = _Follower(grammar)
    patches = BarStreamPatches(_PATCH_SIZE).encode_text(
        prompt, annotate=False, end=False, max_length=len(prompt) + 1
    )
    for patch in patches[1:].tolist():
        follower.commit("".join(chr(code) for code in patch if code))
    return follower


@lru_cache(maxsize=4096)
def _mask(allowed: str) -> Mask:
    mask = np.zeros(VOCABULARY, dtype=bool)
    mask[np.frombuffer(allowed.encode("ascii"), dtype=np.uint8)] = True
    mask.flags.writeable = False
    return mask


class _Aligned:
    """The grammar of :class:`BarDurations`."""

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

    def clone(self) -> _Aligned:
        other = object.__new__(_Aligned)
        other.__dict__.update(self.__dict__)
        other._bar = self._bar.clone()
        return other

    def close(self) -> None:
        self._position = 0
        if self._phase == "newline":
            self._phase, self._text = "line", ""
        elif self._phase == "header" and self._text.endswith("\n"):
            self._text = ""

    def allowed(self) -> str | None:
        text = self._text
        match self._phase:
            case "header":
                return _END if text.endswith("\n") else _PRINTABLE + ("\n" if text else "")
            case "line":
                return "[r:"[len(text)] + ("" if text else _BEGIN)
            case "counter":
                return _counter(text)
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
                return _END
        return None

    def advance(self, character: str) -> None:
        allowed = self.allowed()
        self._position += 1
        if self._phase != "header" and (allowed is None or character not in allowed):
            self._phase = "newline" if character == "\n" else "lost"
            self._lines += character == "\n"
            return
        if character != _END:
            self._text += character
        match self._phase:
            case "header" if self._text == "[":
                self._begin_body()
            case "header" if character == "\n":
                self._header = (*self._header, self._text)
            case "line" if character == _BEGIN:
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
            start = _END if self._position else "|"
            return following + start if self._left is None else start
        if not may_end:
            return following
        if self._position and self._next_voice < len(self._voices):
            following += _END
        return following + (_RIGHT_BAR_LINES[""] if self._right is None else self._right[0])

    def _advance_in_bar(self, character: str) -> None:
        if self._awaits_left_bar_line():
            if character in (_END, "|"):
                self._phase, self._text, self._is_open = "left", character.strip(_END), True
                return
            self._left = ""
        if character == _END or (character in "|:" and self._bar.allowed()[1]):
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
        self._phase, self._text = "right", character.strip(_END)
        # Behind an end mark a bar-line opens the group of the next voice, within a patch it closes
        # the line, between full patches either.
        opens_group = character == _END or (
            self._position == 1 and self._next_voice < len(self._voices)
        )
        self._after_right = ("[" if opens_group else "") + ("" if character == _END else "\n")


class _Counted:
    """The grammar of :class:`Countdown`."""

    def __init__(self, min_bars: int, max_bars: int) -> None:
        self._numbers = (min_bars - 1, max_bars - 1)
        self._is_body = False
        self._is_line_start = True
        self._text = ""
        self._position = 0
        self._lines = 0
        # The counters of the last line, None if it had none.
        self._last: tuple[int, int] | None = None

    def clone(self) -> _Counted:
        other = object.__new__(_Counted)
        other.__dict__.update(self.__dict__)
        return other

    def close(self) -> None:
        self._position = 0

    def allowed(self) -> str | None:
        if not self._is_line_start:
            return None if self._position else _NOT_BEGIN
        if self._text.startswith(_BEGIN) or (not self._text and self._position):
            return _END
        if not self._is_body:
            return _NOT_BEGIN
        if not self._lines:
            return self._first_counter()
        if self._last is None:
            return None
        bar, left = self._last
        return f"[r:{bar + 1}/{left - 1}]"[len(self._text)] if left else _BEGIN

    def _first_counter(self) -> str:
        if len(self._text) < len("[r:0/"):
            return "[r:0/"[len(self._text)]
        digits = self._text[len("[r:0/") :]
        low, high = self._numbers
        following = "".join(digit for digit in _DIGITS if _begins_number(digits + digit, low, high))
        return following + ("]" if digits and low <= int(digits) <= high else "")

    def advance(self, character: str) -> None:
        self._position += 1
        if character == "\n":
            self._is_line_start, self._text = True, ""
            self._lines += self._is_body
        elif self._is_line_start and character != _END:
            self._is_body = self._is_body or (character == "[" and not self._text)
            self._text += character
            if not self._is_body or character == "]":
                self._is_line_start = False
                counters = _COUNTERS.fullmatch(self._text)
                self._last = (int(counters[1]), int(counters[2])) if counters else None


def _counter(text: str) -> str:
    """What may follow within ``[r:i/j]`` behind ``[r:``."""
    done, slash, left = text.partition("/")
    number = left if slash else done
    following = "" if number == "0" or len(number) == _LONGEST_COUNTER else _DIGITS
    return following + (("]" if slash else "/") if number else "")


def _begins_number(digits: str, low: int, high: int) -> bool:
    """Whether a number from ``low`` to ``high`` is written with these digits first."""
    if digits.startswith("0"):
        return digits == "0" and low == 0
    first = last = int(digits)
    while first <= high:
        if last >= low:
            return True
        first, last = 10 * first, 10 * last + 9
    return False


def _full_bar(meter: tuple[int, int] | None) -> int | None:
    """Ticks of a full bar, None without a meter or if they are not a whole number or too many."""
    if meter is None:
        return None
    ticks = Fraction(TICKS_PER_WHOLE_NOTE * meter[0], meter[1])
    return ticks.numerator if ticks.denominator == 1 and ticks <= LONGEST_BAR else None
