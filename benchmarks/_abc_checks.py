"""Checks of one tune that need no second reader, for benchmarks/abc_corpora.py."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from musiczoo.music.abc import (
    KEYS,
    Tune,
    interleaved_lines,
    read_abc,
    signature_key,
    transpose,
    write_abc,
)
from musiczoo.music.errors import MusicZooError


def bar_figures(tune: Tune) -> Counter[str]:
    """How many bars of each voice equal the meter, and what the others are.

    The first and last bars of a voice are outer bars. A bar shorter than the meter that together
    with its neighbour, across a bar-line that divides the bar (a repeat sign, a double bar, a
    volta), makes up one bar of the meter, is a ``divided`` bar and counts as right.
    """
    figures: Counter[str] = Counter()
    for voice in tune.parsed:
        spans = voice.bars
        for index, span in enumerate(spans):
            full = span.nominal
            if full is None:
                figures["no meter"] += 1
            elif index in (0, len(spans) - 1):
                figures["outer"] += 1
            elif span.duration == full:
                figures["inner equal"] += 1
            elif _divided(spans, index, full):
                figures["inner divided"] += 1
            else:
                figures["inner short" if span.duration < full else "inner long"] += 1
    return figures


def _divided(spans: tuple, index: int, full: Fraction) -> bool:  # type: ignore[type-arg]
    """Whether a short bar completes, or is completed by, another one at a dividing bar-line."""
    span = spans[index]
    before, after = spans[index - 1], spans[index + 1]
    if span.duration >= full:
        return False
    if before.right != "|" and (before.duration + span.duration == full or before.duration < full):
        return before.duration + span.duration == full or _first_of_part(spans, index)
    if span.right != "|":
        return (
            span.duration + after.duration == full
            or span.duration + _anacrusis(spans, index) == full
        )
    return False


def _first_of_part(spans: tuple, index: int) -> bool:  # type: ignore[type-arg]
    return index == 0 or spans[index - 1].right != "|"


def _anacrusis(spans: tuple, index: int) -> Fraction:  # type: ignore[type-arg]
    """Length of the upbeat of the part that ends with bar ``index``: the first bar of the part."""
    for place in range(index, -1, -1):
        if _first_of_part(spans, place):
            return spans[place].duration
    return Fraction(0)


def round_trips(tune: Tune) -> list[str]:
    """The ways of writing and reading back that change the notes of a tune."""
    notes = tune.notes(graces=True)
    failures = []
    if read_abc(write_abc(tune)).notes(graces=True) != notes:
        failures.append("standard")
    try:
        if read_abc(write_abc(tune, interleaved=True)).notes(graces=True) != notes:
            failures.append("interleaved")
        omitted = "\n".join(
            [*(item.text for item in tune.header), *interleaved_lines(tune, omit_rests=True)]
        )
        if read_abc(omitted).notes(graces=True) != notes:
            failures.append("rests omitted")
    except MusicZooError as error:
        failures.append(f"refused: {error.message[:60]}")
    return failures


def constant_interval(tune: Tune) -> bool:
    """Whether each of the 15 transpositions moves all notes by one interval."""
    notes = tune.notes(graces=True)
    for key in KEYS:
        moved = transpose(tune, key)
        after = moved.notes(graces=True)
        if len(after) != len(notes) or signature_key(moved) != key:
            return False
        shifts = {b.pitch - a.pitch for a, b in zip(notes, after, strict=True)}
        if len(shifts) > 1 or [(n.onset, n.duration, n.voice) for n in notes] != [
            (n.onset, n.duration, n.voice) for n in after
        ]:
            return False
    return True
