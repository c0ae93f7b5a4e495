"""The bar counters ``[r:i/j]`` as a grammar of single characters."""

from __future__ import annotations

import re

from musiczoo.representations.bar_stream import VOCABULARY

BEGIN = "\x01"
END = "\x02"
_NOT_BEGIN = "".join(map(chr, range(2, VOCABULARY)))
_COUNTERS = re.compile(r"\[r:(\d+)/(\d+)\]")
_DIGITS = "0123456789"
_LONGEST_COUNTER = 4
LONGEST_PIECE = 10**_LONGEST_COUNTER
"""Bars of the longest piece whose bars can be counted."""


class CountedBars:
    """The grammar of pieces whose counters run down, of a number of bars within limits.

    Args:
        min_bars: Bars at least.
        max_bars: Bars at most.
    """

    def __init__(self, min_bars: int, max_bars: int) -> None:
        self._numbers = (min_bars - 1, max_bars - 1)
        self._is_body = False
        self._is_line_start = True
        self._text = ""
        self._position = 0
        self._lines = 0
        # The counters of the last line, None if it had none.
        self._last: tuple[int, int] | None = None

    def clone(self) -> CountedBars:
        """A copy that can be read on by itself."""
        other = object.__new__(CountedBars)
        other.__dict__.update(self.__dict__)
        return other

    def close(self) -> None:
        """Ends the patch."""
        self._position = 0

    def allowed(self) -> str | None:
        """The characters that may come next, None for any."""
        if not self._is_line_start:
            return None if self._position else _NOT_BEGIN
        if self._text.startswith(BEGIN) or (not self._text and self._position):
            return END
        if not self._is_body:
            return _NOT_BEGIN
        if not self._lines:
            return self._first_counter()
        if self._last is None:
            return None
        bar, left = self._last
        return f"[r:{bar + 1}/{left - 1}]"[len(self._text)] if left else BEGIN

    def _first_counter(self) -> str:
        if len(self._text) < len("[r:0/"):
            return "[r:0/"[len(self._text)]
        digits = self._text[len("[r:0/") :]
        low, high = self._numbers
        following = "".join(digit for digit in _DIGITS if _begins_number(digits + digit, low, high))
        return following + ("]" if digits and low <= int(digits) <= high else "")

    def advance(self, character: str) -> None:
        """Reads a character."""
        self._position += 1
        if character == "\n":
            self._is_line_start, self._text = True, ""
            self._lines += self._is_body
        elif self._is_line_start and character != END:
            self._is_body = self._is_body or (character == "[" and not self._text)
            self._text += character
            if not self._is_body or character == "]":
                self._is_line_start = False
                counters = _COUNTERS.fullmatch(self._text)
                self._last = (int(counters[1]), int(counters[2])) if counters else None


def counter_characters(text: str) -> str:
    """The characters that may follow within ``[r:i/j]``.

    Args:
        text: What stands behind ``[r:``.
    """
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
