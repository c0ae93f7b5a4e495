from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.covariance import OAS, LedoitWolf, ShrunkCovariance
from torchmetrics.image.fid import _compute_fid

from musiczoo.metrics import (
    FrechetMusicDistance,
    fmd_infinity,
    frechet_distance,
    individual_distances,
)
from musiczoo.metrics.gaussian import ESTIMATORS, Gaussian
from musiczoo.music.errors import MusicZooError

SQUARE = torch.tensor([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 2.0]])
CENTRED = SQUARE - 1


def drawn(n: int, dimensions: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(dimensions, dimensions)) / dimensions**0.5
    return torch.from_numpy(rng.normal(size=(n, dimensions)) @ mixing + shift)


def by_square_root(one: np.ndarray, other: np.ndarray, means: np.ndarray) -> float:
    return float(
        (means**2).sum()
        + np.trace(one)
        + np.trace(other)
        - 2 * np.trace(scipy.linalg.sqrtm(one @ other)).real
    )


def test_worked_examples():
    assert frechet_distance(SQUARE + torch.tensor([3.0, 4.0]), SQUARE).value == pytest.approx(
        25.0, abs=1e-9
    )
    assert frechet_distance(2 * SQUARE, SQUARE).value == pytest.approx(4.666667, abs=1e-6)
    # About its middle, which then stays where it is: two spreads of 2 / sqrt(3) doubled.
    assert frechet_distance(2 * CENTRED, CENTRED).value == pytest.approx(8 / 3, abs=1e-6)
    assert frechet_distance(SQUARE, SQUARE).value == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("n", "reference_n", "dimensions"), [(300, 200, 16), (12, 40, 24), (10, 8, 30)]
)
def test_the_sample_covariance_gives_what_a_matrix_square_root_gives(n, reference_n, dimensions):
    one, other = drawn(n, dimensions, 0, 0.3), drawn(reference_n, dimensions, 1)
    found = frechet_distance(one, other).value
    covariances = [np.cov(features.numpy(), rowvar=False) for features in (one, other)]
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(0)
    means = (one.mean(0) - other.mean(0)).numpy()
    expected = float(
        (means**2).sum() + sum(map(np.trace, covariances)) - 2 * np.sqrt(eigenvalues).sum()
    )
    if min(n, reference_n) > dimensions:
        assert found == pytest.approx(by_square_root(*covariances, means), abs=1e-6)
        theirs = _compute_fid(one.mean(0), torch.cov(one.T), other.mean(0), torch.cov(other.T))
        assert found == pytest.approx(theirs.item(), abs=1e-6)
        assert found == pytest.approx(expected, abs=1e-6)
    else:
        # Of singular matrices the eigenvalue 0 comes out as 1e-16 or so, and its root counts.
        assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("n", "dimensions"), [(60, 12), (12, 30)])
@pytest.mark.parametrize(
    ("estimator", "theirs"),
    [("ledoit_wolf", LedoitWolf()), ("oas", OAS()), ("shrinkage", ShrunkCovariance(shrinkage=0.1))],
)
def test_shrunk_covariances_are_scikit_learns(estimator, theirs, n, dimensions):
    one, other = drawn(n, dimensions, 2, 0.2), drawn(n + 3, dimensions, 3)
    covariances = []
    for features in (one, other):
        theirs.fit(features.numpy())
        covariances.append(theirs.covariance_.copy())
        ours = Gaussian.of(features, estimator)
        assert ours.shrinkage == pytest.approx(getattr(theirs, "shrinkage_", 0.1), abs=1e-9)
        assert (ours.factor.T @ ours.factor).numpy() == pytest.approx(covariances[-1], abs=1e-9)
        assert len(ours.factor) <= dimensions
    expected = by_square_root(*covariances, (one.mean(0) - other.mean(0)).numpy())
    assert frechet_distance(one, other, estimator).value == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_distance_is_symmetric_and_zero_to_itself(estimator):
    one, other = drawn(20, 6, 4), drawn(30, 6, 5)
    assert frechet_distance(one, other, estimator).value == pytest.approx(
        frechet_distance(other, one, estimator).value, abs=1e-9
    )
    assert frechet_distance(one, one, estimator).value == pytest.approx(0, abs=1e-9)
    constant = torch.ones(5, 3)
    assert frechet_distance(constant, constant + 1, estimator).value == pytest.approx(3, abs=1e-9)


