"""Tunes to symusic scores and back: exact ticks one way, quantisation the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING

import numpy as np

from musiczoo.music.abc.bar_writer import Chord, write_bar
from musiczoo.music.abc.dynamics import Dynamics
from musiczoo.music.abc.key_finding import estimate_key, key_text
from musiczoo.music.abc.keys import parse_key, parse_meter
from musiczoo.music.abc.programs import guess_program
from musiczoo.music.abc.score import VoiceDefinition, score_layout, voice_definitions
from musiczoo.music.abc.sounding import playing_order
from musiczoo.music.abc.tempo import parse_tempo
from musiczoo.music.abc.tune import Bar, BarSpan, Field, ParsedVoice, Tune, Voice
from musiczoo.music.errors import MusicZooError
from musiczoo.music.quantisation import BeatGrid, MeterBar, meter_bars

if TYPE_CHECKING:
    from symusic.core import ScoreTick, TrackTick

BASE_RESOLUTION = 480
MAX_RESOLUTION = 32767  # the fifteen bits of a MIDI file's header
#: Divisible by 64, 9, 5 and 7: the resolution when no exact one fits into the header.
FALLBACK_RESOLUTION = 20160
DEFAULT_TEMPO = 120.0
DEFAULT_GRID = (1, 2, 3, 4, 6, 8, 12)
MAX_VOICES_OF_A_TRACK = 8
_VIOLA = 41  # the General MIDI program whose notation stands in the alto clef


def ticks_per_quarter(moments: Iterable[Fraction]) -> int:
    """The resolution in which all moments are whole ticks: a multiple of their denominators, 480 or more; 20,160 if that is too fine."""
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

    Ticks are exact as long as 32,767 ticks a quarter suffice; beyond that (say, 11-tuplets beside
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
    from symusic.core import (
        KeySignatureTick,
        NoteTick,
        ScoreTick,
        TempoTick,
        TimeSignatureTick,
        TrackTick,
    )

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
    for time, above, below in marks.meters:
        score.time_signatures.append(TimeSignatureTick(round(time * resolution), above, below))
    for time, fifths, minor in marks.keys:
        score.key_signatures.append(KeySignatureTick(round(time * resolution), fifths, int(minor)))
    tempos = [(Fraction(0), tempo)] if tempo is not None else marks.tempos
    if not tempos or tempos[0][0] > 0:
        tempos = [(Fraction(0), DEFAULT_TEMPO), *tempos]
    for time, speed in tempos:
        score.tempos.append(TempoTick(round(time * resolution), speed))
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
    """The voice whose bars and signatures stand for the piece: the first one written at sounding pitch, else the first."""
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


def from_score(
    score: ScoreTick, *, grid: Sequence[int] = DEFAULT_GRID, max_voices: int = MAX_VOICES_OF_A_TRACK
) -> Tune:
    """Turn a symusic score into a tune by quantisation.

    Every bar comes out exactly full (a pickup excepted).

    Times that all lie on subdivisions of the beat are kept exactly; others are moved to the grid
    beat by beat (:mod:`musiczoo.music.quantisation`). Overlapping notes of a track become several
    voices on one staff, the highest first; from ``max_voices`` on, a note ends where the next one
    begins. Velocities, controllers and pedals have no notation and are left out. The key is that of
    the score's signatures, or estimated from its notes where it has none.

    Args:
        score: The piece, in ticks.
        grid: Subdivisions of a beat that performed notes may fall on.
        max_voices: Voices that a track may be split into.

    Raises:
        MusicZooError: No notes, more than 10,000 bars, or an empty grid.
    """
    if not grid or min(grid) < 1 or max_voices < 1:
        raise MusicZooError(
            "The grid needs at least one positive subdivision, and max_voices must be at least 1."
        )
    tracks = [track for track in score.tracks if len(track.notes)]
    if not tracks:
        raise MusicZooError(
            "The score has no notes.", remedy="Check that the file is the right one."
        )
    resolution = int(score.ticks_per_quarter)
    end = Fraction(max(int(track.end()) for track in tracks), resolution)
    signatures = sorted(
        (Fraction(int(item.time), resolution), int(item.numerator), int(item.denominator))
        for item in score.time_signatures
    )
    bars = meter_bars(signatures, end)
    beats = BeatGrid(bars, resolution)
    arrays = [track.notes.numpy() for track in tracks]
    times = [
        np.stack([array["time"], array["time"] + array["duration"]]).astype(np.int64)
        for array in arrays
    ]
    exact = beats.is_exact(np.concatenate([track_times.ravel() for track_times in times]))
    keys = _keys(
        score,
        bars,
        [
            (array["pitch"], array["duration"])
            for track, array in zip(tracks, arrays, strict=True)
            if not track.is_drum
        ],
    )
    voices: list[tuple[TrackTick, list[Chord]]] = []
    staves: list[list[str]] = []
    for track, array, track_times in zip(tracks, arrays, times, strict=True):
        places, steps = beats.quantise(track_times.ravel(), grid, exact=exact)
        count = track_times.shape[1]
        chords = _chords(array["pitch"].tolist(), places[:count], places[count:], steps[:count])
        split = _split_into_voices(chords, max_voices)
        staves.append([str(len(voices) + number + 1) for number in range(len(split))])
        voices.extend((track, chords) for chords in split)
    last = max(chords[-1].end for _, chords in voices)
    used = [bar for bar in bars if bar.start < last] or bars[:1]
    while used[-1].start + used[-1].length < last:
        used.append(MeterBar(used[-1].start + used[-1].length, used[-1].length, used[-1].meter))
    header = _header(score, used, keys, voices, staves)
    return Tune(
        header,
        tuple(
            Voice(str(number), _bars(chords, used, keys))
            for number, (_, chords) in enumerate(voices, 1)
        ),
    )


def _keys(
    score: ScoreTick, bars: Sequence[MeterBar], notes: list[tuple[np.ndarray, np.ndarray]]
) -> list[tuple[int, bool]]:
    """(sharps, minor) for each bar; a signature inside a bar holds from the next one on."""
    resolution = int(score.ticks_per_quarter)
    given = sorted(
        (Fraction(int(item.time), resolution), int(item.key), bool(item.tonality))
        for item in score.key_signatures
    )
    given = [item for item in given if abs(item[1]) <= 7]
    if not given:
        pairs = [
            pair
            for pitches, durations in notes
            for pair in zip(pitches.tolist(), durations.tolist(), strict=True)
        ]
        return [estimate_key(pairs)] * len(bars)
    keys, current, position = [], given[0][1:], 0
    for bar in bars:
        while position < len(given) and given[position][0] <= bar.start:
            current = given[position][1:]
            position += 1
        keys.append(current)
    return keys


def _chords(
    pitches: Sequence[int],
    starts: Sequence[Fraction],
    ends: Sequence[Fraction],
    steps: Sequence[Fraction],
) -> list[Chord]:
    """Notes that begin and end together as chords, in order, the higher first.

    A note shortened to nothing gets one step of its grid.
    """
    together: dict[tuple[Fraction, Fraction], set[int]] = {}
    for pitch, start, end, step in zip(pitches, starts, ends, steps, strict=True):
        together.setdefault((start, max(end, start + step) if end <= start else end), set()).add(
            pitch
        )
    chords = [Chord(start, end, tuple(sorted(group))) for (start, end), group in together.items()]
    return sorted(chords, key=lambda chord: (chord.start, -chord.pitches[-1], chord.end))


def _split_into_voices(chords: Sequence[Chord], most: int) -> list[list[Chord]]:
    voices: list[list[Chord]] = []
    for chord in chords:
        free = next((voice for voice in voices if voice[-1].end <= chord.start), None)
        if free is not None:
            free.append(chord)
        elif len(voices) < most:
            voices.append([chord])
        else:
            _squeeze_in(voices, chord)
    return voices


def _squeeze_in(voices: list[list[Chord]], chord: Chord) -> None:
    """Make room where all voices are taken: end the note that would end first, or join a chord that begins at the same time."""
    earlier = [voice for voice in voices if voice[-1].start < chord.start]
    if earlier:
        voice = min(earlier, key=lambda voice: voice[-1].end)
        voice[-1] = Chord(voice[-1].start, chord.start, voice[-1].pitches)
        voice.append(chord)
    else:
        voice = min(voices, key=lambda voice: abs(voice[-1].end - chord.end))
        voice[-1] = Chord(
            chord.start, voice[-1].end, tuple(sorted({*voice[-1].pitches, *chord.pitches}))
        )


def _bars(
    chords: Sequence[Chord], bars: Sequence[MeterBar], keys: Sequence[tuple[int, bool]]
) -> tuple[Bar, ...]:
    result = []
    first = 0
    for index, bar in enumerate(bars):
        stop = bar.start + bar.length
        while first < len(chords) and chords[first].end <= bar.start:
            first += 1
        last = first
        while last < len(chords) and chords[last].start < stop:
            last += 1
        text = write_bar(
            chords[first:last], bar.start, bar.length, bar.beat, keys[min(index, len(keys) - 1)][0]
        )
        fields = ""
        if index and bar.meter != bars[index - 1].meter:
            fields += f"[M:{bar.meter[0]}/{bar.meter[1]}]"
        if index and index < len(keys) and keys[index] != keys[index - 1]:
            fields += f"[K:{key_text(*keys[index])}]"
        result.append(Bar(fields + text, "|]" if index == len(bars) - 1 else "|"))
    return tuple(result)


def _header(
    score: ScoreTick,
    bars: Sequence[MeterBar],
    keys: Sequence[tuple[int, bool]],
    voices: Sequence[tuple[TrackTick, list[Chord]]],
    staves: list[list[str]],
) -> tuple[Field, ...]:
    layout = " ".join(staff[0] if len(staff) == 1 else f"({' '.join(staff)})" for staff in staves)
    fields = [Field("%%", f"score {layout}"), Field("L", "1/8")]
    if len(score.tempos):
        fields.append(
            Field(
                "Q",
                f"1/4={round(float(min(score.tempos, key=lambda item: int(item.time)).qpm), 2):g}",
            )
        )
    fields.append(Field("M", f"{bars[0].meter[0]}/{bars[0].meter[1]}"))
    fields.append(Field("K", key_text(*keys[0])))
    track_of_staff = {staff[0]: True for staff in staves}
    for number, (track, chords) in enumerate(voices, 1):
        pitches = [pitch for chord in chords for pitch in chord.pitches]
        clef = (
            "perc"
            if track.is_drum
            else (
                "alto"
                if track.program == _VIOLA
                else "bass"
                if sum(pitches) / len(pitches) < 57
                else "treble"
            )
        )
        name = " ".join(str(track.name).replace('"', "'").split())
        fields.append(
            Field(
                "V",
                (
                    f'{number} {clef} nm="{name}"'
                    if name and str(number) in track_of_staff
                    else f"{number} {clef}"
                ),
            )
        )
    return tuple(fields)
