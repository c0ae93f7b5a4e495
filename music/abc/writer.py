"""A tune as ABC text: in the standard form, or interleaved for language models (one line a bar)."""

from __future__ import annotations

import re

from musiczoo.music.abc.bars import split_bar_line
from musiczoo.music.abc.rests import kept_voice_bars, require_equal_bars
from musiczoo.music.abc.tune import Bar, Tune, Voice
from musiczoo.music.errors import MusicZooError

_LEADING_FIELDS = re.compile(r"(?:\[[A-Za-z]:[^\]\n]{0,400}\]\s*)+")
_BARS_PER_LINE = 4


def write_abc(tune: Tune, *, interleaved: bool = False) -> str:
    """Write a tune as ABC text that ends in a newline.

    The standard form has each voice's ``V:`` line followed by its bars, four on a line, and begins
    with ``X:`` (added where the header has none). The interleaved form writes the header as it is
    and then :func:`interleaved_lines`.

    Raises:
        MusicZooError: A bar-line missing between two bars; interleaved: voices with different
            numbers of bars.
    """
    header = [item.text for item in tune.header]
    if interleaved:
        return "\n".join([*header, *interleaved_lines(tune), ""])
    if tune.field("X") is None:
        header.insert(0, "X:1")
    lines: list[str] = []
    single = len(tune.voices) == 1 and tune.field("V") is None
    for voice in tune.voices:
        if not single:
            lines.append(f"V:{voice.id}")
        lines += _standard_lines(voice, tune.path)
    return "\n".join([*header, *lines, ""])


def _standard_lines(voice: Voice, path: str | None) -> list[str]:
    pieces = []
    for index, bar in enumerate(voice.bars):
        if not split_bar_line(bar.right)[0] and index + 1 < len(voice.bars) and not bar.right:
            raise MusicZooError(
                "a bar-line is missing after this bar.",
                path=path,
                where=f"voice {voice.id}, bar {index + 1}",
            )
        pieces.append(f"{bar.left}{' ' if bar.left else ''}{bar.text} {bar.right}".rstrip())
    return [
        " ".join(pieces[start : start + _BARS_PER_LINE])
        for start in range(0, len(pieces), _BARS_PER_LINE)
    ]


def interleaved_lines(tune: Tune, *, omit_rests: bool = False) -> list[str]:
    """The body of a tune bar by bar: ``[V:1]G2 A2|[V:2]D4|``, voices in the order of the body.

    Args:
        tune: The tune.
        omit_rests: Leave out the bars of rest that reading puts back
            (:mod:`musiczoo.music.abc.rests`).

    Raises:
        MusicZooError: Voices with different numbers of bars; with ``omit_rests`` also music code
            that cannot be read.
    """
    require_equal_bars(tune)
    if not tune.voices:
        return []
    columns = [_voice_bars(voice) for voice in tune.voices]
    if omit_rests:
        kept = kept_voice_bars(tune)
        return [
            "".join(piece for piece, keep in zip(row, flags, strict=True) if keep)
            for row, flags in zip(zip(*columns, strict=True), kept, strict=True)
        ]
    return ["".join(row) for row in zip(*columns, strict=True)]


def _voice_bars(voice: Voice) -> list[str]:
    tag = f"[V:{voice.id}]"
    return [tag + (_first_bar(bar) if bar.left else bar.text + bar.right) for bar in voice.bars]


def _first_bar(bar: Bar) -> str:
    # Fields that stand at the very beginning come before the opening bar-line, as in the published
    # form.
    match = _LEADING_FIELDS.match(bar.text)
    prefix = match.group() if match else ""
    return prefix + bar.left + bar.text[len(prefix) :] + bar.right
