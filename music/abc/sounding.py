"""From a tune to sounding notes: transposed voices, merged ties, repeats and voltas played out."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise

from musiczoo.music.abc.bars import closes_repeat, opens_repeat, split_bar_line
from musiczoo.music.abc.keys import parse_key
from musiczoo.music.abc.notation import BarSpan, Event, Notated, Note, ParsedVoice
from musiczoo.music.abc.score import parse_voice_field, voice_definitions
from musiczoo.music.errors import MusicZooError

# A piece that plays more bars than this many times its length is an error in its repeats.
_MAX_PASSES = 16


def sounding_notes(
    tune: Notated, *, graces: bool = False, expand_repeats: bool = False
) -> list[Note]:
    """Sounding notes of all voices with ties merged, sorted by (onset, pitch).

    Args:
        tune: The tune.
        graces: Include grace notes, at the onset of the note they adorn, with duration 0.
        expand_repeats: Play repeats and voltas out. The bar-lines of the voice itself decide.

    Raises:
        MusicZooError: Music code that cannot be read, with voice and bar.
    """
    definitions = voice_definitions(tune)
    key = parse_key(tune.field("K") or "none")
    notes: list[Note] = []
    for voice in tune.parsed:
        transpose = definitions[voice.id].transpose + (key.transpose or 0)
        order = list(range(len(voice.bars)))
        if expand_repeats:
            order = playing_order(voice.bars)
        notes += _voice_notes(voice, order, transpose, graces)
    notes.sort(key=lambda note: (note.onset, note.pitch))
    return notes


def _voice_notes(voice: ParsedVoice, order: list[int], transpose: int, graces: bool) -> list[Note]:
    by_bar: list[list[Event]] = [[] for _ in voice.bars]
    for event in voice.events:
        by_bar[event.bar].append(event)
    notes: list[Note] = []
    # Notes that a tie leads out of: pitch -> (where the tied note must begin, index of the note so
    # far).
    open_ties: dict[int, tuple[Fraction, int]] = {}
    time = Fraction(0)
    changes = _transposition_changes(voice, transpose)
    in_order = all(first + 1 == second for first, second in pairwise(order))
    for index in order:
        span = voice.bars[index]
        shift = changes[index]
        offset = None if in_order else time - span.onset
        for event in by_bar[index]:
            if not event.heads or (event.grace and not graces):
                continue
            onset = event.onset if offset is None else event.onset + offset
            for head in event.heads:
                pitch = head.pitch.midi + shift
                if event.grace:
                    notes.append(Note(onset, pitch, Fraction(0), voice.id, index, True))
                    continue
                position = -1
                tied = open_ties.get(pitch) if open_ties else None
                if tied is not None and tied[0] == onset:
                    del open_ties[pitch]
                    position = tied[1]
                    before = notes[position]
                    notes[position] = Note(
                        before.onset, pitch, before.duration + head.duration, voice.id, before.bar
                    )
                else:
                    position = len(notes)
                    notes.append(Note(onset, pitch, head.duration, voice.id, index))
                if head.tie:
                    open_ties[pitch] = (onset + head.duration, position)
        time += span.duration
    return notes


def _transposition_changes(voice: ParsedVoice, transpose: int) -> list[int]:
    """Semitones from notated to sounding pitch in each bar.

    ``transpose=`` of an inline field holds from its bar on.
    """
    changes = []
    for span in voice.bars:
        for _, field in span.fields:
            if "transpose" in field.value:
                if field.name == "K":
                    found = parse_key(field.value).transpose
                    transpose = transpose if found is None else found
                elif field.name == "V":
                    transpose = parse_voice_field(field.value).transpose
        changes.append(transpose)
    return changes


def playing_order(bars: tuple[BarSpan, ...]) -> list[int]:
    """Indices of the bars of a voice in the order in which repeats and voltas have them played.

    Raises:
        MusicZooError: Repeats that would play a piece sixteen times over.
    """
    voltas = [
        _volta_numbers(bars[index - 1].right if index else bar.left)
        for index, bar in enumerate(bars)
    ]
    order: list[int] = []
    start, turn, index = 0, 1, 0
    while index < len(bars):
        if len(order) > _MAX_PASSES * len(bars):
            raise MusicZooError(
                "the repeats never come to an end.",
                remedy="Check the repeat signs and volta numbers.",
            )
        numbers = voltas[index]
        if numbers and turn not in numbers:
            section = _section_end(bars, voltas, index)
            index = next(
                (place for place in range(index + 1, section) if turn in voltas[place]), section
            )
            continue
        if (
            index
            and opens_repeat(bars[index - 1].right)
            and start != index
            and (not order or order[-1] == index - 1)
        ):
            start, turn = index, 1
        order.append(index)
        line = bars[index].right
        if closes_repeat(line):
            section = _section_end(bars, voltas, index)
            last = max(
                (number for place in range(start, section) for number in voltas[place]), default=0
            )
            if turn < (last or 2):
                turn += 1
                index = start
                continue
            start, turn = index + 1, 1
        elif _volta_ends(bars, voltas, index) and turn > 1:
            start, turn = index + 1, 1
        index += 1
    return order


def _volta_ends(bars: tuple[BarSpan, ...], voltas: list[set[int]], index: int) -> bool:
    """Whether a volta ends after this bar: at any bar-line that is not plain (standard 4.10)."""
    first = next((place for place in range(index, -1, -1) if voltas[place]), None)
    if first is None:
        return False
    inside = all(
        split_bar_line(bars[place].right)[0] in ("|", ".|") for place in range(first, index)
    )
    return inside and split_bar_line(bars[index].right)[0] not in ("|", ".|", "")


def _volta_numbers(line: str) -> set[int]:
    volta = split_bar_line(line)[1]
    numbers: set[int] = set()
    for part in re.split(r"[,.]", volta):
        low, _, high = part.partition("-")
        if low.isdigit():
            last = int(high) if high.isdigit() else int(low)
            numbers.update(range(int(low), min(last, int(low) + _MAX_PASSES) + 1))
    return numbers


def _section_end(bars: tuple[BarSpan, ...], voltas: list[set[int]], index: int) -> int:
    """The bar after the last volta of the group that holds the one at or before ``index``."""
    seen: set[int] = set()
    place = index
    # Walk back to the first volta of the group so that numbers seen twice end it.
    while place > 0 and not voltas[place]:
        place -= 1
    if not voltas[place]:
        return index + 1
    while True:
        seen |= voltas[place]
        while (
            place < len(bars) - 1
            and split_bar_line(bars[place].right)[0] in ("|", ".|")
            and not voltas[place + 1]
        ):
            place += 1
        place += 1
        if place >= len(bars) or not voltas[place] or voltas[place] & seen:
            return max(place, index + 1)
