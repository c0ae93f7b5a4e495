"""Perplexity: of how many equally likely symbols a model's uncertainty is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from musiczoo.metrics.bits import Average, check_average, nats_and_symbols
from musiczoo.models.base.generative import TokenLogProbs


class Perplexity(Metric):
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
        >>> metric = Perplexity()
        >>> metric.update(TokenLogProbs(torch.tensor([[0.7, 0.8, 0.5]]).log(), torch.ones(1, 3, dtype=torch.bool)))
        >>> round(metric.compute().item(), 6)
        1.528554
        >>> metric = Perplexity(average="macro")
        >>> metric.update(-torch.tensor([1.0, 4.0]), symbols=[1, 2])
        >>> round(metric.compute().item(), 6)
        5.053669
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    nats: Tensor
    symbols: Tensor
    piece_perplexities: Tensor
    pieces: Tensor

    def __init__(self, symbol: str = "target", average: Average = "micro", **settings: Any) -> None:
        super().__init__(**settings)
        check_average(average)
        self.symbol = symbol
        self.average: Average = average
        for name in ("nats", "symbols", "piece_perplexities", "pieces"):
            self.add_state(name, torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    def update(
        self, scores: TokenLogProbs | Tensor, symbols: int | Sequence[int] | Tensor | None = None
    ) -> None:
        """Adds texts.

        Args:
            scores: Log-probabilities of the targets of a batch, or summed log-probabilities of any
                shape, in nats.
            symbols: Number of symbols in these texts: of all together, or (for the macro-average)
                of each. None counts the scored targets.

        Raises:
            MusicZooError: See :meth:`musiczoo.metrics.bits.BitsPerSymbol.update`.
        """
        nats, counts = (
            values.to(self.nats.device)
            for values in nats_and_symbols(scores, symbols, self.average)
        )
        self.nats += nats.sum()
        self.symbols += counts.sum()
        self.piece_perplexities += (nats / counts)[counts > 0].exp().sum()
        self.pieces += (counts > 0).sum()

    def compute(self) -> Tensor:
        """Scalar; NaN before the first text, infinite where it is too large for a number."""
        return (
            (self.nats / self.symbols).exp()
            if self.average == "micro"
            else self.piece_perplexities / self.pieces
        )
