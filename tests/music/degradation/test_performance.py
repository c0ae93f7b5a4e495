"""Degradations of performances: each spoils what it says and nothing else, as strongly as asked, the same each time."""

from __future__ import annotations

import random

import numpy as np
import pytest
from symusic.core import NoteTick, ScoreTick, TempoTick, TrackTick

from musiczoo.music.degradation.performance import PERFORMANCE_DEGRADATIONS, degrade_performance
from musiczoo.music.errors import MusicZooError


def piece(notes: int = 48) -> ScoreTick:
    """Two hands in quavers and crotchets, and a drum."""
    score = ScoreTick(480)
    score.tempos.append(TempoTick(0, 100.0))
    right, left, drums = (
        TrackTick("right", 0, False),
        TrackTick("left", 4, False),
        TrackTick("drums", 0, True),
    )
    for index in range(notes):
        right.notes.append(NoteTick(240 * index, 240, 60 + (2 * index) % 13, 70 + index % 20))
        if index % 2 == 0:
            left.notes.append(NoteTick(240 * index, 480, 40 + index % 7, 60))
            drums.notes.append(NoteTick(240 * index, 10, 38, 100))
    for track in (right, left, drums):
        score.tracks.append(track)
    return score


def columns(score: ScoreTick, track: int) -> dict[str, np.ndarray]:
    return {
        name: np.asarray(values, dtype=np.int64)
        for name, values in score.tracks[track].notes.numpy().items()
    }


def degraded(kind: str, strength: float = 0.5, seed: int = 0) -> ScoreTick:
    return degrade_performance(piece(), kind, strength, rng=random.Random(seed))


@pytest.mark.parametrize("kind", PERFORMANCE_DEGRADATIONS)
def test_the_seed_decides_and_the_piece_stays(kind: str) -> None:
    original = piece()
    first = degrade_performance(original, kind, 0.5, rng=random.Random(1))
    assert original == piece()
    assert first == degraded(kind, seed=1)
    assert first != degraded(kind, seed=2)
    assert first != original
    assert first.tempos == original.tempos
    assert first.tracks[2].notes == original.tracks[2].notes  # percussion
    for track in first.tracks:
        values = track.notes.numpy()
        assert (values["time"] >= 0).all()
        assert (values["duration"] >= 1).all()
        assert ((values["pitch"] >= 21) & (values["pitch"] <= 108)).all()
        assert ((values["velocity"] >= 1) & (values["velocity"] <= 127)).all()
        assert (np.diff(values["time"]) >= 0).all()


@pytest.mark.parametrize(
    ("kind", "kept"), [("pitch", "time duration velocity"), ("register", "time duration velocity")]
)
def test_only_pitches_move(kind: str, kept: str) -> None:
    for strength, least, most in ((0.0, 0.1, 0.45), (1.0, 0.7, 0.95)):
        shares = []
        for seed in range(20):
            made = degraded(kind, strength, seed)
            moved = []
            for track in (0, 1):
                before, after = columns(piece(), track), columns(made, track)
                for name in kept.split():
                    assert (before[name] == after[name]).all()
                moved.append(after["pitch"] - before["pitch"])
            moves = np.concatenate(moved)
            shares.append((moves != 0).mean())
            sizes = np.abs(moves[moves != 0])
            assert (sizes % 12 == 0).all() if kind == "register" else (sizes <= 6).all()
        assert least < np.mean(shares) < most
        assert np.std(shares) < 0.01


def test_timing_moves_onsets_by_its_spread() -> None:
    for strength, share in ((0.0, 0.2), (1.0, 0.5)):
        shifts = []
        for seed in range(30):
            # The pitches tell which note is which.
            before, after = (
                columns(piece(13), 0),
                columns(
                    degrade_performance(piece(13), "timing", strength, rng=random.Random(seed)), 0
                ),
            )
            assert sorted(before["pitch"]) == sorted(after["pitch"])
            shifts.append(
                (
                    after["time"][np.argsort(after["pitch"])]
                    - before["time"][np.argsort(before["pitch"])]
                )[1:]
            )
        assert np.std(np.concatenate(shifts)) == pytest.approx(share * 240, rel=0.15)


