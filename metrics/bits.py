"""Bits per symbol: the bits that a model needs for held-out music, divided by its symbols."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torchmetrics import Metric

from musiczoo.models.base.objective import TokenLogProbs
from musiczoo.music.errors import MusicZooError

Average = Literal["micro", "macro"]


class LikelihoodMetric(Metric):
    """A cost of texts, divided by a number of symbols; the base of bits and perplexity.

    Args:
        symbol: What is counted, for reports (``"target"``, ``"character"``, ``"bar"``, ``"note"``).
        average: ``"micro"`` or ``"macro"``, see :class:`BitsPerSymbol`.
        settings: Of :class:`torchmetrics.Metric`.

    Raises:
        MusicZooError: There is no such average.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    cost: Tensor
    symbols: Tensor
    piece_values: Tensor
    pieces: Tensor

    def __init__(self, symbol: str = "target", average: Average = "micro", **settings: Any) -> None:
        super().__init__(**settings)
        check_average(average)
        self.symbol = symbol
        self.average: Average = average
        # Sums of millions of small numbers: in float32 the later ones would be rounded away.
        for name in ("cost", "symbols", "piece_values", "pieces"):
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
            MusicZooError: Sums without a number of symbols, no symbols for a likelihood, another
                number of counts than texts, or a macro-average of one count for several texts.
        """
        nats, counts = nats_and_symbols(scores, symbols, self.average)
        costs, counts = self._cost(nats.to(self.cost.device)), counts.to(self.cost.device)
        self.cost += costs.sum()
        self.symbols += counts.sum()
        self.piece_values += self._value((costs / counts)[counts > 0]).sum()
        self.pieces += (counts > 0).sum()

    def compute(self) -> Tensor:
        """Scalar; NaN before the first text, infinite where it is too large for a number."""
        if self.average == "micro":
            return self._value(self.cost / self.symbols)
        return self.piece_values / self.pieces

    @abstractmethod
    def _cost(self, nats: Tensor) -> Tensor:
        """The cost of texts in the unit of the metric."""

    @abstractmethod
    def _value(self, cost: Tensor) -> Tensor:
        """The value of a cost a symbol."""


class BitsPerSymbol(LikelihoodMetric):
    """Negative log-likelihood in bits, divided by a number of symbols.

    The symbol decides which models may be compared. Without ``symbols`` it is the model's own
    target: for bar-stream models that is ``val/bits_per_character``, whose targets include the
    marks that end patches and pieces. With the number of characters of the text itself, of its
    bars, or of its notes, models of any tokenisation can be compared, because the total belongs to
    the same music.

    Args:
        symbol: What is counted, for reports (``"target"``, ``"character"``, ``"bar"``, ``"note"``).
        average: ``"micro"`` divides the bits of all pieces by the symbols of all; ``"macro"`` is
            the mean over pieces of each one's own figure, in which a short piece counts as much as
            a long one.
        settings: Of :class:`torchmetrics.Metric`.

    Raises:
        MusicZooError: There is no such average.

    Example:
        >>> metric = BitsPerSymbol("character")
        >>> metric.update(torch.tensor([-5.5, -2.5]) * math.log(2), symbols=4)
        >>> round(metric.compute().item(), 6)
        2.0
        >>> metric = BitsPerSymbol("bar", average="macro")
        >>> metric.update(torch.tensor([-6.0, -8.0]) * math.log(2), symbols=[1, 4])
        >>> round(metric.compute().item(), 6)
        4.0
    """

    def _cost(self, nats: Tensor) -> Tensor:
        return nats / math.log(2)

    def _value(self, cost: Tensor) -> Tensor:
        return cost


def check_average(average: str) -> None:
    """Checks the name of an average.

    Raises:
        MusicZooError: There is no such average.
    """
    if average not in get_args(Average):
        raise MusicZooError(
            f"There is no average {average!r}.", where="average", remedy="Choose micro or macro."
        )


def nats_and_symbols(
    scores: TokenLogProbs | Tensor, symbols: int | Sequence[int] | Tensor | None, average: Average
) -> tuple[Tensor, Tensor]:
    """The cost of texts in nats, and their numbers of symbols.

    Args:
        scores: Log-probabilities of the targets of a batch, or summed log-probabilities of any
            shape, in nats.
        symbols: Of all texts together, or of each; None counts the scored targets.
        average: ``"macro"`` needs a count for each text.

    Returns:
        Nats (negative log-likelihood) and symbols, (texts,) float64; one text where there is one
        count for all.

    Raises:
        MusicZooError: See :meth:`BitsPerSymbol.update`.
    """
    nats = (
        -(scores.sums() if isinstance(scores, TokenLogProbs) else scores)
        .detach()
        .double()
        .flatten()
    )
    if symbols is None:
        if not isinstance(scores, TokenLogProbs):
            raise MusicZooError(
                "Sums alone have no number of symbols.",
                where="symbols",
                remedy="Give symbols=N.",
            )
        counts = scores.mask.sum(dim=1).double()
    elif isinstance(symbols, int):
        if average == "macro" and nats.numel() > 1:
            raise MusicZooError(
                f"One count for {nats.numel()} texts gives no mean over texts.",
                where="symbols",
                remedy="Give the symbols of each.",
            )
        nats, counts = nats.sum().reshape(1), torch.tensor([float(symbols)], dtype=torch.float64)
    else:
        counts = torch.as_tensor(symbols, dtype=torch.float64).flatten()
    if counts.shape != nats.shape:
        raise MusicZooError(
            f"{counts.numel()} counts for {nats.numel()} texts.",
            where="symbols",
            remedy="Give one for each text, or one.",
        )
    counts = counts.to(nats.device)
    if wrong := [
        f"{count:g}"
        for count, cost in zip(counts.tolist(), nats.tolist(), strict=True)
        if count < 0 or (count == 0 and cost)
    ]:
        raise MusicZooError(
            f"{wrong[0]} symbols cannot have a likelihood.",
            where="symbols",
            remedy="Give the number of symbols scored.",
        )
    return nats, counts
