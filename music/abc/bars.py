"""Bar-lines, and the splitting of a voice's music code into bars."""

from __future__ import annotations

import re
from dataclasses import replace

from musiczoo.music.abc.notation import Bar
from musiczoo.music.abc.tokens import TIMED_KINDS, TOKEN

#: The bar-lines that are kept as they stand; any other becomes the one of the same meaning.
BAR_LINES = (
    "||:",
    ":||",
    "[|:",
    ":|]",
    "|]:",
    ":[|",
    "|:",
    "::",
    ":|",
    "[|]",
    "[|",
    "||",
    "|]",
    ".|",
    "|",
)

_PARTS = re.compile(r"(?P<line>[^0-9]*?)(?P<bracket>\[?)(?P<volta>\d[\d,.\-]*)?$", re.DOTALL)
_SPACE = re.compile(r"\s+")


def split_bar_line(line: str) -> tuple[str, str]:
    """A bar-line and its volta numbers.

    >>> split_bar_line(":|2"), split_bar_line("[1,3")
    ((':|', '2'), ('', '1,3'))
    """
    match = _PARTS.match(_SPACE.sub("", line))
    if match is None:
        return line, ""
    if match["volta"] is None:
        return match["line"] + match["bracket"], ""
    return match["line"], match["volta"].rstrip(",.-")


def _joined(line: str, volta: str) -> str:
    return f"[{volta}" if volta and not line else line + volta


def closes_repeat(line: str) -> bool:
    """Whether a bar-line ends a repeated part."""
    core = split_bar_line(line)[0]
    return core == "::" or core.lstrip("[").startswith(":")


def opens_repeat(line: str) -> bool:
    """Whether a bar-line begins a repeated part."""
    core = split_bar_line(line)[0]
    return core == "::" or core.rstrip("]").endswith(":")


def normal_bar_line(text: str) -> str:
    """The bar-line that a run of bar-line characters means.

    >>> [normal_bar_line(text) for text in ("| [1", "[|][|]|]", ":||:")]
    ['|1', '|]', '::']
    """
    line, volta = split_bar_line(text)
    if line and line not in BAR_LINES:
        # The invisible bar-line adds nothing beside a visible one.
        line = line.replace("[|]", "") or "[|]"
        if line not in BAR_LINES:
            closes, opens = line.startswith((":", "[:", "]:")), line.endswith((":", ":]"))
            if closes and opens:
                line = "::"
            elif closes:
                line = ":|"
            elif opens or ":" in line:
                line = "|:"
            elif "]" in line:
                line = "|]"
            else:
                line = "||"
    return _joined(line, volta)


def merged_bar_line(first: str, second: str) -> str:
    """One bar-line for two with nothing between them; a plain one gives way to any other.

    >>> merged_bar_line(":|", "|:"), merged_bar_line("|", "||")
    ('::', '||')
    """
    line_a, volta_a = split_bar_line(first)
    line_b, volta_b = split_bar_line(second)
    plain = ("", "[|]", ".|", "|")
    if line_a in plain and line_b in plain:
        line = max(line_a, line_b, key=plain.index)
    elif line_a in plain:
        line = line_b
    elif line_b in plain:
        line = line_a
    else:
        closing = next((item for item in (line_a, line_b) if closes_repeat(item)), "")
        opening = next((item for item in (line_a, line_b) if opens_repeat(item)), "")
        line = (
            "::"
            if closing and opening
            else closing or opening or ("|]" if "|]" in (line_a, line_b) else "||")
        )
    return _joined(line, volta_b or volta_a)


def split_bars(text: str) -> tuple[tuple[Bar, ...], str]:
    """Split the music code of one voice into bars.

    A stretch between bar-lines in which nothing takes time is not a bar: its bar-lines become one,
    and its fields and annotations go to the next bar. White space becomes single
    spaces; characters without meaning, line marks and backticks are left out.

    Returns:
        The bars, and what follows the last of them if it takes no time (fields at the very end),
        else ``""``.
    """
    bars: list[Bar] = []
    pieces: list[str] = []
    left = ""
    timed = False
    for match in TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "bar":
            line = normal_bar_line(match.group())
            if timed:
                bars.append(Bar("".join(pieces).strip(), line, left if not bars else ""))
                pieces, timed = [], False
            elif bars:
                bars[-1] = replace(bars[-1], right=merged_bar_line(bars[-1].right, line))
            else:
                left = merged_bar_line(left, line) if left else line
        elif kind == "space":
            if pieces and pieces[-1] != " ":
                pieces.append(" ")
        elif kind == "quote":
            piece = match.group()
            pieces.append(piece if len(piece) > 1 and piece.endswith('"') else piece + '"')
        elif kind not in ("mark", "junk"):
            pieces.append(match.group())
            timed = timed or (kind in TIMED_KINDS and match.group()[0] != "y")
    rest = "".join(pieces).strip()
    if timed:
        bars.append(Bar(rest, "", left if not bars else ""))
        rest = ""
    return tuple(bars), rest
