"""The features of SMART: muspy's own numbers for five hundred pieces, and what ours count otherwise."""

from __future__ import annotations

import math
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from symusic.core import NoteTick, ScoreTick, TrackTick

from musiczoo.metrics import FEATURE_NAMES, MidiFeatureStatistics, midi_features
from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.checked_bytes import checked_midi
from musiczoo.music.midi.from_tune import to_score

ORACLE = Path(__file__).parents[1] / "fixtures" / "muspy_features.parquet"
RATES = ("polyphony_rate", "empty_beat_rate", "scale_consistency")
COUNTS = ("notes", "pitch_range", "velocity_range")


@cache
def oracle() -> tuple[tuple[dict[str, Any], ScoreTick], ...]:
    rows = pq.ParquetFile(ORACLE).read().to_pylist()
    # Reading by music.read is tested here only for the odd files.
    return tuple(
        (
            row,
            ScoreTick.from_midi(checked_midi(row["midi"]) if "odd" in row["name"] else row["midi"]),
        )
        for row in rows
    )


def score(
    *notes: tuple[int, int, int],
    resolution: int = 480,
    drums: tuple[tuple[int, int, int], ...] = (),
) -> ScoreTick:
    """Of (start, duration, pitch)."""
    found = ScoreTick(resolution)
    for some, is_drum in ((notes, False), (drums, True)):
        track = TrackTick("", 0, is_drum)
        for start, duration, pitch in some:
            track.notes.append(NoteTick(start, duration, pitch, 64))
        found.tracks.append(track)
    return found


def test_equal_to_muspy():
    rows = oracle()
    assert len(rows) >= 500
    for row, piece in rows:
        found = midi_features(piece, rule="muspy")
        name = row["name"]
        assert {key: getattr(found, key) for key in COUNTS} == {key: row[key] for key in COUNTS}, (
            name
        )
        assert piece.ticks_per_quarter == row["resolution"], name
        assert found.pitches.tolist() == row["pitches"], name
        assert found.velocities.tolist() == row["velocities"], name
        for key in RATES:
            # Where muspy raises or gives NaN ours is NaN.
            wanted = math.nan if row[key] is None else row[key]
            assert getattr(found, key) == pytest.approx(wanted, abs=1e-12, nan_ok=True), (name, key)
        assert midi_features(piece, rule="muspy", threshold=1).polyphony_rate == pytest.approx(
            math.nan if row["polyphony_rate_1"] is None else row["polyphony_rate_1"],
            abs=1e-12,
            nan_ok=True,
        ), name


def test_the_oracle_says_something():
    rows = [row for row, _ in oracle()]
    for key in (*RATES, *COUNTS, "polyphony_rate_1"):
        assert len({row[key] for row in rows}) > 9, key
    assert {row["resolution"] for row in rows} >= {1, 24, 97, 220, 384, 480, 1023, 32767}
    assert any(row["pitch_range"] == -127 for row in rows)


def test_where_the_rule_of_the_house_differs():
    # Only in what is counted for beats, lengths with controllers, and drums alone.
    differ = {key: 0 for key in (*RATES, *COUNTS)}
    for row, piece in oracle():
        ours, theirs = midi_features(piece), midi_features(piece, rule="muspy")
        for key in differ:
            if getattr(ours, key) != pytest.approx(getattr(theirs, key), nan_ok=True):
                differ[key] += 1
                assert (
                    key == "empty_beat_rate"
                    or "controls" in row["name"]
                    or "drums-only" in row["name"]
                ), row["name"]
        assert np.array_equal(ours.pitches, theirs.pitches)
    assert differ["pitch_range"] == 1
    assert differ["notes"] == differ["velocity_range"] == differ["scale_consistency"] == 0
    assert differ["empty_beat_rate"] > 20
    assert 0 < differ["polyphony_rate"] < 60


def test_worked_example():
    # Resolution 4; dyads are polyphonic for a threshold of one only.
    piece = score((0, 4, 60), (0, 4, 64), (4, 4, 67), (8, 2, 61), resolution=4)
    assert midi_features(piece, rule="muspy").numbers() == {
        "notes": 4.0,
        "polyphony_rate": 0.0,
        "empty_beat_rate": 0.0,
        "scale_consistency": 0.75,
        "pitch_range": 7.0,
        "velocity_range": 0.0,
    }
    assert midi_features(piece, threshold=1).polyphony_rate == 0.4


def test_a_beat_is_filled_by_what_sounds_in_it():
    # One beat of sound, one of silence, one of sound: muspy's first note reaches into the second
    # beat, and there is a fourth one.
    piece = score((0, 480, 60), (960, 480, 60))
    assert midi_features(piece).empty_beat_rate == pytest.approx(1 / 3)
    assert midi_features(piece, rule="muspy").empty_beat_rate == 0.0
    assert midi_features(score((0, 481, 60), (960, 480, 60))).empty_beat_rate == 0.0
    assert midi_features(score((0, 0, 60), (960, 480, 60))).empty_beat_rate == pytest.approx(1 / 3)
    assert midi_features(score((4800, 480, 60))).empty_beat_rate == pytest.approx(10 / 11)


