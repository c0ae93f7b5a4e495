"""Tunes to symusic scores, in exact ticks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING

from musiczoo.music.abc.dynamics import Dynamics
from musiczoo.music.abc.keys import parse_key, parse_meter
from musiczoo.music.abc.programs import guess_program
from musiczoo.music.abc.score import VoiceDefinition, score_layout, voice_definitions
from musiczoo.music.abc.sounding import playing_order
from musiczoo.music.abc.tempo import parse_tempo
from musiczoo.music.abc.tune import BarSpan, Field, ParsedVoice, Tune
from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from symusic.core import ScoreTick

BASE_RESOLUTION = 480
MAX_RESOLUTION = 32767  # the fifteen bits of a MIDI file's header
#: Divisible by 64, 9, 5 and 7: the resolution when no exact one fits into the header.
FALLBACK_RESOLUTION = 20160
DEFAULT_TEMPO = 120.0


def ticks_per_quarter(moments: Iterable[Fraction]) -> int:
    """The resolution in which all moments are whole ticks.

    A multiple of their denominators, 480 or more; 20,160 if that is too fine for a MIDI file.

    Args:
        moments: Times in quarter notes.
    """
    least = 1
    for denominator in {moment.denominator for moment in moments}:
        least = lcm(least, denominator)
        if least > MAX_RESOLUTION:
            return FALLBACK_RESOLUTION
    return (
        least * -(-BASE_RESOLUTION // least)
        if least * -(-BASE_RESOLUTION // least) <= MAX_RESOLUTION
        else least
    )


def to_score(tune: Tune, *, tempo: float | None = None, expand_repeats: bool = True) -> ScoreTick:
    """Turn a tune into a symusic score, one track a voice.

    Ticks are exact as long as 32,767 ticks a quarter suffice; beyond that (11-tuplets beside
    13-tuplets beside septuplets) times are rounded to 1/20,160 of a quarter note. Bars that are
    shorter or longer than their meter (pickups, repeats in mid-bar) get a time signature of their
    true length, so that downbeats stay right. Programs are guessed from the voices' names. Grace
    notes are left out. Pitches beyond MIDI's 0 to 127 are moved by octaves into it. Velocities are
    those of the dynamic marks (:mod:`musiczoo.music.abc.dynamics`), 80 for all where there are
    none.

    Args:
        tune: The piece.
        tempo: Quarter notes a minute for the whole piece, instead of the tune's ``Q:`` fields (120
            when it has none).
        expand_repeats: Play repeats and voltas out.

    Raises:
        MusicZooError: Music code that cannot be read, or a tempo that is not positive.
    """
    from symusic.core import NoteTick, ScoreTick, TrackTick

    if tempo is not None and not 0 < tempo <= 2000:
        raise MusicZooError(
            f"A tempo of {tempo} quarters a minute cannot be played.",
            remedy="Use a number above 0, at most 2000.",
        )
    notes = tune.notes(expand_repeats=expand_repeats)
    definitions = voice_definitions(tune)
    lead = _lead_voice(tune, definitions)
    marks = _Marks.of(tune, lead, expand_repeats) if lead is not None else _Marks([], [], [])
    resolution = ticks_per_quarter(
        [moment for note in notes for moment in (note.onset, note.duration)]
        + [moment for moment, *_ in (*marks.meters, *marks.keys)]
    )
    score = ScoreTick(resolution)
    _add_signatures(score, marks, tempo)
    names = _names(tune, definitions)
    tracks = {
        voice.id: TrackTick(
            names[voice.id], guess_program(names[voice.id]), definitions[voice.id].percussion
        )
        for voice in tune.voices
    }
    dynamics = Dynamics(tune, expand_repeats=expand_repeats)
    for note in notes:
        start, end = (
            round(note.onset * resolution),
            round((note.onset + note.duration) * resolution),
        )
        tracks[note.voice].notes.append(
            NoteTick(
                start, max(1, end - start), _in_midi_range(note.pitch), dynamics.velocity(note)
            )
        )
    for track in tracks.values():
        score.tracks.append(track)
    return score


def _add_signatures(score: ScoreTick, marks: _Marks, tempo: float | None) -> None:
    """Add meters, keys and tempos to a score; ``tempo`` stands for those of the marks."""
    from symusic.core import KeySignatureTick, TempoTick, TimeSignatureTick

    resolution = int(score.ticks_per_quarter)
    for time, above, below in marks.meters:
        score.time_signatures.append(TimeSignatureTick(round(time * resolution), above, below))
    for time, fifths, minor in marks.keys:
        score.key_signatures.append(KeySignatureTick(round(time * resolution), fifths, int(minor)))
    tempos = [(Fraction(0), tempo)] if tempo is not None else marks.tempos
    if not tempos or tempos[0][0] > 0:
        tempos = [(Fraction(0), DEFAULT_TEMPO), *tempos]
    for time, speed in tempos:
        score.tempos.append(TempoTick(round(time * resolution), speed))


def _names(tune: Tune, definitions: dict[str, VoiceDefinition]) -> dict[str, str]:
    """The name of each voice; one without a name shares that of its staff or brace."""
    layout = score_layout(tune)
    names = {identifier: definition.name for identifier, definition in definitions.items()}
    together = [
        *layout.staves,
        *(
            tuple(voice for staff in group.staves for voice in staff)
            for group in layout.groups
            if group.kind == "{"
        ),
    ]
    for voices in together:
        shared = next((names[voice] for voice in voices if names.get(voice)), "")
        names.update({voice: names.get(voice) or shared for voice in voices})
    return names


def _in_midi_range(pitch: int) -> int:
    return (
        pitch
        if 0 <= pitch <= 127
        else pitch % 12 + (0 if pitch < 0 else 108 if pitch % 12 > 7 else 120)
    )


def _lead_voice(tune: Tune, definitions: dict[str, VoiceDefinition]) -> ParsedVoice | None:
    """The voice whose bars and signatures stand for the piece.

    The first one written at sounding pitch, else the first.
    """
    return min(tune.parsed, key=lambda voice: definitions[voice.id].transpose != 0, default=None)


@dataclass(frozen=True)
class _Marks:
    """Meters, keys and tempos of a piece in playing order, each with its time in quarter notes."""

    meters: list[tuple[Fraction, int, int]]
    keys: list[tuple[Fraction, int, bool]]
    tempos: list[tuple[Fraction, float]]

    @classmethod
    def of(cls, tune: Tune, lead: ParsedVoice, expand_repeats: bool) -> _Marks:
        marks = cls([], [], [])
        tempo_fields = [(Fraction(0), item) for item in tune.header if item.name == "Q"]
        changes = _tempo_changes(tune)
        order = playing_order(lead.bars) if expand_repeats else range(len(lead.bars))
        time = Fraction(0)
        for turn, index in enumerate(order):
            span = lead.bars[index]
            meter = _true_meter(span, last=turn == len(order) - 1)
            if meter is not None and (not marks.meters or marks.meters[-1][1:] != meter):
                marks.meters.append((time, *meter))
            keys = [(Fraction(0), span.key, span.fifths)]
            keys += [
                (offset, key.name, key.fifths)
                for offset, item in span.fields
                if item.name == "K" and (key := parse_key(item.value)).name
            ]
            for offset, name, fifths in keys:
                # MIDI knows seven sharps and flats; keys beyond (G# major) are given by their
                # enharmonic equals.
                signature = ((fifths + 5) % 12 - 5 if abs(fifths) > 7 else fifths, _is_minor(name))
                if name != "none" and (not marks.keys or marks.keys[-1][1:] != signature):
                    marks.keys.append((time + offset, *signature))
            for offset, item in (tempo_fields if turn == 0 else []) + changes.get(index, []):
                mark = parse_tempo(item.value)
                speed = mark.quarters_per_minute if mark is not None else None
                if speed is not None and (not marks.tempos or marks.tempos[-1][1] != speed):
                    marks.tempos.append((time + offset, speed))
            time += span.duration
        return marks


def _tempo_changes(tune: Tune) -> dict[int, list[tuple[Fraction, Field]]]:
    changes: dict[int, dict[Fraction, Field]] = {}
    for voice in tune.parsed:
        for index, span in enumerate(voice.bars):
            for offset, item in span.fields:
                if item.name == "Q":
                    changes.setdefault(index, {}).setdefault(offset, item)
    return {
        index: sorted(found.items(), key=lambda entry: entry[0]) for index, found in changes.items()
    }


def _is_minor(key: str) -> bool:
    tail = key[1:].lstrip("#b♯♭").strip().lower()
    return tail == "m" or tail.startswith("min") or tail.startswith("aeo")


def _true_meter(span: BarSpan, *, last: bool) -> tuple[int, int] | None:
    """The time signature of a bar's true length.

    That of its meter when they agree, or when the last bar of the piece is merely short.
    """
    meter = next(
        (
            parse_meter(item.value)
            for offset, item in reversed(span.fields)
            if item.name == "M" and not offset
        ),
        span.meter,
    )
    written = meter if meter is not None and meter[1] & (meter[1] - 1) == 0 else None
    nominal = Fraction(4 * written[0], written[1]) if written is not None else Fraction(0)
    if not span.duration or span.duration == nominal or (last and span.duration < nominal):
        return written
    whole = span.duration / 4
    below = max(whole.denominator, written[1] if written is not None else 4)
    above = whole * below
    if below & (below - 1) or below > 128 or above.denominator > 1 or not 0 < above <= 255:
        return written
    return int(above), below
