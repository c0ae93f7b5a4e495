"""Perplexity: the number of equally likely symbols that are as uncertain as a model's guess."""

from __future__ import annotations

from torch import Tensor

from musiczoo.metrics.bits import LikelihoodMetric


class Perplexity(LikelihoodMetric):
    """The exponential of the mean negative log-likelihood of a symbol.

    Perplexities of models with different tokenisations cannot be compared: 1.2 a character and 36 a
    token may be the same quality. Give ``symbols``, or better compare
    :class:`~musiczoo.metrics.bits.BitsPerSymbol` per character, bar or note. Nor can the two
    averages be compared with each other. Micro is the usual one of a corpus; macro is the mean
    perplexity of its pieces, and one piece that a model finds impossible decides it.

    Args:
        symbol: What is counted, for reports (``"target"``, ``"character"``, ``"bar"``, ``"note"``).
        average: ``"micro"``: exp(all nats / all symbols). ``"macro"``: the mean over pieces of
            exp(a piece's nats / its symbols).
        settings: Of :class:`torchmetrics.Metric`.

    Raises:
        MusicZooError: There is no such average.

    Example:
        >>> import torch
        >>> from musiczoo.models.base.objective import TokenLogProbs
        >>> metric, scored = Perplexity(), torch.ones(1, 3, dtype=torch.bool)
        >>> metric.update(TokenLogProbs(torch.tensor([[0.7, 0.8, 0.5]]).log(), scored))
        >>> round(metric.compute().item(), 6)
        1.528554
        >>> metric = Perplexity(average="macro")
        >>> metric.update(-torch.tensor([1.0, 4.0]), symbols=[1, 2])
        >>> round(metric.compute().item(), 6)
        5.053669
    """

    def _cost(self, nats: Tensor) -> Tensor:
        return nats

    def _value(self, cost: Tensor) -> Tensor:
        return cost.exp()
