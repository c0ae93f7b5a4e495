"""Frechet music distance of two sets of pieces, as normal distributions of their features.

Retkowski, Stepniak and Modrzejewski 2024 (arXiv 2412.07948), after Heusel et al. 2017 (FID, arXiv
1706.08500):

    FMD = |m_a - m_b|^2 + tr S_a + tr S_b - 2 tr sqrtm(S_a S_b)

with the means m and the covariances S of both sets. A covariance of few pieces in many dimensions
is a poor estimate, and the distance comes out too large by far (two samples of 300 from
distributions 1.92 apart, 768 dimensions: 765). So the number of pieces and the estimator belong to
the figure, and :meth:`FrechetDistance.describe` always gives both.

No matrix square root is taken. With S = F^T F, tr sqrtm(S_a S_b) is the sum of the singular values
of F_a F_b^T: exact, real always, and much quicker, for F needs no more rows than there are pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from musiczoo.metrics.features import same_dimensions, usable_features, usable_references
from musiczoo.metrics.gaussian import Estimator, Gaussian
from musiczoo.music.errors import MusicZooError


@dataclass(frozen=True, slots=True)
class FrechetDistance:
    """A distance with what it was estimated from.

    Attributes:
        value: The distance, 0 or more.
        n: Pieces.
        reference_n: Reference pieces.
        dimensions: Of the features.
        estimator: Of both covariances.
    """

    value: float
    n: int
    reference_n: int
    dimensions: int
    estimator: Estimator

    def __float__(self) -> float:
        return self.value

    def describe(self) -> str:
        """The figure with all that it depends on.

        >>> FrechetDistance(25.0, 4, 4, 2, "mle").describe()
        'FMD 25 (mle, n = 4 against 4, 2 dimensions)'
        """
        return (
            f"FMD {self.value:.4g} ({self.estimator}, n = {self.n} against {self.reference_n},"
            f" {self.dimensions} dimensions)"
        )


def gaussian_distance(one: Gaussian, other: Gaussian) -> Tensor:
    """The Frechet distance of two normal distributions: scalar, 0 or more, float64."""
    common: Tensor = torch.linalg.svdvals(one.factor @ other.factor.T).sum()
    distance: Tensor = (one.mean - other.mean).square().sum() + one.trace + other.trace - 2 * common
    return distance.clamp(min=0)


def frechet_distance(
    features: Tensor, reference_features: Tensor, estimator: Estimator = "mle"
) -> FrechetDistance:
    """The Frechet music distance of two sets of pieces.

    Args:
        features: (pieces, dimensions); rows without features are left out.
        reference_features: (references, dimensions), of the same encoder.
        estimator: Of the covariances, see :meth:`Gaussian.of`.

    Returns:
        The distance with the numbers of pieces and the estimator.

    Raises:
        MusicZooError: Fewer than two pieces on one side, features of two encoders, or no such
            estimator.

    Example:
        >>> square = torch.tensor([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 2.0]])
        >>> round(frechet_distance(square + torch.tensor([3.0, 4.0]), square).value, 6)
        25.0
    """
    same_dimensions(features, reference_features)
    one, other = Gaussian.of(features, estimator), Gaussian.of(reference_features, estimator)
    return FrechetDistance(
        float(gaussian_distance(one, other)), one.n, other.n, features.shape[1], estimator
    )


def individual_distances(features: Tensor, reference_features: Tensor) -> Tensor:
    """Distances of single pieces from a set.

    Each is that of a distribution around the piece with the set's own covariance.

    With equal covariances the distance is that of the means, squared, so that no covariance has to
    be estimated.

    Args:
        features: (pieces, dimensions).
        reference_features: (references, dimensions).

    Returns:
        (pieces,) float64; NaN for a piece without features.

    Raises:
        MusicZooError: No usable reference, or features of two encoders.

    Example:
        >>> real = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> individual_distances(torch.tensor([[3.0, 4.0]]), real)
        tensor([25.], dtype=torch.float64)
    """
    same_dimensions(features, reference_features)
    references = usable_references(reference_features)
    _, usable = usable_features(features)
    distances = (features.detach().double() - references.mean(dim=0)).square().sum(dim=1)
    return torch.where(usable, distances, torch.nan)


@dataclass(frozen=True, slots=True)
class FrechetInfinity:
    """The distance extrapolated to infinitely many pieces.

    Attributes:
        value: Where the fitted line meets 1/n = 0. An estimate: below 0 it means that the two sets
            cannot be distinguished.
        slope: Of the line, over 1/n.
        r2: Share of the variance that the line explains; far below 1 it is no line, and the value
            means little.
        sizes: Pieces of each subset.
        distances: Its distance.
        n: Pieces that subsets were drawn from.
        reference_n: Reference pieces.
        dimensions: Of the features.
    """

    value: float
    slope: float
    r2: float
    sizes: tuple[int, ...]
    distances: tuple[float, ...]
    n: int
    reference_n: int
    dimensions: int

    def __float__(self) -> float:
        return self.value

    def describe(self) -> str:
        """The figure with all that it depends on.

        >>> FrechetInfinity(1.5, 30.0, 0.99, (500, 1000), (1.56, 1.53), 1000, 2000, 64).describe()
        'FMD-inf 1.5 (mle, 2 subsets of n = 500 to 1000 against 2000, 64 dimensions, r2 = 0.990)'
        """
        return (
            f"FMD-inf {self.value:.4g} (mle, {len(self.sizes)} subsets of n = {self.sizes[0]} to"
            f" {self.sizes[-1]} against {self.reference_n}, {self.dimensions} dimensions, r2 ="
            f" {self.r2:.3f})"
        )


def fmd_infinity(
    features: Tensor,
    reference_features: Tensor,
    *,
    steps: int = 25,
    min_n: int = 500,
    seed: int = 0,
    replacement: bool = False,
) -> FrechetInfinity:
    """The distance extrapolated to infinitely many pieces.

    Chong and Forsyth 2020 (arXiv 1911.07023) do so for images.

    The bias of the distance falls about as 1/n. So distances of subsets of growing size from the
    whole reference are fitted with a line over 1/n by least squares. The reference stays as large
    as it is, and so does its share of the bias.

    Args:
        features: (pieces, dimensions).
        reference_features: (references, dimensions).
        steps: Subsets.
        min_n: Pieces of the smallest one; below some multiple of ``dimensions`` the bias is no
            longer a line.
        seed: Of the subsets.
        replacement: Draw a subset's pieces with replacement, as the package frechet-music-distance
            does. A piece that is drawn twice makes a covariance narrower, so that subsets seem
            smaller than they are. Chong and Forsyth draw without.

    Raises:
        MusicZooError: Fewer than ``min_n`` + 1 pieces, too few subsets, or what
            :func:`frechet_distance` refuses.
    """
    same_dimensions(features, reference_features)
    rows = usable_features(features)[0]
    if not 2 <= min_n < len(rows) or steps < 2:
        raise MusicZooError(
            f"{steps} subsets of {min_n} and more cannot be drawn from {len(rows)} pieces.",
            where="min_n",
            remedy="Give more pieces, a smaller min_n (2 or more), and 2 steps or more.",
        )
    reference = Gaussian.of(reference_features)
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.linspace(min_n, len(rows), steps).round().long()
    distances = []
    for size in sizes.tolist():
        drawn = _drawn(len(rows), size, generator, replacement).to(rows.device)
        distances.append(float(gaussian_distance(Gaussian.of(rows[drawn]), reference)))
    slope, value, r2 = _line(1 / sizes.double(), torch.tensor(distances, dtype=torch.float64))
    return FrechetInfinity(
        value,
        slope,
        r2,
        sizes=tuple(sizes.tolist()),
        distances=tuple(distances),
        n=len(rows),
        reference_n=reference.n,
        dimensions=rows.shape[1],
    )


def _drawn(n: int, size: int, generator: torch.Generator, replacement: bool) -> Tensor:
    """(size,) indices below n."""
    if replacement:
        return torch.randint(n, (size,), generator=generator)
    return torch.randperm(n, generator=generator)[:size]


def _line(x: Tensor, y: Tensor) -> tuple[float, float, float]:
    """Slope, intercept and r2 of the least-squares line."""
    dx, dy = x - x.mean(), y - y.mean()
    variance = float(dx.square().sum())
    slope = float((dx * dy).sum()) / variance if variance else 0.0
    rest, whole = float((dy - slope * dx).square().sum()), float(dy.square().sum())
    return slope, float(y.mean()) - slope * float(x.mean()), 1 - rest / whole if whole else 1.0


class FrechetMusicDistance(Metric):
    """Frechet music distance of all pieces from a fixed reference.

    :meth:`describe` adds the numbers of pieces and the estimator.

    The features themselves are kept: 4 MB for a thousand pieces of 512 dimensions. Over processes
    they are brought together. Pieces without features are left out and counted in ``skipped``.

    Args:
        reference_features: (references, dimensions), the same in every process.
        estimator: Of the covariances, see :meth:`Gaussian.of`.
        settings: Of :class:`torchmetrics.Metric`.

    Raises:
        MusicZooError: Fewer than two references have features, or there is no such estimator.

    Example:
        >>> square = torch.tensor([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 2.0]]) + 1
        >>> metric = FrechetMusicDistance(square)
        >>> metric.update(2 * square)
        >>> round(metric.compute().item(), 6)
        10.666667
        >>> metric.describe()
        'FMD 10.67 (mle, n = 4 against 4, 2 dimensions)'
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    features: list[Tensor] | Tensor
    skipped: Tensor

    def __init__(
        self, reference_features: Tensor, estimator: Estimator = "mle", **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.reference = Gaussian.of(reference_features, estimator)
        self.estimator: Estimator = estimator
        # A process without pieces joins in with an empty tensor of the metric's type, which must
        # then be that of the others'.
        self.set_dtype(torch.float64)
        self.add_state("features", [], dist_reduce_fx="cat")
        self.add_state("skipped", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, features: Tensor) -> None:
        """Adds pieces.

        Args:
            features: (pieces, dimensions).

        Raises:
            MusicZooError: Features of another encoder.
        """
        same_dimensions(features, self.reference.mean.unsqueeze(0))
        rows, usable = usable_features(features)
        assert isinstance(self.features, list)
        # Flat, so that the empty tensor of a process without pieces has the same number of axes.
        self.features.append(rows.flatten())
        self.skipped += int((~usable).sum())

    def compute(self) -> Tensor:
        """Scalar; NaN before the second piece."""
        # A list, or the one tensor that it becomes when processes bring their features together.
        kept = [self.features] if isinstance(self.features, Tensor) else self.features
        rows = torch.cat(
            [
                torch.zeros(0).to(self.reference.mean),
                *(some.to(self.reference.mean) for some in kept),
            ]
        )
        rows = rows.reshape(-1, len(self.reference.mean))  # (pieces, dimensions)
        value = rows.new_tensor(torch.nan)
        if len(rows) > 1:
            value = gaussian_distance(Gaussian.of(rows, self.estimator), self.reference)
        self._result = FrechetDistance(
            float(value), len(rows), self.reference.n, rows.shape[1], self.estimator
        )
        return value

    def result(self) -> FrechetDistance:
        """The distance of :meth:`compute`, with the numbers of pieces and the estimator."""
        self.compute()
        return self._result

    def describe(self) -> str:
        """:meth:`result` in words."""
        return self.result().describe()
