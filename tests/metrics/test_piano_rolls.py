"""Piano rolls of the beginnings of pieces."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from musiczoo.metrics import MeanPianoRoll, onset_roll, piano_roll
from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError
from tests.metrics.test_midi_features import generated, oracle, score, unused


def cells(roll: np.ndarray) -> list[tuple[int, int]]:
    return [tuple(cell) for cell in np.argwhere(roll).tolist()]


def test_a_step_is_on_when_anything_of_it_sounds():
    piece = score((0, 240, 60), (239, 2, 64), (480, 0, 65), (960, 9999, 67), drums=((0, 480, 36),))
    roll = piano_roll(piece, beats=3, resolution=2)
    assert roll.shape == (128, 6)
    assert cells(roll) == [(60, 0), (64, 0), (64, 1), (65, 2), (67, 4), (67, 5)]
    assert piano_roll(piece).shape == (128, 64)
    # Repeated and overlapping notes of one pitch.
    assert cells(
        piano_roll(score((0, 480, 60), (0, 240, 60), (480, 480, 60)), beats=2, resolution=2)
    ) == [(60, step) for step in range(4)]


def test_equal_to_symusic():
    for row, piece in oracle()[:40]:
        if "plain" not in row["name"]:
            continue
        # Sixteenths are exact in these pieces except for tuplets, which symusic rounds.
        grid = piece.resample(48, 1)
        wanted = grid.pianoroll(modes=["frame"], pitch_range=[0, 128]).max(axis=(0, 1))[
            :, : 16 * 48
        ]
        ours = piano_roll(grid, resolution=48)[:, : wanted.shape[1]]
        assert np.array_equal(ours, wanted > 0), row["name"]


def test_onsets_know_no_octaves_and_no_durations():
    one = onset_roll(score((0, 480, 60), (480, 100, 64)), beats=2, resolution=2)
    other = onset_roll(
        score((10, 30, 72), (470, 480, 52), (5000, 1, 60), drums=((0, 9, 37),)),
        beats=2,
        resolution=2,
    )
    assert one.shape == (12, 4)
    assert cells(one) == cells(other) == [(0, 0), (4, 2)]


def test_mean_roll():
    metric = MeanPianoRoll(beats=1, resolution=2)
    metric.update([score((0, 240, 60)), generated(score((0, 480, 60)))])
    metric.update([generated(None), generated(score()), read_abc("L:1/8\nK:C\nCE|\n")])
    assert (int(metric.pieces), int(metric.skipped)) == (4, 1)
    assert metric.compute().shape == (128, 2)
    assert metric.compute()[[60, 64]].tolist() == [[0.75, 0.25], [0.0, 0.25]]
    assert unused(MeanPianoRoll()).compute().isnan().all()


def test_no_steps():
    for make in (
        lambda: MeanPianoRoll(beats=0),
        lambda: piano_roll(score(), resolution=0),
        lambda: onset_roll(score(), beats=-1),
    ):
        with pytest.raises(MusicZooError, match="A roll cannot have"):
            make()


def test_the_smallest_steps():
    # More steps than ticks.
    roll = piano_roll(score((0, 1, 60), (1, 1, 62), resolution=1), beats=2, resolution=3)
    assert torch.from_numpy(roll).sum(dim=1)[[60, 62]].tolist() == [3, 3]
