"""Symusic scores to tunes, by quantisation."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from musiczoo.music.abc.bar_writer import Chord, write_bar
from musiczoo.music.abc.key_finding import estimate_key, key_text
from musiczoo.music.abc.tune import Bar, Field, Tune, Voice
from musiczoo.music.errors import MusicZooError
from musiczoo.music.quantisation import BeatGrid, MeterBar, score_bars

if TYPE_CHECKING:
    from symusic.core import ScoreTick, TrackTick

DEFAULT_GRID = (1, 2, 3, 4, 6, 8, 12)
MAX_VOICES_OF_A_TRACK = 8
_VIOLA = 41  # the General MIDI program whose notation stands in the alto clef


def from_score(
    score: ScoreTick, *, grid: Sequence[int] = DEFAULT_GRID, max_voices: int = MAX_VOICES_OF_A_TRACK
) -> Tune:
    """Turn a symusic score into a tune by quantisation.

    Every bar is exactly full, except a pickup.

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
    bars = score_bars(score, Fraction(max(int(track.end()) for track in tracks), resolution))
    beats = BeatGrid(bars, resolution)
    arrays = [track.notes.numpy() for track in tracks]
    times = [
        np.stack([array["time"], array["time"] + array["duration"]]).astype(np.int64)
        for array in arrays
    ]
    exact = beats.is_exact(np.concatenate([track_times.ravel() for track_times in times]))
    keys = _keys(score, bars)
    voices: list[tuple[TrackTick, list[Chord]]] = []
    staves: list[list[str]] = []
    for track, array, track_times in zip(tracks, arrays, times, strict=True):
        places, steps = beats.quantise(track_times.ravel(), grid, exact=exact)
        count = track_times.shape[1]
        chords = _chords(array["pitch"].tolist(), places[:count], places[count:], steps[:count])
        split = _split_into_voices(chords, max_voices)
        staves.append([str(len(voices) + number + 1) for number in range(len(split))])
        voices.extend((track, chords) for chords in split)
    used = _bars_until(max(chords[-1].end for _, chords in voices), bars)
    header = _header(score, used, keys, voices, staves)
    return Tune(
        header,
        tuple(
            Voice(str(number), _bars(chords, used, keys))
            for number, (_, chords) in enumerate(voices, 1)
        ),
    )


def _bars_until(end: Fraction, bars: Sequence[MeterBar]) -> list[MeterBar]:
    """The bars up to a moment, with further ones where quantised notes end after the last."""
    used = [bar for bar in bars if bar.start < end] or list(bars[:1])
    while used[-1].start + used[-1].length < end:
        used.append(MeterBar(used[-1].start + used[-1].length, used[-1].length, used[-1].meter))
    return used


def _keys(score: ScoreTick, bars: Sequence[MeterBar]) -> list[tuple[int, bool]]:
    """(sharps, minor) for each bar; a signature inside a bar holds from the next one on."""
    resolution = int(score.ticks_per_quarter)
    given = sorted(
        (Fraction(int(item.time), resolution), int(item.key), bool(item.tonality))
        for item in score.key_signatures
    )
    given = [item for item in given if abs(item[1]) <= 7]
    if not given:
        arrays = [
            track.notes.numpy() for track in score.tracks if len(track.notes) and not track.is_drum
        ]
        pairs = [
            pair
            for array in arrays
            for pair in zip(array["pitch"].tolist(), array["duration"].tolist(), strict=True)
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
    """Make room where no voice is free.

    End the note that would end first, or join a chord that begins at the same time.
    """
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
