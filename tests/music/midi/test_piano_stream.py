from __future__ import annotations

import numpy as np
import pytest
from symusic.core import (
    ControlChangeTick,
    NoteTick,
    ScoreTick,
    TempoTick,
    TimeSignatureTick,
    TrackTick,
)

from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi import piano_stream
from musiczoo.music.midi.from_tune import to_score
from musiczoo.music.midi.piano_stream import (
    ALL_AS_PIANO,
    check_density,
    fingerprint,
    notes_of_bars,
    reduced,
    score_skyline,
)
from musiczoo.music.near_duplicates import shingles, skyline


def track(*notes: tuple[int, int, int, int], program: int = 0, is_drum: bool = False) -> TrackTick:
    made = TrackTick("a", program, is_drum)
    for note in notes:
        made.notes.append(NoteTick(*note))
    return made


def score(*tracks: TrackTick, resolution: int = 480) -> ScoreTick:
    made = ScoreTick(resolution)
    made.tempos.append(TempoTick(0, 90.0))
    made.time_signatures.append(TimeSignatureTick(0, 3, 4))
    for one in tracks:
        made.tracks.append(one)
    return made


def notes(piece: ScoreTick, index: int = 0) -> list[tuple[int, int, int, int]]:
    return [
        (note.time, note.duration, note.pitch, note.velocity) for note in piece.tracks[index].notes
    ]


PIECE = score(
    track((480, 240, 64, 70), (0, 480, 60, 80), program=0),
    track((0, 240, 67, 90), program=7),
    track((0, 960, 36, 90), program=8),
    track((0, 100, 38, 100), is_drum=True),
)


def test_piano_tracks_become_one_and_the_piece_stays_as_it_was():
    before = PIECE.copy()
    result = reduced(PIECE)
    assert before == PIECE
    assert len(result.tracks) == 1
    assert (result.tracks[0].program, result.tracks[0].is_drum) == (0, False)
    assert notes(result) == [(0, 480, 60, 80), (0, 240, 67, 90), (480, 240, 64, 70)]
    assert [tempo.qpm for tempo in result.tempos] == [pytest.approx(90, abs=1e-3)]
    assert [(item.numerator, item.denominator) for item in result.time_signatures] == [(3, 4)]


def test_programs_are_chosen():
    assert notes(reduced(PIECE, [8])) == [(0, 960, 36, 90)]
    assert [note[2] for note in notes(reduced(PIECE, ALL_AS_PIANO))] == [36, 60, 67, 64]
    everything = reduced(PIECE, None)
    assert [(one.program, one.is_drum) for one in everything.tracks] == [
        (0, False),
        (7, False),
        (8, False),
        (0, True),
    ]
    assert notes(everything, 3) == [(0, 100, 38, 100)]


def test_of_duplicates_the_longest_then_the_loudest_is_kept():
    piece = score(
        track(
            (0, 100, 60, 80), (0, 300, 60, 10), (0, 300, 60, 20), (0, 50, 62, 5), (10, 20, 60, 30)
        ),
        track((0, 200, 60, 127), (0, 50, 62, 7), program=3),
    )
    assert notes(reduced(piece)) == [(0, 300, 60, 20), (0, 50, 62, 7), (10, 20, 60, 30)]
    # Of different programs, notes with the same onset and pitch are no duplicates.
    assert sum(len(one.notes) for one in reduced(piece, None).tracks) == 5


def test_what_no_music_has_goes():
    piece = score(track((0, 480, 60, 80)))
    piece.tracks[0].controls.append(ControlChangeTick(0, 64, 127))
    piece.tempos.append(TempoTick(480, 0.0))
    piece.time_signatures.append(TimeSignatureTick(480, 0, 4))
    result = reduced(piece)
    assert len(result.tempos) == len(result.time_signatures) == 1
    assert not len(result.tracks[0].controls)


