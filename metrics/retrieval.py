"""Retrieval: where the right candidates of a query stand when a model ranks all of them.

The protocol is that of PiRhDy (Liang et al. 2020, arXiv 2010.08091) and MusicBERT (Zeng et al.
2021, arXiv 2106.05630): melody completion ranks 50 phrases of which one is the continuation, and
accompaniment suggestion ranks 50 of which several belong to the melody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from musiczoo.music.errors import MusicZooError

KS = (1, 5, 10, 25)
"""The places that PiRhDy reports HITS of."""

_LARGEST = 2**53  # All integers up to this one are float64 numbers.


def chance_average_precision(candidates: int, positives: int = 1) -> float:
    """The expected average precision of a random order.

    Args:
        candidates: Of a query.
        positives: Right ones among them.

    Raises:
        MusicZooError: No candidates, or not 1 to ``candidates`` positives.

    Example:
        >>> round(chance_average_precision(50), 6)
        0.089984
    """
    if not 1 <= positives <= candidates:
        raise MusicZooError(
            f"{positives} right ones of {candidates} candidates cannot be ranked.",
            where="positives",
            remedy="Give 1 or more, and no more than candidates.",
        )
    # A right one at rank r has on average (r - 1)(positives - 1)/(candidates - 1) others above it.
    others = (positives - 1) / max(1, candidates - 1)
    return sum((1 + (rank - 1) * others) / rank for rank in range(1, candidates + 1)) / candidates


class RetrievalAtK(Metric):
    """Mean average precision and HITS@k of groups of candidates, 0 to 1.

    HITS@k of a group is the number of right candidates among the first k, divided by all right
    candidates of the group, as PiRhDy and MusicBERT define it. That is recall: with four right
    ones HITS@1 is at most 0.25. The average precision is the mean over right candidates of the
    share of right ones from the top to its rank. Both are means over groups.

    Equal scores count at their worst: wrong candidates stand before right ones, as in MusicBERT's
    order by (-score, label). A model that scores all alike is then below chance. PiRhDy orders
    equal scores by position, where the right one comes first, so that such a model is perfect.

    A group may come in several batches and processes; each candidate must come once. Groups without
    a right candidate have no average precision; they are left out and counted in ``skipped``.

    Args:
        ks: The k of HITS@k.
        settings: Of :class:`torchmetrics.Metric`.

    Raises:
        MusicZooError: No k, or one below 1.

    Example:
        >>> metric = RetrievalAtK(ks=(1, 4))
        >>> scores = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5])
        >>> metric.update(scores, torch.tensor([1, 0, 0, 1, 0]), torch.zeros(5, dtype=torch.long))
        >>> {name: round(value.item(), 4) for name, value in metric.compute().items()}
        {'map': 0.75, 'hits@1': 0.5, 'hits@4': 1.0}
        >>> metric.describe()
        '1 group of 5 candidates, equal scores at their worst; chance: map 0.5925, hits@1 0.2000, \
hits@4 0.8000'
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    rows: list[Tensor] | Tensor

    def __init__(self, ks: Sequence[int] = KS, **settings: Any) -> None:
        super().__init__(**settings)
        if not ks or min(ks) < 1:
            raise MusicZooError(
                f"There is no HITS@k of {list(ks)}.", where="ks", remedy="Give numbers from 1 on."
            )
        self.ks = tuple(dict.fromkeys(ks))
        # A process without candidates joins in with an empty tensor of the metric's type, which
        # must then be that of the others'.
        self.set_dtype(torch.float64)
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, scores: Tensor, labels: Tensor, groups: Tensor) -> None:
        """Adds candidates.

        Args:
            scores: (candidates,), higher is better; of any number of groups.
            labels: (candidates,), 1 or True for right candidates, else 0.
            groups: (candidates,), the integer number of the query of each, the same in all batches
                and processes.

        Raises:
            MusicZooError: Other shapes, scores that are NaN, labels that are neither 0 nor 1,
                or groups that are no integers.
        """
        if scores.ndim != 1 or not scores.shape == labels.shape == groups.shape:
            shapes = ", ".join(str(tuple(one.shape)) for one in (scores, labels, groups))
            raise MusicZooError(
                f"Scores, labels and groups of shapes {shapes} are no candidates.",
                where="scores",
                remedy="Give (candidates,) each; flatten() them.",
            )
        if groups.is_floating_point() or ((groups > _LARGEST) | (groups < -_LARGEST)).any():
            raise MusicZooError(
                "Groups are no integers of at most 2^53.",
                where="groups",
                remedy="Give the number of each query.",
            )
        if scores.isnan().any():
            raise MusicZooError(
                "A score is NaN and has no rank.",
                where="scores",
                remedy="Find out why the model gives none.",
            )
        if not ((labels == 0) | (labels == 1)).all():
            raise MusicZooError(
                "Labels other than 0 and 1 are neither right nor wrong.",
                where="labels",
                remedy="Give 1 for right candidates, else 0.",
            )
        columns = [one.detach().to(self.device, torch.float64) for one in (groups, scores, labels)]
        assert isinstance(self.rows, list)
        # Flat, so that the empty tensor of a process without candidates has the same number of
        # axes.
        self.rows.append(torch.stack(columns, dim=1).flatten())

    def compute(self) -> dict[str, Tensor]:
        """Scalars ``map`` and ``hits@1`` ... by the ks, float64; NaN before the first group."""
        # A list, or the one tensor that it becomes when processes bring their rows together.
        kept = [self.rows] if isinstance(self.rows, Tensor) else self.rows
        empty = torch.zeros(0, dtype=torch.float64, device=self.device)
        values, self._chance, self._sizes, self._skipped = _figures(
            torch.cat([empty, *kept]).reshape(-1, 3), self.ks
        )
        return values

    @property
    def skipped(self) -> int:
        """Groups without a right candidate, over all processes."""
        self.compute()
        return self._skipped

    def chance(self) -> dict[str, float]:
        """The expected figures of a random order of the same groups, by name."""
        self.compute()
        return self._chance

    def describe(self) -> str:
        """The numbers of groups and candidates, the rule for equal scores, and chance."""
        chance = ", ".join(f"{name} {value:.4f}" for name, value in self.chance().items())
        sizes = self._sizes
        span = f"{min(sizes)} to {max(sizes)}" if len(set(sizes)) > 1 else f"{[*sizes, 0][0]}"
        text = f"{len(sizes)} group{'s' * (len(sizes) != 1)} of {span} candidates"
        if self._skipped:
            text += f", {self._skipped} without a right one left out"
        return f"{text}, equal scores at their worst; chance: {chance}"