def test_few_pieces_in_many_dimensions_exaggerate_and_shrinkage_exaggerates_less():
    generator = torch.Generator().manual_seed(0)
    one, other = (
        torch.randn(40, 96, generator=generator),
        torch.randn(40, 96, generator=generator) + 0.05,
    )
    true = 96 * 0.05**2
    values = {name: frechet_distance(one, other, name).value for name in ESTIMATORS}
    assert values["mle"] > values["shrinkage"] > 10 * values["ledoit_wolf"] > 0
    assert abs(values["oas"] - true) < 10
    assert values["mle"] > 100 * true


@pytest.mark.parametrize("replacement", [False, True])
def test_extrapolation_comes_nearer_to_the_true_distance(replacement):
    generator = torch.Generator().manual_seed(3)
    one, other = (
        torch.randn(1200, 16, generator=generator),
        torch.randn(60_000, 16, generator=generator) + 0.1,
    )
    true = 16 * 0.1**2
    found = fmd_infinity(one, other, steps=15, min_n=100, seed=5, replacement=replacement)
    assert abs(found.value - true) < abs(found.distances[-1] - true)
    assert found.slope > 0
    assert found.r2 > 0.8
    slope, intercept = np.polyfit(1 / np.array(found.sizes), found.distances, 1)
    assert (found.slope, found.value) == pytest.approx((slope, intercept), abs=1e-9)
    assert found.sizes[0] == 100
    assert found.sizes[-1] == 1200
    if not replacement:
        assert found.distances[-1] == pytest.approx(frechet_distance(one, other).value, abs=1e-9)
    again = fmd_infinity(one, other, steps=15, min_n=100, seed=5, replacement=replacement)
    assert again == found
    assert (
        fmd_infinity(one, other, steps=15, min_n=100, seed=6, replacement=replacement).value
        != found.value
    )
    assert "15 subsets of n = 100 to 1200 against 60000, 16 dimensions" in found.describe()


def test_individual_distances_are_squared_distances_from_the_mean():
    one, other = drawn(4, 6, 6), drawn(30, 6, 7)
    mean, covariance = other.mean(0), np.cov(other.numpy(), rowvar=False)
    found = individual_distances(torch.cat([one, torch.full((1, 6), torch.nan)]), other)
    assert found[4].isnan()
    for row, distance in zip(one, found, strict=False):
        assert distance.item() == pytest.approx(
            by_square_root(covariance, covariance, (row - mean).numpy()), abs=1e-6
        )


def test_the_metric_says_how_many_pieces_and_which_estimator():
    one, other = drawn(20, 6, 8), drawn(30, 6, 9)
    metric = FrechetMusicDistance(other, "ledoit_wolf")
    assert metric.compute().isnan()
    assert "n = 0 against 30" in metric.describe()
    metric.update(one[:1])
    assert metric.compute().isnan()
    metric.update(torch.cat([one[1:], torch.full((2, 6), torch.nan, dtype=torch.float64)]))
    expected = frechet_distance(one, other, "ledoit_wolf")
    assert metric.compute().item() == pytest.approx(expected.value, abs=1e-12)
    assert metric.describe() == expected.describe()
    assert "(ledoit_wolf, n = 20 against 30, 6 dimensions)" in metric.describe()
    assert metric.skipped == 2
    assert float(expected) == expected.value


def test_what_has_no_distance_is_told():
    for one, other, said in (
        (torch.ones(1, 3), torch.ones(5, 3), "from 1 piece"),
        (torch.ones(4, 3), torch.full((5, 3), torch.nan), "from 0 pieces"),
        (torch.ones(4, 3), torch.ones(5, 4), "one encoder"),
        (torch.ones(3), torch.ones(5, 3), "one encoder"),
        (torch.ones(4, 3), torch.ones(3), "one encoder"),
    ):
        with pytest.raises(MusicZooError, match=said):
            frechet_distance(one, other)
    with pytest.raises(MusicZooError, match="ledoit_wolf"):
        frechet_distance(SQUARE, SQUARE, "leodit_wolf")  # type: ignore[arg-type]
    with pytest.raises(MusicZooError, match="from 4 pieces"):
        fmd_infinity(SQUARE, SQUARE)
    with pytest.raises(MusicZooError, match="one encoder"):
        FrechetMusicDistance(SQUARE).update(torch.ones(2, 3))
    with pytest.raises(MusicZooError, match="no reference"):
        individual_distances(SQUARE, torch.ones(0, 2))
