"""Mean and covariance of features, by estimators for many pieces and for few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from musiczoo.metrics.features import usable_features
from musiczoo.music.errors import MusicZooError

Estimator = Literal["mle", "ledoit_wolf", "shrinkage", "oas"]
ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)
SHRINKAGE = 0.1
"""The weight of the identity in the estimator ``"shrinkage"``."""


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Mean and covariance of a set of features; the covariance is ``factor.T @ factor``.

    Attributes:
        mean: (dimensions,) float64.
        factor: (rows, dimensions) float64, with at most as many rows as dimensions.
        n: Pieces that it was estimated from.
        estimator: Its estimator.
        shrinkage: Weight of the identity in the covariance, 0 to 1.
    """

    mean: Tensor
    factor: Tensor
    n: int
    estimator: Estimator
    shrinkage: float

    @classmethod
    def of(cls, features: Tensor, estimator: Estimator = "mle") -> Gaussian:
        """Estimates mean and covariance.

        ``"mle"`` is the sample covariance, divided by n - 1. The others draw the covariance, here
        divided by n, to a multiple of the identity of the same trace: ``"shrinkage"`` by 0.1;
        ``"ledoit_wolf"`` by the weight that Ledoit and Wolf (2004, J. Multivariate Analysis 88)
        show to be best for any distribution, ``"oas"`` by that of Chen et al. (2010, arXiv
        0907.4698) for normal ones, without its terms 2/dimensions. These are the conventions of
        frechet-music-distance and scikit-learn, so that figures can be compared.

        Args:
            features: (pieces, dimensions), two usable rows at least; unusable ones are left out.
            estimator: Which of :data:`ESTIMATORS`.

        Raises:
            MusicZooError: There is no such estimator, or fewer than two pieces have features.

        Example:
            >>> found = Gaussian.of(torch.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]]))
            >>> found.mean, found.factor.T @ found.factor
            (tensor([2., 1.], dtype=torch.float64), tensor([[4., 0.],
                    [0., 0.]], dtype=torch.float64))
        """
        if estimator not in ESTIMATORS:
            raise MusicZooError(
                f"There is no estimator {estimator!r}.",
                where="estimator",
                remedy=f"Choose one of {', '.join(ESTIMATORS)}.",
            )
        rows = usable_features(features)[0]
        n, dimensions = rows.shape
        if n < 2:
            raise MusicZooError(
                f"A covariance cannot be estimated from {n} piece{'s' * (n != 1)}.",
                remedy="Give two or more; best many.",
            )
        mean = rows.mean(dim=0)
        centred = rows - mean
        if estimator == "mle":
            return cls(mean, _reduced(centred / (n - 1) ** 0.5), n, estimator, 0.0)
        weight = _weight(centred, estimator)
        identity = (weight * float(centred.square().sum()) / n / dimensions) ** 0.5
        stacked = torch.cat(
            [centred * ((1 - weight) / n) ** 0.5, identity * torch.eye(dimensions).to(centred)]
        )
        return cls(mean, _reduced(stacked), n, estimator, weight)

    @property
    def trace(self) -> Tensor:
        """Scalar, the trace of the covariance."""
        return self.factor.square().sum()


def _reduced(factor: Tensor) -> Tensor:
    """A factor of the same covariance with at most as many rows as columns."""
    reduced: Tensor = (
        torch.linalg.qr(factor, mode="r").R if factor.shape[0] > factor.shape[1] else factor
    )
    return reduced


def _weight(centred: Tensor, estimator: Estimator) -> float:
    """The weight of the identity in a covariance, 0 to 1."""
    if estimator == "shrinkage":
        return SHRINKAGE
    n, dimensions = centred.shape
    # Of the covariance S = X^T X / n: the sum of its squares, from whichever product of X with
    # itself is smaller.
    small = centred @ centred.T if n < dimensions else centred.T @ centred
    squares = float(small.square().sum()) / n**2
    trace = float(centred.square().sum()) / n
    # Squared distance of S from the multiple of the identity that it is drawn to.
    distance = squares - trace**2 / dimensions
    if distance <= 0:
        return 0.0 if estimator == "ledoit_wolf" else 1.0
    if estimator == "oas":
        return min((squares + trace**2) / ((n + 1) * distance), 1.0)
    # Squared distance of S from the single products x x^T, over n: how far S itself is off.
    off = (float(centred.square().sum(dim=1).square().sum()) / n - squares) / n
    return min(max(off, 0.0), distance) / distance