def test_pieces_without_sound():
    for piece in (score(), ScoreTick(480), score((0, 0, 60))):
        for rule in ("sounding", "muspy"):
            found = midi_features(piece, rule=rule)
            assert math.isnan(found.polyphony_rate)
            assert math.isnan(found.empty_beat_rate)
            assert found.pitch_range == found.velocity_range == 0
    assert math.isnan(midi_features(score()).scale_consistency)
    only_drums = score(drums=((0, 100, 36), (480, 100, 42)))
    found = midi_features(only_drums)
    assert (found.notes, found.pitch_range, found.polyphony_rate) == (2, 0, 0.0)
    assert math.isnan(found.scale_consistency)
    assert midi_features(only_drums, rule="muspy").pitch_range == -127
    assert found.pitches[[36, 42]].tolist() == [1, 1]


@pytest.mark.parametrize("rule", ["sounding", "muspy"])
def test_a_random_piece_agrees_with_its_piano_roll(rule):
    rng = np.random.default_rng(3)
    for _ in range(20):
        notes = [
            tuple(row)
            for row in np.column_stack(
                [rng.integers(0, 200, 40), rng.integers(0, 30, 40), rng.integers(58, 66, 40)]
            ).tolist()
        ]
        roll = np.zeros((230, 128), dtype=bool)
        for start, duration, pitch in notes:
            roll[start : start + duration, pitch] = True
        length = max(start + duration for start, duration, _ in notes)
        for threshold in (0, 1, 2, 3):
            found = midi_features(score(*notes, resolution=7), threshold=threshold, rule=rule)
            assert found.polyphony_rate == (roll.sum(axis=1) > threshold).sum() / length
        if rule == "sounding":
            starts = {start // 7 for start, duration, _ in notes if not duration}
            beats = [
                roll[7 * beat : 7 * beat + 7].any() or beat in starts
                for beat in range(-(-length // 7))
            ]
            assert found.empty_beat_rate == pytest.approx(1 - np.mean(beats))


def test_time_does_not_grow_with_the_resolution():
    rng = np.random.default_rng(3)
    notes = np.column_stack(
        [
            rng.integers(0, 2**30, 10_000),
            rng.integers(1, 2**20, 10_000),
            rng.integers(21, 109, 10_000),
        ]
    ).tolist()
    piece = score(*map(tuple, notes), resolution=1)
    begin = time.perf_counter()
    midi_features(piece)
    # Some milliseconds; a piano roll of these ticks would take 137 GB.
    assert time.perf_counter() - begin < 1.0


def test_tunes_are_played():
    tune = read_abc("L:1/4\nM:4/4\nK:C\n|:CEG^c:|\n")
    found = midi_features(tune)
    assert found.notes == 8
    assert np.array_equal(found.pitches, midi_features(to_score(tune)).pitches)


def test_wrong_arguments():
    with pytest.raises(MusicZooError, match="no rule 'mus'"):
        midi_features(score(), rule="mus")
    with pytest.raises(MusicZooError, match="A str is no piece"):
        midi_features("X:1")


def generated(piece: Any) -> Generated:
    nothing = torch.zeros(0)
    return Generated(piece, "", nothing.long(), nothing, nothing.bool(), "end")


def unused(metric: Any) -> Any:
    """A metric of no pieces at all; torchmetrics warns of one that was never updated."""
    metric.update([])
    return metric


def test_statistics_over_pieces():
    pieces = [piece for row, piece in oracle() if "plain" in row["name"]][:60]
    at_once, in_parts = MidiFeatureStatistics(), MidiFeatureStatistics()
    at_once.update(pieces)
    for start in range(0, len(pieces), 7):
        in_parts.update([generated(piece) for piece in pieces[start : start + 7]])
    in_parts.update(
        [generated(None), generated(score()), generated(read_abc("L:1/4\nK:C\nC/0|\n"))]
    )
    in_parts.update([])
    assert (int(at_once.skipped), int(in_parts.skipped)) == (0, 3)
    found = [midi_features(piece) for piece in pieces]
    for name in FEATURE_NAMES:
        assert at_once.compute()[name].item() == pytest.approx(
            np.mean([one.numbers()[name] for one in found])
        )
    for name, value in at_once.compute().items():
        assert torch.equal(value, in_parts.compute()[name]), name
    pooled = sum(one.pitches for one in found)
    assert torch.allclose(
        at_once.compute()["pitch_distribution"], torch.from_numpy(pooled / pooled.sum())
    )
    assert at_once.values().shape == (60, len(FEATURE_NAMES))


def test_a_rate_that_a_piece_does_not_have_does_not_count():
    metric = MidiFeatureStatistics()
    metric.update([score((0, 480, 60)), score(drums=((0, 480, 36),))])
    assert metric.compute()["scale_consistency"].item() == 1.0
    assert metric.compute()["notes"].item() == 1.0
    assert MidiFeatureStatistics().values().shape == (0, len(FEATURE_NAMES))
    assert unused(MidiFeatureStatistics()).compute()["notes"].isnan()
