"""Losses, built on :meth:`GenerativeModule.log_probs` alone."""

from __future__ import annotations

import torch

from musiczoo.models.base import Batch, GenerativeModule, ObjectiveResult, TokenLogProbs


def likelihood_loss(log_probs: TokenLogProbs) -> torch.Tensor:
    """Negative log-likelihood summed over the scored targets.

    Args:
        log_probs: Values and mask of shape (batch, targets).

    Returns:
        Scalar in nats.
    """
    return -log_probs.values.sum()


class Likelihood:
    """Next-token likelihood; its mean over targets is the cross-entropy of NotaGen's pre-training and fine-tuning."""

    def __call__(self, module: GenerativeModule, batch: Batch) -> ObjectiveResult:
        """The summed negative log-likelihood and the number of scored targets."""
        scored = module.log_probs(batch)
        return ObjectiveResult(total=likelihood_loss(scored), count=scored.mask.sum())
