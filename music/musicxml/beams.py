"""Beams and tuplet brackets of a stream of written notes."""

from __future__ import annotations

from fractions import Fraction

from musiczoo.music.musicxml.note_types import FLAGS, odd_part
from musiczoo.music.musicxml.written_notes import Stream


def bracket_odd_lengths(stream: Stream) -> None:
    """Bracket what is written with a tuplet ratio although the text has no tuplet.

    A bracket ends where the lengths add up to a plain one again.
    """
    group: Stream = []
    total = Fraction(0)
    for note in stream:
        plain = (
            note.value is not None
            and note.value.actual > 1
            and not (note.event is not None and (note.event.tuplet or note.event.grace))
        )
        if not plain or (
            group and note.value and group[0].value and note.value.actual != group[0].value.actual
        ):
            _close_bracket(group)
            group, total = [], Fraction(0)
        if plain:
            group.append(note)
            total += note.duration
            if odd_part(total.denominator) == 1:
                _close_bracket(group)
                group, total = [], Fraction(0)
    _close_bracket(group)


def _close_bracket(group: Stream) -> None:
    if group:
        group[0].tuplet_start = group[-1].tuplet_stop = True


def set_beams(stream: Stream) -> None:
    """Set the beams: ABC joins what no white space, rest or note without flags separates."""
    for grace in (False, True):
        group: Stream = []
        for note in stream:
            is_grace = note.event is not None and note.event.grace
            if is_grace != grace:
                if grace:
                    _beam_group(group)
                    group = []
                continue
            if note.heads and note.value is not None and FLAGS[note.value.type]:
                group.append(note)
            else:
                _beam_group(group)
                group = []
            if note.event is None or (note.last and note.event.beam_break):
                _beam_group(group)
                group = []
        _beam_group(group)


def _beam_group(group: Stream) -> None:
    if len(group) < 2:
        return
    levels = [FLAGS[note.value.type] for note in group if note.value is not None]
    for index, note in enumerate(group):
        for level in range(1, levels[index] + 1):
            before = index > 0 and levels[index - 1] >= level
            after = index + 1 < len(group) and levels[index + 1] >= level
            if before or after:
                note.beams.append("continue" if before and after else "end" if before else "begin")
            else:
                note.beams.append(
                    "backward hook"
                    if index == len(group) - 1 or (index > 0 and levels[index - 1] > 1)
                    else "forward hook"
                )
