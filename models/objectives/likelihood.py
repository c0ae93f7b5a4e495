"""Next-token likelihood."""

from __future__ import annotations

from typing import ClassVar

import torch

from musiczoo.models.base.objective import Batch, ObjectiveResult, Scoring, TokenLogProbs


def likelihood_loss(log_probs: TokenLogProbs) -> torch.Tensor:
    """Negative log-likelihood summed over the scored targets.

    Args:
        log_probs: Values and mask of shape (batch, targets).

    Returns:
        Scalar in nats.
    """
    return -log_probs.values.sum()


class Likelihood:
    """Next-token likelihood.

    Its mean over targets is the cross-entropy of NotaGen's pre-training and fine-tuning.
    """

    unit: ClassVar[str] = "character"

    def __call__(self, module: Scoring, batch: Batch) -> ObjectiveResult:
        """The summed negative log-likelihood and the number of scored targets."""
        scored = module.log_probs(batch)
        return ObjectiveResult(total=likelihood_loss(scored), count=scored.mask.sum())
