"""Diversity: how much pieces differ from one another.

A model that is tuned too hard for a reward generates one piece over and over.

There are two views, and a collapse may be visible in one of them only: distinct n-grams of token
ids (Li et al. 2016, arXiv 1510.03055), and the mean distance of pairs of pieces in what sounds
(piano rolls, onsets of pitch classes) or in the features of an encoder.

The distance is 1 minus the cosine of two rows. Its mean over all pairs of ``n`` rows needs no
pairs: with the rows scaled to length 1, the cosines of all ordered pairs, each row with itself
included, sum to the squared length of the rows' sum, so the mean distance of two different rows is
``n / (n - 1) * (1 - |mean|^2)``. That is exact, linear in ``n``, and sums over batches and
processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from musiczoo.metrics.piano_rolls import BEATS, STEPS_PER_BEAT, onset_roll, piano_roll, roll_steps
from musiczoo.metrics.sounding import music_of
from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from symusic.core import ScoreTick

View = Literal["piano_roll", "onsets"]

# Each with the number of rows of its rolls.
_ROLLS: dict[str, tuple[int, Callable[..., NDArray[np.bool_]]]] = {
    "piano_roll": (128, piano_roll),
    "onsets": (12, onset_roll),
}


def distinct_ngrams(sequences: Iterable[Tensor], n: int) -> float:
    """Distinct-n: the different n-grams of all sequences, divided by all their n-grams, 0 to 1.

    NaN without any.

    It falls with the amount of text: compare equal numbers of sequences of equal length only.

    Args:
        sequences: Token ids, (length,) each; without prompts, which are not the model's.
        n: Tokens of an n-gram.

    Raises:
        MusicZooError: n-grams of fewer than one token, or ids that are not one row.

    Example:
        >>> distinct_ngrams([torch.tensor([1, 2, 1, 2]), torch.tensor([1, 2])], 2)
        0.5
    """
    metric = DistinctNgrams((n,))
    metric.update(list(sequences))
    return float(metric.compute()[f"distinct_{n}"])


class DistinctNgrams(Metric):
    """Distinct-n of generated pieces for several n; see :func:`distinct_ngrams`.

    Args:
        orders: Tokens of the n-grams.
        settings: Of :class:`torchmetrics.Metric`.

    Raises:
        MusicZooError: n-grams of fewer than one token.

    Example:
        >>> metric = DistinctNgrams((1, 2))
        >>> metric.update([torch.tensor([1, 2, 1, 2])])
        >>> {name: round(value.item(), 3) for name, value in metric.compute().items()}
        {'distinct_1': 0.5, 'distinct_2': 0.667}
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    def __init__(self, orders: Sequence[int] = (1, 2, 4), **settings: Any) -> None:
        super().__init__(**settings)
        if not orders or min(orders) < 1:
            raise MusicZooError(
                f"There are no n-grams of {list(orders)} tokens.",
                where="orders",
                remedy="Give numbers from 1 on.",
            )
        self.orders = tuple(dict.fromkeys(orders))
        for n in self.orders:
            # The different n-grams themselves, so that they can be compared over batches and
            # processes.
            self.add_state(f"ngrams_{n}", [], dist_reduce_fx="cat")
            self.add_state(f"total_{n}", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, pieces: Iterable[Tensor | Generated]) -> None:
        """Adds pieces.

        Args:
            pieces: Token ids, (length,) each, or results of generation, of which the sampled tokens
                count.

        Raises:
            MusicZooError: Ids that are not one row.
        """
        rows = [
            piece.tokens[piece.scored] if isinstance(piece, Generated) else piece
            for piece in pieces
        ]
        if wrong := [tuple(row.shape) for row in rows if row.ndim != 1]:
            raise MusicZooError(
                f"Token ids of shape {wrong[0]} are no sequence.",
                where="pieces",
                remedy="Give rows of ids, (length,) each.",
            )
        for n in self.orders:
            total: Tensor = getattr(self, f"total_{n}")
            windows = [
                sliding_window_view(row.detach().cpu().numpy(), n) for row in rows if len(row) >= n
            ]
            # Also where there are no n-grams: all processes must gather rows of the same kind.
            # (n-grams, n)
            found = np.concatenate([np.zeros((0, n), dtype=np.int64), *windows])
            total += len(found)
            getattr(self, f"ngrams_{n}").append(
                torch.from_numpy(np.unique(found, axis=0)).to(total.device)
            )

    def compute(self) -> dict[str, Tensor]:
        """Scalars ``distinct_1`` ... by the orders, 0 to 1; NaN before the first n-gram."""
        shares = {}
        for n in self.orders:
            total: Tensor = getattr(self, f"total_{n}")
            found = getattr(self, f"ngrams_{n}")
            different = len(torch.unique(dim_zero_cat(found), dim=0)) if len(found) else 0
            shares[f"distinct_{n}"] = different / total.double()
        return shares


