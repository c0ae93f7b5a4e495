"""Passages: within their limits, the piece's own notes, the same for the same chance."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from symusic.core import NoteTick, ScoreTick, TempoTick, TrackTick

from musiczoo.music.abc import read_abc
from musiczoo.music.degradation.passages import Passages, sounding_classes
from musiczoo.music.errors import MusicZooError


def piece(notes: int = 200, low: int = 60) -> ScoreTick:
    score = ScoreTick(480)
    for _ in range(2):  # twice the same, as a doubled voice
        track = TrackTick("", 40, False)
        for index in range(notes):
            track.notes.append(NoteTick(240 * index, 240, low + index % 7, 80))
        score.tracks.append(track)
    return score


def test_a_passage_is_part_of_the_piece() -> None:
    passages = Passages()
    tempos, shifts, centres, seconds = [], [], [], []
    for seed in range(200):
        rng = random.Random(seed)
        wanted = passages.seconds(rng)
        passage = passages.draw(piece(), wanted, rng)
        assert 2.0 <= wanted <= 10.0
        [track] = passage.tracks
        assert (track.program, track.is_drum) == (0, False)
        [tempo] = passage.tempos
        tempos.append(float(tempo.qpm))
        notes = track.notes.numpy()
        assert notes["time"][0] == 0
        assert (np.diff(notes["time"]) == 240).all()  # the doubled voice is heard once
        # A passage of the pattern, moved as a whole.
        steps = (notes["pitch"].astype(int) - notes["pitch"][0]) % 7
        shift = {
            int(pitch) - 60 - (int(steps[0]) + index) % 7
            for index, pitch in enumerate(notes["pitch"])
        }
        best = [
            start
            for start in range(7)
            if len({int(pitch) - (start + index) % 7 for index, pitch in enumerate(notes["pitch"])})
            == 1
        ]
        assert best, shift
        shifts.append(int(notes["pitch"].min()) - 60)
        centres.append(float(np.mean(notes["velocity"])))
        length = float(passage.to("second").end())
        assert length <= 10.01
        assert length <= wanted + 0.01 or len(track.notes) == 6
        seconds.append(length / wanted)
    assert min(tempos) < 60
    assert max(tempos) > 180
    assert 90 < np.median(tempos) < 120
    assert min(shifts) < -8
    assert max(shifts) > 8
    assert min(centres) < 50
    assert max(centres) > 110
    assert np.median(seconds) > 0.9


def test_chance_decides() -> None:
    one, same, other = (Passages().draw(piece(), 5.0, random.Random(seed)) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_the_keyboard_is_not_left() -> None:
    for low in (21, 101):
        for seed in range(20):
            pitches = (
                Passages()
                .draw(piece(low=low), 5.0, random.Random(seed))
                .tracks[0]
                .notes.numpy()["pitch"]
            )
            assert pitches.min() >= 21
            assert pitches.max() <= 108


def test_a_tune_is_played_and_a_short_one_whole() -> None:
    tune = read_abc("X:1\nM:4/4\nL:1/4\nK:C\nCDEF|GABc|]\n")
    passage = Passages(tempo=(120, 120, 120), transpose=0, velocity=(80, 80)).draw(
        tune, 10.0, random.Random(0)
    )
    assert [int(pitch) for pitch in passage.tracks[0].notes.numpy()["pitch"]] == [
        60,
        62,
        64,
        65,
        67,
        69,
        71,
        72,
    ]
    assert float(passage.to("second").end()) == pytest.approx(4.0)


def test_pitch_classes_that_sound() -> None:
    score = ScoreTick(100)
    score.tempos.append(TempoTick(0, 60.0))
    track, drums = TrackTick("", 0, False), TrackTick("", 0, True)
    for time, duration, pitch in ((0, 30, 60), (10, 40, 76), (30, 10, 59)):
        track.notes.append(NoteTick(time, duration, pitch, 80))
    drums.notes.append(NoteTick(0, 100, 61, 80))
    score.tracks.append(track)
    score.tracks.append(drums)
    sounding = sounding_classes(score, 0.1, 7)
    assert [set(np.flatnonzero(step)) for step in sounding] == [
        {0},
        {0, 4},
        {0, 4},
        {11, 4},
        {4},
        set(),
        set(),
    ]


def test_a_piece_without_notes_is_refused() -> None:
    with pytest.raises(MusicZooError, match="no tracks with notes"):
        Passages().draw(ScoreTick(480), 5.0, random.Random(0))


@pytest.mark.parametrize(
    "settings",
    [
        {"least_seconds": 11.0},
        {"tempo": (100.0, 90.0, 200.0)},
        {"transpose": -1},
        {"velocity": (0, 10)},
        {"velocity": (9, 200)},
    ],
)
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(MusicZooError, match="out of range"):
        Passages(**settings)
