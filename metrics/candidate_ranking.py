"""How well a classifier of pairs finds the right candidate of each group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from torch import Tensor

from musiczoo.metrics.retrieval import RetrievalAtK
from musiczoo.models.base.evaluation import evaluating
from musiczoo.music.errors import MusicZooError


class PairClassifier(Protocol):
    """A model whose net gives logits of labels, one of which means "belongs together"."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the logits."""
        ...

    @property
    def net(self) -> Any:
        """Called with ids and lengths, it returns (batch, labels)."""
        ...

    @property
    def device(self) -> Any:
        """Of the net."""
        ...


def rank_candidates(
    model: PairClassifier,
    loader: Iterable[Mapping[str, Tensor]],
    *,
    positive: str = "yes",
    metric: RetrievalAtK | None = None,
) -> dict[str, float]:
    """Mean average precision and HITS@k of a model on groups of candidates.

    A candidate's score is the log-odds of the positive label; MusicBERT's published code ranks by
    its probability in float32, where more scores are equal.

    Args:
        model: Such as a ``MusicBertClassifier`` with the labels "no" and "yes".
        loader: Batches with ``ids``, ``lengths``, ``labels`` (1 for right candidates, below 0 for
            rows that do not count) and ``groups``, as ``PhrasePairsDataModule`` gives them for
            validation and testing.
        positive: The label that means "belongs together".
        metric: Reset and filled, for its k and its ``describe()``; by default PiRhDy's k.

    Returns:
        The figures of :class:`musiczoo.metrics.RetrievalAtK` by name, 0 to 1.

    Raises:
        MusicZooError: The model has no such label, or there are batches without groups.

    Example:
        >>> from torch import tensor
        >>> from musiczoo.models.musicbert_classifier import MusicBertClassifier
        >>> model = MusicBertClassifier(labels=("no", "yes"), layers=1, hidden=32, heads=2)
        >>> batch = model.reference_batch()
        >>> batch |= {"labels": tensor([1, 0]), "groups": tensor([0, 0])}
        >>> sorted(rank_candidates(model, [batch], metric=RetrievalAtK(ks=(1, 2))))
        ['hits@1', 'hits@2', 'map']
    """
    if positive not in model.labels or len(model.labels) < 2:
        raise MusicZooError(
            f"The model has no label {positive!r} beside another one.",
            where="positive",
            remedy=f"Its labels are {', '.join(model.labels) or 'not known yet'}.",
        )
    place = model.labels.index(positive)
    metric = metric or RetrievalAtK()
    metric.reset()
    for batch in loader:
        if "groups" not in batch:
            raise MusicZooError(
                "A batch has no groups of candidates.",
                where="loader",
                remedy="Give the validation or test loader of a PhrasePairsDataModule.",
            )
        scores = _log_odds(model, batch, place)
        labels, groups = batch["labels"].cpu(), batch["groups"].cpu()
        counted = labels >= 0
        metric.update(scores[counted], labels[counted], groups[counted])
    return {name: float(value) for name, value in metric.compute().items()}


def _log_odds(model: PairClassifier, batch: Mapping[str, Tensor], place: int) -> Tensor:
    """(candidates,) float64, on the CPU: of the label at ``place`` against all others."""
    with evaluating(model.net):
        logits = model.net(batch["ids"].to(model.device), batch["lengths"].to(model.device))
    logits = logits.double().cpu()
    others = [number for number in range(logits.shape[1]) if number != place]
    odds: Tensor = logits[:, place] - logits[:, others].logsumexp(dim=1)
    return odds