@pytest.mark.parametrize(
    ("piece", "programs", "reason"),
    [
        (score(track((0, 1, 60, 80), program=40)), range(8), "programs"),
        (score(track((0, 1, 38, 80), is_drum=True)), ALL_AS_PIANO, "no tracks"),
        (score(track()), None, "no tracks"),
        (score(), range(8), "no notes"),
        (score(track((0, 1, 60, 80)), resolution=0), range(8), "ticks"),
    ],
)
def test_a_piece_without_notes_is_refused(piece, programs, reason):
    with pytest.raises(MusicZooError, match=reason):
        reduced(piece, programs)


def test_a_million_notes_are_refused_before_they_are_touched(monkeypatch):
    monkeypatch.setattr(piano_stream, "MAX_NOTES", 2)
    with pytest.raises(MusicZooError, match="more than 2 notes"):
        reduced(PIECE)


def test_notes_are_counted_by_bars_under_changing_meters():
    # Two bars of 3/4, then 4/4: bars begin at 0, 3, 6 and 10 quarters.
    piece = score(track(*((quarter * 480, 480, 60, 80) for quarter in (0, 2, 3, 6, 9, 10))))
    piece.time_signatures.append(TimeSignatureTick(6 * 480, 4, 4))
    assert notes_of_bars(piece).tolist() == [2, 1, 2, 1]
    assert notes_of_bars(score(track((5 * 480 - 1, 480 * 50, 60, 80)))).tolist() == [0, 1]


def test_without_time_signatures_bars_have_four_quarters():
    piece = ScoreTick(480)
    piece.tracks.append(track((4 * 480 - 1, 1, 60, 80), (4 * 480, 1, 60, 80)))
    assert notes_of_bars(piece).tolist() == [1, 1]


def test_a_piece_of_endless_time_is_refused():
    with pytest.raises(MusicZooError, match="bars"):
        notes_of_bars(score(track((2**31 - 10, 1, 60, 80)), resolution=1))


def test_density():
    check_density(np.array([300, 1, 1, 0, 1]), 300, 0.2)
    with pytest.raises(MusicZooError, match="more than 300 notes"):
        check_density(np.array([301, 1]), 300, 0.2)
    with pytest.raises(MusicZooError, match="More than 20 %"):
        check_density(np.array([1, 1, 1, 0, 0, 1, 1]), 300, 0.2)


ABC = """X:1
M:4/4
L:1/8
K:D
V:1
d2 fa d'4 | [df]2 e2 z2 a,2 | (3efg a2 B4 |]
V:2
D4 d8- | d4 g'4 A,4 | F8 |]
"""


def test_the_skyline_is_that_of_the_notated_piece():
    for text in (ABC, ABC.replace("M:4/4", "M:3/4"), ABC.replace("D4 d8-", "G4 g8-")):
        tune = read_abc(text)
        piece = reduced(to_score(tune), ALL_AS_PIANO)
        arrays = piece.tracks[0].notes.numpy()
        expected = skyline(tune.notes(expand_repeats=True))
        assert (
            score_skyline(
                *(arrays[name].astype(np.int64) for name in ("time", "duration", "pitch"))
            )
            == expected
        )
        assert np.array_equal(fingerprint(piece), shingles(expected))


def test_a_random_skyline_follows_the_rule():
    rng = np.random.default_rng(0)
    for _ in range(50):
        onsets, durations, pitches = (
            rng.integers(0, 30, 40),
            rng.integers(1, 12, 40),
            rng.integers(50, 70, 40),
        )
        expected = []
        for onset in sorted(set(onsets.tolist())):
            highest = pitches[onsets == onset].max()
            if (pitches[(onsets < onset) & (onsets + durations > onset)] <= highest).all():
                expected.append(int(highest))
        assert score_skyline(onsets, durations, pitches) == expected


def test_drums_have_no_fingerprint():
    assert (
        len(
            fingerprint(
                reduced(score(track(*((i, 1, 30 + i, 9) for i in range(20)), is_drum=True)), None)
            )
        )
        == 0
    )
