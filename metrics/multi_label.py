"""Multi-label classification: F1 and the area under the ROC curve, in four averages.

Genre and style of a piece are several labels at once, of which one may be in nine pieces of ten.
MusicBERT (Zeng et al. 2021, arXiv 2106.05630) reports all four averages of both measures by
scikit-learn; the micro-averages follow the frequent labels, so report the macro-averages too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc, multilabel_f1_score

from musiczoo.music.errors import MusicZooError

THRESHOLD = 0.5
_PAIRS = 2**22


def samples_f1(predicted: Tensor, targets: Tensor) -> Tensor:
    """The mean over pieces of the F1 of a piece's labels.

    Args:
        predicted: (pieces, labels) bool.
        targets: (pieces, labels) bool.

    Returns:
        Scalar float64. A piece without predicted and without true labels counts 0, as in
        scikit-learn with its ``zero_division``; NaN without pieces.

    Example:
        >>> samples_f1(torch.tensor([[True, True]]), torch.tensor([[True, False]])).item()
        0.6666666666666666
    """
    both = (predicted & targets).sum(dim=1).double()
    marked = predicted.sum(dim=1) + targets.sum(dim=1)
    return (2 * both / marked.clamp(min=1)).mean()


def samples_auroc(probabilities: Tensor, targets: Tensor) -> Tensor:
    """The area under the ROC curve of each piece's labels.

    Args:
        probabilities: (pieces, labels).
        targets: (pieces, labels) bool.

    Returns:
        (pieces,) float64: the share of pairs of a true and a wrong label in which the true one has
        the higher probability; equal ones count a half. NaN for a piece that has all labels or
        none.

    Example:
        >>> samples_auroc(torch.tensor([[0.9, 0.2, 0.9]]), torch.tensor([[True, False, False]]))
        tensor([0.7500], dtype=torch.float64)
    """
    found = [torch.zeros(0, dtype=torch.float64, device=probabilities.device)]
    # Some pieces at a time, so that their pairs of labels fit into memory.
    size = max(1, _PAIRS // targets.shape[1] ** 2)
    for scores, true in zip(probabilities.split(size), targets.split(size), strict=True):
        # (pieces, labels, labels): the first label is true, the second is not.
        pairs = true.unsqueeze(2) & ~true.unsqueeze(1)
        higher = scores.unsqueeze(2) - scores.unsqueeze(1)
        wins = (higher > 0).double() + 0.5 * (higher == 0).double()
        found.append((wins * pairs).sum(dim=(1, 2)) / pairs.sum(dim=(1, 2)))
    return torch.cat(found)


class MultiLabelScores(Metric):
    """F1 and ROC-AUC of labels, each in the averages micro, macro, weighted and samples, 0 to 1.

    A label counts as predicted above the threshold. A probability of exactly 0.5 is not above it,
    as in torchmetrics and in MusicBERT's program, where numpy rounds 0.5 to 0.

    - ``f1_micro``, ``f1_macro`` and ``f1_weighted`` are those of torchmetrics and scikit-learn. A
      label that is neither in the data nor predicted counts 0 in the macro-average.
    - ``auroc_*``: the curve of a label that no piece has, or that all have, does not exist.
      scikit-learn then gives NaN for the whole average, and torchmetrics counts 0 or leaves it
      out. Here it is left out of ``macro`` and ``weighted``, and counted in ``undefined_labels``;
      so are pieces with all labels or none in ``samples`` (``undefined_pieces``).

    Args:
        labels: Their names, two or more, in the order of the columns.
        threshold: Of a probability, above which a label counts as predicted.
        settings: Of :class:`torchmetrics.Metric`.

    Raises:
        MusicZooError: Fewer than two labels, one twice, or a threshold outside 0 to 1.

    Example:
        >>> metric = MultiLabelScores(["folk", "jazz"])
        >>> metric.update(torch.tensor([[0.9, 0.2], [0.6, 0.7]]), torch.tensor([[1, 0], [0, 1]]))
        >>> values = metric.compute()
        >>> round(values["f1_micro"].item(), 4), round(values["auroc_macro"].item(), 4)
        (0.8, 1.0)
        >>> {name: round(value, 4) for name, value in metric.by_label().items()}
        {'folk': 0.6667, 'jazz': 1.0}
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    rows: list[Tensor] | Tensor

    def __init__(
        self, labels: Sequence[str], threshold: float = THRESHOLD, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.labels = tuple(labels)
        if len(set(self.labels)) != len(self.labels) or len(self.labels) < 2:
            raise MusicZooError(
                f"{list(labels)[:4]} are not two or more different labels.",
                where="labels",
                remedy="Give the name of each column once.",
            )
        if not 0 <= threshold <= 1:
            raise MusicZooError(
                f"No probability is compared with {threshold}.",
                where="threshold",
                remedy="Give a number from 0 to 1.",
            )
        self.threshold = threshold
        # A process without pieces joins in with an empty tensor of the metric's type, which must
        # then be that of the others'.
        self.set_dtype(torch.float64)
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, targets: Tensor) -> None:
        """Adds pieces.

        Args:
            probabilities: (pieces, labels), 0 to 1; ``logits.sigmoid()`` of a net.
            targets: (pieces, labels), 1 or True for the labels of a piece, else 0.

        Raises:
            MusicZooError: Other shapes, numbers outside 0 to 1, or targets that are not 0 or 1.
        """
        count = len(self.labels)
        if probabilities.shape != targets.shape or probabilities.shape[1:] != (count,):
            raise MusicZooError(
                f"Probabilities {tuple(probabilities.shape)} with targets {tuple(targets.shape)}.",
                where="probabilities",
                remedy=f"Give (pieces, {count}) of both.",
            )
        if not ((probabilities >= 0) & (probabilities <= 1)).all():
            raise MusicZooError(
                "Some probabilities are not from 0 to 1.",
                where="probabilities",
                remedy="Give logits.sigmoid().",
            )
        if not ((targets == 0) | (targets == 1)).all():
            raise MusicZooError(
                "Some targets are not 0 or 1.",
                where="targets",
                remedy="Give 1 for the labels of a piece, else 0.",
            )
        both = [one.detach().to(self.device, torch.float64) for one in (probabilities, targets)]
        assert isinstance(self.rows, list)
        # Flat, so that the empty tensor of a process without pieces has the same number of axes.
        self.rows.append(torch.cat(both, dim=1).flatten())

    def compute(self) -> dict[str, Tensor]:
        """Scalars ``f1_micro``, ``f1_macro``, ``f1_weighted``, ``f1_samples``, and ``auroc_*``.

        NaN before the first piece, and where a curve exists for no label or piece.
        """
        # A list, or the one tensor that it becomes when processes bring their rows together.
        kept = [self.rows] if isinstance(self.rows, Tensor) else self.rows
        empty = torch.zeros(0, dtype=torch.float64, device=self.device)
        rows = torch.cat([empty, *kept]).reshape(-1, 2, len(self.labels))
        probabilities, targets = rows[:, 0], rows[:, 1].bool()
        f1, self._by_label = self._f1(probabilities, targets)
        return f1 | self._auroc(probabilities, targets)

    def by_label(self) -> dict[str, float]:
        """The F1 of each label, over all processes."""
        self.compute()
        return self._by_label

    @property
    def undefined_labels(self) -> int:
        """Labels that no piece has or that all have, which are in no average of ROC-AUC."""
        self.compute()
        return self._undefined_labels

    @property
    def undefined_pieces(self) -> int:
        """Pieces with all labels or none, which are left out of ``auroc_samples``."""
        self.compute()
        return self._undefined_pieces

    def _f1(
        self, probabilities: Tensor, targets: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        if not len(targets):
            nan = probabilities.new_tensor(torch.nan)
            names = ("micro", "macro", "weighted", "samples")
            return {f"f1_{name}": nan for name in names}, dict.fromkeys(self.labels, torch.nan)

        def score(average: str) -> Tensor:
            return multilabel_f1_score(
                probabilities,
                targets.long(),
                num_labels=len(self.labels),
                threshold=self.threshold,
                average=average,  # type: ignore[arg-type]
            )

        values = {f"f1_{name}": score(name).double() for name in ("micro", "macro", "weighted")}
        values["f1_samples"] = samples_f1(probabilities > self.threshold, targets)
        return values, dict(zip(self.labels, score("none").tolist(), strict=True))

    def _auroc(self, probabilities: Tensor, targets: Tensor) -> dict[str, Tensor]:
        nan = probabilities.new_tensor(torch.nan)
        pieces = len(targets)
        positives = targets.sum(dim=0)
        defined = ((positives > 0) & (positives < pieces)).nonzero().flatten().tolist()
        self._undefined_labels = len(self.labels) - len(defined)
        areas = nan.new_tensor(
            [float(binary_auroc(probabilities[:, i], targets[:, i].long())) for i in defined]
        )
        weights = positives[defined].double()
        flat = targets.flatten()
        micro = nan
        if flat.any() and not flat.all():
            micro = binary_auroc(probabilities.flatten(), flat.long()).double()
        each = samples_auroc(probabilities, targets)
        self._undefined_pieces = int(each.isnan().sum())
        return {
            "auroc_micro": micro,
            "auroc_macro": areas.mean(),
            "auroc_weighted": (areas * weights).sum() / weights.sum(),
            "auroc_samples": each.nanmean(),
        }
