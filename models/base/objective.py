"""What an objective is: a loss that sees a model through its log-probabilities alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

Batch = Mapping[str, Tensor]
OptimizerFactory = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]


@dataclass(frozen=True)
class TokenLogProbs:
    """Log-probabilities of a batch's targets.

    Attributes:
        values: (batch, targets) natural logarithms, differentiable, 0 where ``mask`` is False.
        mask: (batch, targets) bool, True for scored targets.
    """

    values: Tensor
    mask: Tensor

    def sums(self) -> Tensor:
        """(batch,) float64 summed log-probability of each sequence.

        In float32 small differences of long sums would be lost.
        """
        return self.values.sum(dim=1, dtype=torch.float64)


class Scoring(Protocol):
    """What an objective asks of a module."""

    def log_probs(self, batch: Batch, temperature: float = 1.0) -> TokenLogProbs:
        """Log-probabilities of every target of a batch, differentiable."""
        ...


@dataclass(frozen=True)
class ObjectiveResult:
    """What an objective returns.

    Attributes:
        total: Scalar, the sum of the loss over the scored units of this batch.
        count: Scalar, the number of scored units (targets, or pairs). ``total / count`` is the loss
            of the batch.
        logs: Detached scalars to log.
    """

    total: Tensor
    count: Tensor
    logs: dict[str, Tensor] = field(default_factory=dict)


class Objective(Protocol):
    """A loss: ``objective(module, batch)`` gives the summed loss, its scored units and its logs.

    One whose loss is a negative log-likelihood names what it counts as ``unit``, such as
    ``"character"``.
    """

    def __call__(self, module: Any, batch: Batch) -> ObjectiveResult:
        """Computes the loss of one batch."""
        ...
