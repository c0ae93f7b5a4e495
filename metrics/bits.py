"""Bits per symbol: how many bits a model needs for held-out music, for each symbol of it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from musiczoo.models.base import TokenLogProbs
from musiczoo.music.errors import MusicZooError


class BitsPerSymbol(Metric):
    """Negative log-likelihood in bits, divided by a number of symbols over all texts (micro-average).

    What is divided by decides what may be compared. Without ``symbols`` it is the model's own targets: for bar-stream models that is
    ``val/bits_per_character``, whose targets include the marks that end patches and pieces. With the number of characters of the text
    itself, models of any tokenisation can be compared, for the total belongs to the same text.

    Args:
        symbol: What is counted, for reports (``"target"``, ``"character"``, ``"bar"``, ``"note"``).
        settings: Of :class:`torchmetrics.Metric`.

    Example:
        >>> metric = BitsPerSymbol("character")
        >>> metric.update(torch.tensor([-5.5, -2.5]) * math.log(2), symbols=4)
        >>> round(metric.compute().item(), 6)
        2.0
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    bits: Tensor
    symbols: Tensor

    def __init__(self, symbol: str = "target", **settings: Any) -> None:
        super().__init__(**settings)
        self.symbol = symbol
        # Sums of millions of small numbers: in float32 the later ones would be rounded away.
        self.add_state("bits", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("symbols", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, scores: TokenLogProbs | Tensor, symbols: int | None = None) -> None:
        """Adds texts.

        Args:
            scores: Log-probabilities of the targets of a batch, or summed log-probabilities of any shape, in nats.
            symbols: Number of symbols in these texts; None counts the scored targets.

        Raises:
            MusicZooError: Sums without a number of symbols, or no symbols for a likelihood.
        """
        if symbols is None and not isinstance(scores, TokenLogProbs):
            raise MusicZooError("Sums do not tell how many symbols they are of.", where="symbols", remedy="Give symbols=N.")
        values = scores.values if isinstance(scores, TokenLogProbs) else scores
        count = int(scores.mask.sum()) if isinstance(scores, TokenLogProbs) and symbols is None else int(symbols or 0)
        if count < 0 or (count == 0 and values.numel() and bool(values.detach().any())):
            raise MusicZooError(f"{count} symbols cannot have a likelihood.", where="symbols", remedy="Give the number of symbols scored.")
        self.bits -= values.detach().double().sum().to(self.bits.device) / math.log(2)
        self.symbols += count

    def compute(self) -> Tensor:
        """Scalar, bits per symbol; NaN before the first text."""
        return self.bits / self.symbols
