"""Parts of scores, and times of ticks, beside what symusic and mido find."""

from __future__ import annotations

import io

import mido
import pytest
from symusic.core import (
    ControlChangeTick,
    KeySignatureTick,
    NoteTick,
    PitchBendTick,
    ScoreTick,
    TempoTick,
    TimeSignatureTick,
    TrackTick,
)

from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.excerpt import excerpt
from musiczoo.music.midi.tempo_map import TempoMap
from tests.midi_files import random_score


def changing() -> ScoreTick:
    score = random_score(5, bars=40)
    for bar, qpm in ((7, 90.0), (12, 133.0), (25, 60.0)):
        score.tempos.append(TempoTick(bar * 1920, qpm))
    return score


def test_seconds_are_those_of_mido() -> None:
    score = changing()
    file = mido.MidiFile(file=io.BytesIO(score.dumps_midi()))
    times = TempoMap(score)
    end = max(int(track.end()) for track in score.tracks)
    # symusic ends a track one tick after its last note.
    assert float(times.seconds(end + 1)) == pytest.approx(file.length, abs=1e-6)
    for tick in (0, 1, 13439, 13440, 50000, end):
        assert times.tick(float(times.seconds(tick))) == pytest.approx(tick, abs=1e-6)


def test_without_a_tempo_the_standard_holds() -> None:
    assert TempoMap(ScoreTick(96)).seconds([96, 960]).tolist() == [0.5, 5.0]


def test_a_tempo_of_no_length_is_an_error() -> None:
    score = ScoreTick(96)
    score.tempos.append(TempoTick(0, mspq=0))
    with pytest.raises(MusicZooError, match="no length"):
        TempoMap(score)


def test_notes_are_those_of_symusic_moved_to_the_beginning() -> None:
    score = changing()
    part = excerpt(score, 9600, 28800)
    theirs = score.clip(9600, 28800).shift_time(-9600)
    assert [(n.time, n.pitch) for n in part.tracks[0].notes] == [
        (n.time, n.pitch) for n in theirs.tracks[0].notes
    ]
    assert int(part.tracks[0].end()) <= 19200


def test_what_holds_at_the_cut_stands_at_its_beginning() -> None:
    score = ScoreTick(480)
    score.tempos.extend([TempoTick(0, 100.0), TempoTick(960, 80.0), TempoTick(2400, 70.0)])
    score.time_signatures.append(TimeSignatureTick(0, 3, 4))
    score.key_signatures.extend([KeySignatureTick(0, 1, 0), KeySignatureTick(1920, -2, 1)])
    track = TrackTick("Organ", 19, False)
    track.notes.extend([NoteTick(0, 4000, 60, 80), NoteTick(2000, 4000, 64, 80)])
    track.controls.extend(
        [
            ControlChangeTick(0, 7, 90),
            ControlChangeTick(100, 64, 127),
            ControlChangeTick(2100, 64, 0),
        ]
    )
    track.pitch_bends.append(PitchBendTick(50, 1000))
    score.tracks.extend([track, TrackTick("Empty", 0, False)])
    part = excerpt(score, 1920, 3840)
    assert [(t.time, round(t.qpm)) for t in part.tempos] == [(0, 80), (480, 70)]
    assert [(s.time, s.numerator) for s in part.time_signatures] == [(0, 3)]
    assert [(k.time, k.key) for k in part.key_signatures] == [(0, -2)]
    [only] = part.tracks
    assert (only.name, only.program) == ("Organ", 19)
    assert [(n.time, n.duration, n.pitch) for n in only.notes] == [(80, 1840, 64)]
    assert sorted((c.time, c.number, c.value) for c in only.controls) == [
        (0, 7, 90),
        (0, 64, 127),
        (180, 64, 0),
    ]
    assert [(b.time, b.value) for b in only.pitch_bends] == [(0, 1000)]
    # The whole is as it was, and what nobody stated is not stated.
    assert [int(tempo.time) for tempo in score.tempos] == [0, 960, 2400]
    bare = ScoreTick(480)
    bare.tracks.append(track)
    assert not len(excerpt(bare, 1920, 3840).tempos)
    assert not len(excerpt(bare, 1920, 3840).time_signatures)
