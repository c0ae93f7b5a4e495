"""Transposition of the later part of a tune alone, under the key that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from musiczoo.music.abc.keys import ACCIDENTAL_MARKS, parse_key
from musiczoo.music.abc.note_heads import NoteText, heads_and_signs, note_text, replaced_notes
from musiczoo.music.abc.score import accidental_scope, percussion_voices
from musiczoo.music.abc.transpose import KEY_FIFTHS, KEYS, key_interval, signature_key, transpose
from musiczoo.music.abc.tune import STEPS, Event, Tune, Voice
from musiczoo.music.errors import MusicZooError

INTERVALS = (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6)
"""Semitones by which a part can move: those of a transposition to another key, six being up."""


def transpose_from(tune: Tune, start: int, semitones: int) -> Tune:
    """The tune with all voices moved from one bar on, under its own ``K:`` line.

    The moved notes have the accidentals that they need under that key.

    Args:
        tune: The tune.
        start: Index of the first bar that moves.
        semitones: One of :data:`INTERVALS`.

    Returns:
        The tune. Chord symbols and inline key changes of the moved bars move along; percussion
        stays.

    Raises:
        MusicZooError: No such interval, or notes that cannot be written under the key.
    """
    if semitones not in INTERVALS:
        raise MusicZooError(
            f"{semitones} semitones are no interval of a transposition.",
            remedy=f"Give one of {INTERVALS}.",
        )
    source = signature_key(tune)
    key = min(
        (name for name in KEYS if key_interval(source, name) == semitones),
        key=lambda name: abs(KEY_FIFTHS[name]),
    )
    moved = transpose(tune, key)
    percussion = percussion_voices(tune)
    wanted = [
        _heard(before.events, range(start)) + _heard(after.events, range(start, len(after.bars)))
        for before, after in zip(tune.parsed, moved.parsed, strict=True)
    ]
    # Key and bar show which accidentals a note needs. A tie over a bar-line can make
    # another one necessary.
    for sparing in (True, False):
        voices = tuple(
            voice if voice.id in percussion else _joined(tune, moved, index, start, sparing)
            for index, voice in enumerate(tune.voices)
        )
        changed = replace(tune, voices=voices)
        if [_heard(voice.events, range(len(voice.bars))) for voice in changed.parsed] == wanted:
            return changed
    raise MusicZooError("The notes cannot be written in another key.", path=tune.path)


def _heard(events: Sequence[Event], bars: range) -> list[int]:
    return [head.pitch.midi for event in events if event.bar in bars for head in event.heads]


def _joined(tune: Tune, moved: Tune, index: int, start: int, sparing: bool) -> Voice:
    """One voice: its bars before the start, then the moved ones, written for the old key."""
    old, new, parsed = tune.voices[index], moved.voices[index], moved.parsed[index]
    scope = accidental_scope(tune)
    spans = tune.parsed[index].bars
    alters = parse_key(spans[start].key).alters if start < len(spans) else (0,) * 7
    bars = list(old.bars[:start])
    for number, bar in enumerate(new.bars[start:], start):
        heads = [
            head.pitch for event in parsed.events if event.bar == number for head in event.heads
        ]
        changes: dict[int, NoteText] = {}
        held: dict[tuple[str, str], int] = {}
        for token in heads_and_signs(bar.text):
            if token.kind == "field":
                key = parse_key(token.text[3:-1]) if token.text[1] == "K" else None
                if key is not None and key.name:
                    alters, held = key.alters, {}
            elif token.kind == "overlay":
                held = {}
            elif len(changes) < len(heads):
                pitch = heads[len(changes)]
                note = note_text(token.text)
                place = (pitch.step, "" if scope == "pitch" else f"{note.letter}{note.marks}")
                needless = held.get(place, alters[STEPS.index(pitch.step)]) == pitch.alter
                if not needless and scope != "not":
                    held[place] = pitch.alter
                sign = "" if needless and sparing else ACCIDENTAL_MARKS[pitch.alter]
                changes[len(changes)] = NoteText(sign, note.letter, note.marks)
        bars.append(replace(bar, text=replaced_notes(bar.text, changes)))
    return Voice(old.id, tuple(bars))
