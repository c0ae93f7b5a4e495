"""Bars cut from a voice, with the bar-lines and fields that the rest needs."""

from __future__ import annotations

from dataclasses import replace

from musiczoo.music.abc.bars import closes_repeat, normal_bar_line, opens_repeat, split_bar_line
from musiczoo.music.abc.tokens import tokenize
from musiczoo.music.abc.tune import Bar

# Inline fields that hold for the bars after them, so that they must outlive the bar they stand in.
_LASTING_FIELDS = "KMLQV"


def without_bars(bars: tuple[Bar, ...], start: int, count: int) -> tuple[Bar, ...]:
    """The bars of a voice without some of them.

    Fields in the cut bars that hold for the others are kept.

    Args:
        bars: Of the voice; the first one stays.
        start: Index of the first bar that is cut, from 1.
        count: How many are cut.
    """
    head, cut, tail = bars[:start], bars[start : start + count], bars[start + count :]
    last = head[-1]
    if not tail:
        return (*head[:-1], replace(last, right=_final_bar_line(last.right, cut[-1].right)))
    fields: dict[str, str] = {}
    for bar in cut:
        for token in tokenize(bar.text):
            if token.kind == "field" and token.text[1] in _LASTING_FIELDS:
                fields.pop(token.text[1], None)
                fields[token.text[1]] = token.text
    joined = replace(last, right=_joined_bar_line(last.right, cut[-1].right))
    return (
        *head[:-1],
        joined,
        replace(tail[0], text="".join(fields.values()) + tail[0].text),
        *tail[1:],
    )


def _repeats(first: str, second: str) -> tuple[bool, bool]:
    """Whether a repeat closes, and whether one opens, where all between two bar-lines is cut."""
    closes = closes_repeat(first) or (closes_repeat(second) and not opens_repeat(first))
    opens = opens_repeat(second) or (opens_repeat(first) and not closes_repeat(second))
    return closes, opens


def _final_bar_line(first: str, second: str) -> str:
    """The bar-line at the end of a piece whose bars between two bar-lines are cut off.

    It is the last one, and no repeat stays open.
    """
    line = split_bar_line(second)[0]
    closes, _ = _repeats(first, second)
    if closes:
        return line if closes_repeat(second) and not opens_repeat(second) else ":|"
    return "|]" if closes_repeat(second) else line


def _joined_bar_line(first: str, second: str) -> str:
    """The bar-line where all between two bar-lines is cut from the middle of a piece."""
    (line_a, volta_a), (line_b, volta_b) = split_bar_line(first), split_bar_line(second)
    closes, opens = _repeats(first, second)
    if closes or opens:
        line = {(True, True): "::", (True, False): ":|", (False, True): "|:"}[closes, opens]
    else:
        special = [
            line
            for line in (line_b, line_a)
            if not closes_repeat(line) and not opens_repeat(line) and line not in ("", "|")
        ]
        line = special[0] if special else "|"
    # An ending that began before the cut continues after it, unless its end was cut too.
    volta = volta_b or ("" if closes_repeat(second) else volta_a)
    return normal_bar_line(line + volta)