def _figures(
    rows: Tensor, ks: Sequence[int]
) -> tuple[dict[str, Tensor], dict[str, float], list[int], int]:
    """Figures, chance, sizes and skipped groups of (candidates, 3) groups, scores and labels."""
    # 1. Order by group, then by falling score, then wrong ones before right ones.
    for column, sign in ((2, 1), (1, -1), (0, 1)):
        rows = rows[(sign * rows[:, column]).argsort(stable=True)]
    _, groups, sizes = torch.unique_consecutive(rows[:, 0], return_inverse=True, return_counts=True)
    labels = rows[:, 2]
    # 2. The rank of each candidate in its group, from 1, and the right ones down to it.
    begins = sizes.cumsum(0) - sizes
    ranks = torch.arange(len(rows), device=rows.device) - begins[groups] + 1
    totals = rows.new_zeros(len(sizes)).index_add(0, groups, labels)
    earlier = totals.cumsum(0) - totals
    right = labels.cumsum(0) - earlier[groups]

    # 3. The mean over groups of sums over their right candidates.
    judged = totals > 0

    def mean(gains: Tensor) -> Tensor:
        sums = rows.new_zeros(len(sizes)).index_add(0, groups, gains * labels)
        return (sums / totals)[judged].mean()

    values = {"map": mean(right / ranks)}
    values |= {f"hits@{k}": mean((ranks <= k).double()) for k in ks}
    # 4. What a random order would give.
    pairs = list(zip(sizes[judged].tolist(), totals[judged].long().tolist(), strict=True))
    known = {pair: chance_average_precision(*pair) for pair in set(pairs)}
    chances = {"map": [known[pair] for pair in pairs]}
    chances |= {f"hits@{k}": [min(k, size) / size for size, _ in pairs] for k in ks}
    chance = {
        name: sum(some) / len(some) if some else float("nan") for name, some in chances.items()
    }
    return values, chance, [size for size, _ in pairs], int((~judged).sum())