def mean_pairwise_distance(rows: Tensor) -> Tensor:
    """The mean over all pairs of 1 minus the cosine of the two rows.

    Args:
        rows: (n, dimensions), one a piece; rows without a direction (zeros, NaN) are left out.

    Returns:
        Scalar float64: 0 where all rows have one direction, 1 where they have nothing in common.
        NaN for fewer than two rows.

    Raises:
        MusicZooError: The tensor is no matrix.

    Example:
        >>> mean_pairwise_distance(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]]))
        tensor(0.6667, dtype=torch.float64)
    """
    units = _units(rows)
    return _mean_distance(units.sum(dim=0), torch.tensor(len(units)))


def _units(rows: Tensor) -> Tensor:
    """(usable, dimensions) float64: the rows that have a direction, scaled to length 1."""
    if rows.ndim != 2:
        raise MusicZooError(
            f"A tensor of shape {tuple(rows.shape)} has no rows.",
            remedy="Give shape (pieces, dimensions).",
        )
    rows = rows.detach().double()
    lengths = rows.norm(dim=1, keepdim=True)
    usable = (lengths.isfinite() & (lengths > 0)).squeeze(1)
    units: Tensor = rows[usable] / lengths[usable]
    return units


def _mean_distance(total: Tensor, count: Tensor) -> Tensor:
    """The mean distance of unit rows, from their sum and their number."""
    n = count.double()
    if n < 2:
        return torch.full((), torch.nan, dtype=torch.float64, device=total.device)
    # Rounding must not make equal rows a little less than equal.
    mean: Tensor = n / (n - 1) * (1 - (total / n).square().sum())
    return mean.clamp(min=0.0)


class _Distances(Metric):
    """The mean distance of rows that come in batches, from the sum of their directions."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    total: Tensor
    pieces: Tensor
    skipped: Tensor

    def __init__(self, dimensions: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.add_state("total", torch.zeros(dimensions, dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("pieces", "skipped"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def _add(self, rows: Tensor) -> None:
        units = _units(rows).to(self.total.device)
        self.total += units.sum(dim=0)
        self.pieces += len(units)
        self.skipped += len(rows) - len(units)

    def compute(self) -> Tensor:
        """Scalar float64; NaN for fewer than two pieces."""
        return _mean_distance(self.total, self.pieces)


class FeatureDistance(_Distances):
    """Mean distance of pairs of pieces in the features of an encoder.

    See :func:`mean_pairwise_distance`.

    Pieces without features (NaN) are left out and counted in ``skipped``.

    Args:
        dimensions: Of the features.
        settings: Of :class:`torchmetrics.Metric`.

    Example:
        >>> metric = FeatureDistance(2)
        >>> metric.update(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0], [0.0, torch.nan]]))
        >>> metric.compute(), metric.skipped
        (tensor(0.6667, dtype=torch.float64), tensor(1))
    """

    def update(self, features: Tensor) -> None:
        """Adds pieces.

        Args:
            features: (pieces, dimensions).

        Raises:
            MusicZooError: Features of other dimensions.
        """
        if features.ndim != 2 or features.shape[1] != len(self.total):
            raise MusicZooError(
                f"Features of shape {tuple(features.shape)} do not have {len(self.total)}"
                " dimensions.",
                remedy="Compute all with one encoder.",
            )
        self._add(features)


class PieceDistance(_Distances):
    r"""Mean distance of pairs of pieces in what sounds in their first beats.

    It is 0 where all are the same and 1 where no two share anything.

    Pieces in whose beginning nothing sounds (and results of generation that are no pieces) have no
    direction: they are left out and counted in ``skipped``, which shows a model that falls silent.

    Args:
        by: ``"piano_roll"``, every pitch at every step; or ``"onsets"``, the pitch classes that
            begin at each step, whatever their octaves and durations.
        beats: Quarter notes of a roll.
        resolution: Steps of a quarter note.
        settings: Of :class:`torchmetrics.Metric`.

    Raises:
        MusicZooError: There is no such view, or no step.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> metric = PieceDistance("onsets")
        >>> metric.update([read_abc("L:1/4\nK:C\nCDEF|\n"), read_abc("L:1/4\nK:C\nCEEF|\n")])
        >>> metric.compute()
        tensor(0.2500, dtype=torch.float64)
    """

    def __init__(
        self,
        by: View = "piano_roll",
        beats: int = BEATS,
        resolution: int = STEPS_PER_BEAT,
        **settings: Any,
    ) -> None:
        if by not in _ROLLS:
            raise MusicZooError(
                f"There is no view {by!r} of a piece.",
                where="by",
                remedy=f"Choose {' or '.join(_ROLLS)}.",
            )
        rows, self._roll = _ROLLS[by]
        super().__init__(rows * roll_steps(beats, resolution), **settings)
        self.by: View = by
        self.beats = beats
        self.resolution = resolution

    def update(self, pieces: Iterable[ScoreTick | Tune | Generated]) -> None:
        """Adds pieces: scores, tunes, or results of generation.

        Raises:
            MusicZooError: A tune with music code that cannot be read.
        """
        for piece in pieces:
            roll = music_of(
                piece, lambda music: self._roll(music, beats=self.beats, resolution=self.resolution)
            )
            self._add(
                torch.zeros(1, len(self.total))
                if roll is None
                else torch.from_numpy(roll.reshape(1, -1))  # (1, rows * steps)
            )
