"""Diversity: values worked out pair by pair."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from musiczoo.metrics import (
    DistinctNgrams,
    FeatureDistance,
    PieceDistance,
    distinct_ngrams,
    mean_pairwise_distance,
    onset_roll,
    piano_roll,
)
from musiczoo.models.base.generative import Generated
from musiczoo.music.errors import MusicZooError
from tests.metrics.test_midi_features import generated, oracle, score, unused


def pair_by_pair(rows: np.ndarray) -> float:
    found = []
    for one, other in itertools.combinations(rows.astype(float), 2):
        found.append(1 - one @ other / math.sqrt((one @ one) * (other @ other)))
    return float(np.mean(found))


def test_mean_distance_is_that_of_all_pairs():
    rows = torch.randn(30, 7, generator=torch.Generator().manual_seed(1))
    assert mean_pairwise_distance(rows).item() == pytest.approx(
        pair_by_pair(rows.numpy()), abs=1e-12
    )
    same = torch.ones(5, 3) * torch.tensor([[1.0], [2.0], [0.1], [7.0], [3.0]])
    assert mean_pairwise_distance(same).item() == pytest.approx(0.0, abs=1e-12)
    assert mean_pairwise_distance(same).item() >= 0.0
    assert mean_pairwise_distance(torch.eye(4)).item() == pytest.approx(1.0)
    # A piece without a direction says nothing.
    odd = torch.cat(
        [rows, torch.zeros(1, 7), torch.full((1, 7), torch.nan), torch.full((1, 7), torch.inf)]
    )
    assert torch.equal(mean_pairwise_distance(odd), mean_pairwise_distance(rows))
    for few in (rows[:1], rows[:0]):
        assert mean_pairwise_distance(few).isnan()
    with pytest.raises(MusicZooError, match="has no rows"):
        mean_pairwise_distance(torch.ones(3))


@pytest.mark.parametrize(("by", "roll"), [("piano_roll", piano_roll), ("onsets", onset_roll)])
def test_distance_of_pieces(by, roll):
    pieces = [piece for _, piece in oracle()[100:160:3]]
    metric = PieceDistance(by)
    metric.update(pieces[:5])
    metric.update([generated(piece) for piece in pieces[5:]])
    metric.update([generated(None), score(), score((10**6, 480, 60))])
    assert int(metric.skipped) == 3
    assert metric.compute().item() == pytest.approx(
        pair_by_pair(np.stack([roll(piece).ravel() for piece in pieces])), abs=1e-12
    )
    # The same piece over and over is no diversity.
    collapsed = PieceDistance(by)
    collapsed.update(pieces[:1] * 20)
    assert collapsed.compute().item() == pytest.approx(0.0, abs=1e-12)


def test_distance_of_features_comes_in_batches():
    rows = torch.randn(30, 7, generator=torch.Generator().manual_seed(1))
    rows[3] = torch.nan
    metric = FeatureDistance(7)
    for batch in rows.split(11):
        metric.update(batch)
    assert metric.compute().item() == pytest.approx(mean_pairwise_distance(rows).item(), abs=1e-12)
    assert int(metric.skipped) == 1
    with pytest.raises(MusicZooError, match="do not have 7 dimensions"):
        metric.update(torch.ones(2, 5))


def plain_distinct(sequences: list[list[int]], n: int) -> float:
    found = [
        tuple(row[start : start + n]) for row in sequences for start in range(len(row) - n + 1)
    ]
    return len(set(found)) / len(found)


def test_distinct_ngrams():
    rng = np.random.default_rng(2)
    sequences = [rng.integers(0, 9, rng.integers(0, 40)).tolist() for _ in range(25)]
    metric = DistinctNgrams((1, 2, 3, 4))
    rows = [torch.tensor(row, dtype=torch.int64) for row in sequences]
    metric.update(rows[:10])
    metric.update(rows[10:])
    metric.update([])
    for n in (1, 2, 3, 4):
        assert metric.compute()[f"distinct_{n}"].item() == pytest.approx(
            plain_distinct(sequences, n)
        )
        assert distinct_ngrams(rows, n) == pytest.approx(plain_distinct(sequences, n))
    assert math.isnan(distinct_ngrams([torch.tensor([1, 2])], 3))
    assert math.isnan(distinct_ngrams([], 1))


def test_prompts_are_not_the_models():
    tokens = torch.tensor([7, 7, 7, 7, 1, 2, 1, 2])
    result = Generated(None, "", tokens, torch.zeros(8), tokens < 7, "end")
    assert distinct_ngrams([result.tokens[4:]], 2) == pytest.approx(2 / 3)
    metric = DistinctNgrams((2,))
    metric.update([result])
    assert metric.compute()["distinct_2"].item() == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DistinctNgrams((0,)), "no n-grams of"),
        (lambda: DistinctNgrams(()), "no n-grams of"),
        (lambda: PieceDistance("rolls"), "no view 'rolls'"),
        (lambda: PieceDistance(beats=0), "A roll cannot have"),
        (lambda: distinct_ngrams([torch.ones(2, 2)], 1), "are no sequence"),
    ],
)
def test_wrong_arguments(make: Any, message: str):
    with pytest.raises(MusicZooError, match=message):
        make()


def test_metrics_start_again():
    metric = PieceDistance()
    metric.update([score((0, 480, 60)), score((0, 480, 62))])
    assert metric.compute().item() == 1.0
    metric.reset()
    assert unused(metric).compute().isnan()
