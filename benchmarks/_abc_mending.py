"""ABC text without the constructs that music21 misreads, so that it can serve as an oracle.

Each rule is a plain substitution, independent of musiczoo's tokenizer; docs/abc.md lists the
defects. Both readers read the same text.
"""

from __future__ import annotations

import re

_QUOTE = re.compile(r'"[^"]*"')
_GRACE = re.compile(r"\{[^}]*\}")
_DECORATION = re.compile(r'[~.HLMOPSTuv](?=[\^_=A-Ga-gxz\[("{~.HLMOPSTuv-])')
_SLUR = re.compile(r"\((?!\d)|\)")
_SPACER = re.compile(r"(?<![A-Za-z])x(?=\s*[:|])")
_TIE = re.compile(r"([\^_=]*[A-Ga-g][,']*)([\d/]*[<>]*)-([\s|\\]*)(?=([\^_=]*[A-Ga-g][,']*)?)")
_METER = re.compile(r"M:\s*(\d+)/(\d+)")


def mended(text: str) -> str:
    """The text without quotes, grace notes, decorations, slurs and false ties.

    The unit length and the ABC version are written out.
    """
    lines = ["%abc-2.1"]
    unit = "L:1/8"
    has_unit = False
    for line in text.splitlines():
        if re.match(r"\s*X:", line):
            unit, has_unit = "L:1/8", False
        meter = _METER.match(line)
        if meter and not has_unit:
            unit = "L:1/16" if 4 * int(meter[1]) < 3 * int(meter[2]) else "L:1/8"
        has_unit = has_unit or line.startswith("L:")
        if line.startswith("K:") and not has_unit:
            lines.append(unit)
            has_unit = True
        is_field = re.match(r"\s*([A-Za-z]:(?![|:])|%)", line)
        lines.append(line if is_field else _music(line))
    return _TIE.sub(_true_tie, "\n".join(lines) + "\n")


def _music(line: str) -> str:
    line = _GRACE.sub("", _QUOTE.sub("", line))
    for _ in range(3):
        line = _DECORATION.sub("", line)
    return _SPACER.sub("", _SLUR.sub("", line)).replace("::", " :: ")


def _true_tie(match: re.Match[str]) -> str:
    """The tie; between different pitches, where it is a slur, without its hyphen."""
    if match[4] is not None and match[1].lstrip("^_=") == match[4].lstrip("^_="):
        return match.group()
    return match[1] + match[2] + match[3]
