"""Label accuracy: whether pieces that were asked for by a label are recognised as such.

Wang et al. 2025 (NotaGen, arXiv 2502.18008) train classifiers of period and instrumentation on the
features of real works, and report how many of a model's pieces they assign to what the prompt asked
for. Theirs are linear layers on the hidden states of M3; ours is a multinomial logistic regression
on an encoder's features, which has one solution and draws nothing at random.

The encoder must not be the one that gave feedback. A model that was rewarded for closeness in some
features learns to satisfy those features, whether the music improves or not: a probe on the same
features would confirm the reward, not the music.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import Metric

from musiczoo.metrics.features import same_dimensions, usable_features
from musiczoo.music.errors import MusicZooError

_STEPS = 1000
_GRADIENT = 1e-10


class LabelProbe:
    """A multinomial logistic regression on standardised features.

    Args:
        classes: The labels, in the order of the scores.
        mean: (dimensions,), subtracted from features.
        scale: (dimensions,), divides the difference.
        weight: (classes, dimensions).
        bias: (classes,).
    """

    def __init__(
        self, classes: Sequence[str], mean: Tensor, scale: Tensor, weight: Tensor, bias: Tensor
    ) -> None:
        self.classes = tuple(classes)
        self.mean = mean
        self.scale = scale
        self.weight = weight
        self.bias = bias

    @classmethod
    def fit(cls, features: Tensor, labels: Sequence[str], *, penalty: float = 1.0) -> LabelProbe:
        """The probe of real works.

        It is the one minimum of the summed cross-entropy + penalty / 2 * |weight|^2; the penalty is
        1 / C of scikit-learn. L-BFGS starts at zero and works in float64, so
        that the same features give the same probe.

        Args:
            features: (works, dimensions); works without features are left out.
            labels: The label of each.
            penalty: Of the weights, above 0; biases are free.

        Raises:
            MusicZooError: Another number of labels than works, fewer than two different ones, or a
                penalty that is not above 0.
        """
        if len(labels) != len(features):
            raise MusicZooError(
                f"{len(features)} works with {len(labels)} labels.",
                where="labels",
                remedy="Give one for each work.",
            )
        rows, usable = usable_features(features)
        kept = [label for label, use in zip(labels, usable.tolist(), strict=True) if use]
        classes = sorted(set(kept))
        if len(classes) < 2:
            raise MusicZooError(
                f"{len(classes)} kinds of labels leave nothing to distinguish.",
                where="labels",
                remedy="Give two or more.",
            )
        if penalty <= 0:
            raise MusicZooError(
                f"A penalty of {penalty} leaves the probe without a solution.",
                where="penalty",
                remedy="Give 1.0.",
            )
        mean = rows.mean(dim=0)
        scale = rows.std(dim=0, correction=0)
        # A dimension that never changes carries no information, and must not be divided by 0.
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        targets = torch.tensor([classes.index(label) for label in kept], device=rows.device)
        weight, bias = _solved((rows - mean) / scale, targets, len(classes), penalty)
        return cls(classes, mean, scale, weight, bias)

    def log_probs(self, features: Tensor) -> Tensor:
        """(pieces, classes) float64, the logarithm of each label's probability.

        NaN for a piece without features.

        Raises:
            MusicZooError: Features of another encoder.
        """
        same_dimensions(features, self.mean.unsqueeze(0))
        _, usable = usable_features(features)
        rows = (features.detach().to(self.mean) - self.mean) / self.scale
        scores = functional.linear(rows, self.weight, self.bias).log_softmax(dim=1)
        return torch.where(usable.to(scores.device).unsqueeze(1), scores, torch.nan)

    def predict(self, features: Tensor) -> list[str | None]:
        """The likeliest label of each piece; None without features.

        Raises:
            MusicZooError: Features of another encoder.
        """
        scores = self.log_probs(features)
        best = scores.nan_to_num().argmax(dim=1).tolist()
        return [
            None if lost else self.classes[place]
            for place, lost in zip(best, scores.isnan().any(dim=1).tolist(), strict=True)
        ]


def _solved(rows: Tensor, targets: Tensor, classes: int, penalty: float) -> tuple[Tensor, Tensor]:
    weight = torch.zeros(
        classes, rows.shape[1], dtype=rows.dtype, device=rows.device, requires_grad=True
    )
    bias = torch.zeros(classes, dtype=rows.dtype, device=rows.device, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_STEPS,
        tolerance_grad=_GRADIENT,
        tolerance_change=0.0,
        history_size=100,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = functional.cross_entropy(
            functional.linear(rows, weight, bias), targets, reduction="sum"
        )
        loss = (loss + penalty / 2 * weight.square().sum()) / len(rows)
        torch.autograd.backward(loss)
        return loss

    with torch.enable_grad():
        optimiser.step(closure)
    return weight.detach(), bias.detach()


def label_accuracy(predicted: Sequence[str], labels: Sequence[str]) -> tuple[float, float]:
    """Accuracy and macro-F1 (the mean over the labels that were asked for or predicted), 0 to 1.

    Args:
        predicted: The label that a probe predicts for each piece.
        labels: The label that was asked for.

    Raises:
        MusicZooError: No pieces, or another number of labels.

    Example:
        >>> predicted = ["reel", "reel", "jig", "jig"]
        >>> accuracy, f1 = label_accuracy(predicted, ["reel", "jig", "jig", "jig"])
        >>> accuracy, round(f1, 6)
        (0.75, 0.733333)
    """
    if len(predicted) != len(labels) or not labels:
        raise MusicZooError(
            f"{len(predicted)} pieces with {len(labels)} labels.",
            where="labels",
            remedy="Give one for each of some pieces.",
        )
    classes = sorted({*predicted, *labels})
    confusion = torch.zeros(len(classes), len(classes), dtype=torch.float64)
    for given, asked in zip(predicted, labels, strict=True):
        confusion[classes.index(asked), classes.index(given)] += 1
    accuracy, f1 = _accuracy_and_f1(confusion)
    return float(accuracy), float(f1)


def _accuracy_and_f1(confusion: Tensor) -> tuple[Tensor, Tensor]:
    """Accuracy and macro-F1 from counts, (asked, predicted).

    Labels that were neither asked for nor predicted do not count.
    """
    both = confusion.sum(dim=1) + confusion.sum(dim=0)
    f1 = (2 * confusion.diagonal() / both)[both > 0].mean()
    return confusion.diagonal().sum() / confusion.sum(), f1


class LabelAccuracy(Metric):
    """Pieces that a probe assigns to the label they were asked for, and macro-F1, in percent.

    One metric judges one kind of label (instrumentation, say, or source). :meth:`by_label` gives
    each label's own. Pieces without features do not count as wrong; they are left out and counted
    in ``skipped``.

    Args:
        probe: Fitted on real works, with an encoder that gave no feedback (see the module).
        settings: Of :class:`torchmetrics.Metric`.

    Example:
        >>> works = torch.tensor([[0.0, 1.0], [0.2, 0.9], [1.0, 0.0], [0.9, 0.2]])
        >>> metric = LabelAccuracy(LabelProbe.fit(works, ["jig", "jig", "reel", "reel"]))
        >>> pieces = torch.tensor([[0.1, 1.0], [0.1, 1.0], [1.0, 0.1]])
        >>> metric.update(pieces, ["jig", "reel", "reel"])
        >>> {name: round(value.item(), 4) for name, value in metric.compute().items()}
        {'accuracy': 66.6667, 'macro_f1': 66.6667}
        >>> metric.by_label()
        {'jig': 100.0, 'reel': 50.0}
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    confusion: Tensor
    skipped: Tensor

    def __init__(self, probe: LabelProbe, **settings: Any) -> None:
        super().__init__(**settings)
        self.probe = probe
        count = len(probe.classes)
        self.add_state(
            "confusion", torch.zeros(count, count, dtype=torch.float64), dist_reduce_fx="sum"
        )
        self.add_state("skipped", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, features: Tensor, labels: Sequence[str]) -> None:
        """Adds pieces.

        Args:
            features: (pieces, dimensions), of the probe's encoder.
            labels: The label that each piece was asked for.

        Raises:
            MusicZooError: A label that the probe does not know, another number of labels than
                pieces, or features of another encoder.
        """
        if len(labels) != len(features):
            raise MusicZooError(
                f"{len(features)} pieces with {len(labels)} labels.",
                where="labels",
                remedy="Give one for each piece.",
            )
        classes = self.probe.classes
        if unknown := [label for label in labels if label not in classes]:
            near = difflib.get_close_matches(unknown[0], classes, n=2) or classes[:3]
            raise MusicZooError(
                f"The probe does not know {unknown[0]!r}.",
                where="labels",
                remedy=f"It knows {', '.join(near)} ...",
            )
        for given, asked in zip(self.probe.predict(features), labels, strict=True):
            if given is None:
                self.skipped += 1
            else:
                self.confusion[classes.index(asked), classes.index(given)] += 1

    def compute(self) -> dict[str, Tensor]:
        """Scalars ``accuracy`` and ``macro_f1``, percent; NaN before the first piece."""
        asked = self.confusion.sum(dim=1)
        recognised = 100.0 * self.confusion.diagonal() / asked
        self._by_label = {
            label: float(recognised[place])
            for place, label in enumerate(self.probe.classes)
            if asked[place] > 0
        }
        accuracy, f1 = _accuracy_and_f1(self.confusion)
        return {"accuracy": 100.0 * accuracy, "macro_f1": 100.0 * f1}

    def by_label(self) -> dict[str, float]:
        """For each label that was asked for the percentage recognised, over all processes."""
        self.compute()
        return self._by_label