def test_fast_notes_are_moved_by_what_can_be_heard() -> None:
    score = piece(13)
    score.tempos[0] = TempoTick(0, 1000.0)  # quavers of 0.03 s
    spread = np.std(
        columns(degrade_performance(score, "timing", 0.0, rng=random.Random(0)), 0)["time"]
        - columns(score, 0)["time"]
    )
    assert spread / (480 * 1000 / 60) > 0.02


def test_order_keeps_the_notes_and_loses_the_melody() -> None:
    light, heavy = degraded("order", 0.2), degraded("order", 1.0)
    both = [
        np.concatenate([columns(score, track)["pitch"] for track in (0, 1)])
        for score in (piece(), light, heavy)
    ]
    assert all(sorted(both[0]) == sorted(other) for other in both[1:])
    assert (both[0] != both[1]).mean() > 0.3
    assert (columns(light, 0)["time"] == columns(piece(), 0)["time"]).all()
    # Steps are exchanged as well, and none is lost.
    uneven = piece()
    uneven.tracks[0].notes[5].time += 60
    made = degrade_performance(uneven, "order", 1.0, rng=random.Random(0))
    assert sorted(np.diff(columns(made, 0)["time"])) == sorted(np.diff(columns(uneven, 0)["time"]))
    assert (columns(made, 0)["time"] != columns(uneven, 0)["time"]).any()


def sounding(score: ScoreTick) -> float:
    """Part of the piece's time in which a pitched note sounds."""
    sounds = np.zeros(48 * 240, dtype=bool)
    for track in (0, 1):
        values = columns(score, track)
        for time, duration in zip(values["time"], values["duration"], strict=True):
            sounds[time : time + duration] = True
    return float(sounds.mean())


def test_gaps_are_silent() -> None:
    light, heavy = (
        np.mean([sounding(degraded("gaps", strength, seed)) for seed in range(20)])
        for strength in (0.0, 1.0)
    )
    assert light == pytest.approx(0.65, abs=0.05)
    assert heavy == pytest.approx(0.2, abs=0.1)
    # Even of two notes something is left.
    assert all(
        degrade_performance(piece(1), "gaps", 1.0, rng=random.Random(seed)).note_num() > 1
        for seed in range(20)
    )


def test_clutter_adds_and_random_replaces() -> None:
    for strength, factor in ((0.0, 1.6), (1.0, 4.0)):
        made = degraded("clutter", strength)
        assert made.note_num() - 24 == pytest.approx(72 * factor, abs=1)
        for track in (0, 1):
            notes = {(note.time, note.pitch, note.duration) for note in made.tracks[track].notes}
            assert {
                (note.time, note.pitch, note.duration) for note in piece().tracks[track].notes
            } <= notes
    counts = [degraded("random", 1.0, seed).note_num() - 24 for seed in range(40)]
    assert min(counts) < 72 / 3
    assert max(counts) > 72 * 2


def test_duration_stretches_both_ways() -> None:
    for strength, least, most in ((0.0, 1 / 2.5, 3.0), (1.0, 0.1, 12.0)):
        factors = columns(degraded("duration", strength), 0)["duration"] / 240
        assert least * 0.99 <= factors.min() < 0.7 * np.sqrt(least * most)
        assert np.sqrt(least * most) < factors.max() <= most * 1.01


def test_stuck_repeats() -> None:
    for seed in range(10):
        made = columns(degraded("stuck", 1.0, seed), 0)
        at = {
            int(time): int(pitch) for time, pitch in zip(made["time"], made["pitch"], strict=True)
        }
        repeated = [at.get(time) == at.get(time + 480) for time in at if time + 480 in at]
        assert np.mean(repeated) > 0.9
    light = degraded("stuck", 0.0, 3)
    assert light.note_num() > 60


def test_no_notes_stay_none() -> None:
    empty = ScoreTick(480)
    empty.tracks.append(TrackTick("", 0, False))
    assert all(
        degrade_performance(empty, kind, 0.5, rng=random.Random(0)) == empty
        for kind in PERFORMANCE_DEGRADATIONS
    )


@pytest.mark.parametrize(("kind", "strength"), [("tuning", 0.5), ("pitch", 1.1), ("pitch", -0.1)])
def test_what_does_not_exist_is_refused(kind: str, strength: float) -> None:
    with pytest.raises(MusicZooError):
        degrade_performance(piece(), kind, strength, rng=random.Random(0))
