"""Conditions for a generated piece to become an example in preference learning.

Wang et al. 2025 (NotaGen, arXiv 2502.18008), section 3.3 and its code:

"Additional criteria, such as syntax error checks or the exclusion of ground-truth plagiarism, can
be applied to refine these sets."
"""

from __future__ import annotations

from musiczoo.music.abc import Tune, voice_definitions
from musiczoo.music.errors import MusicZooError


def misalignment(piece: Tune) -> str | None:
    """The reason why the voices of a piece do not fit together, or None.

    All voices must have the bars and bar-lines of the first voice, each bar equally long.

    Args:
        piece: A tune, its omitted rests restored.
    """
    try:
        parsed = piece.parsed
    except MusicZooError as error:
        return f"a bar cannot be read: {error}"
    if not parsed:
        return "there are no voices"
    first, first_spans = piece.voices[0], parsed[0].bars
    for voice, spans in zip(piece.voices[1:], (other.bars for other in parsed[1:]), strict=True):
        if len(voice.bars) != len(first.bars):
            return (
                f"voice {voice.id} has {len(voice.bars)} bars, voice {first.id} has"
                f" {len(first.bars)}"
            )
        for number, (bar, other) in enumerate(zip(voice.bars, first.bars, strict=True), 1):
            if (bar.left, bar.right) != (other.left, other.right):
                return (
                    f"bar {number} of voice {voice.id} has other bar-lines than that of voice"
                    f" {first.id}"
                )
        for number, (span, other_span) in enumerate(zip(spans, first_spans, strict=True), 1):
            if span.duration != other_span.duration:
                return (
                    f"bar {number} of voice {voice.id} has another length than that of voice"
                    f" {first.id}"
                )
    return None


def ungrouped_staves(piece: Tune) -> str | None:
    """The reason why the staves are not in groups, or None.

    Staves of one instrument (``nm=`` of their ``V:`` lines) must stand together.
    """
    seen: list[str] = []
    for definition in voice_definitions(piece).values():
        if definition.name and (not seen or seen[-1] != definition.name):
            if definition.name in seen:
                return f"the staves of {definition.name} do not stand together"
            seen.append(definition.name)
    return None
