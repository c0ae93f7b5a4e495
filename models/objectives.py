"""Losses, built on :meth:`GenerativeModule.log_probs` alone: next-token likelihood here, the others behind the same door."""

from __future__ import annotations

from typing import ClassVar

import torch

from musiczoo.models.base import Batch, GenerativeModule, ObjectiveResult, TokenLogProbs
from musiczoo.models.policy_losses import GRPO, Aggregation, Scale, group_advantages, grpo_loss
from musiczoo.models.preference_losses import (
    DPO,
    DPOP,
    PairObjective,
    Penalty,
    PreferenceKind,
    dpo_loss,
    dpop_loss,
)

__all__ = [
    "DPO",
    "DPOP",
    "GRPO",
    "Aggregation",
    "Likelihood",
    "PairObjective",
    "Penalty",
    "PreferenceKind",
    "Scale",
    "dpo_loss",
    "dpop_loss",
    "group_advantages",
    "grpo_loss",
    "likelihood_loss",
]


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

    unit: ClassVar[str] = "character"

    def __call__(self, module: GenerativeModule, batch: Batch) -> ObjectiveResult:
        """The summed negative log-likelihood and the number of scored targets."""
        scored = module.log_probs(batch)
        return ObjectiveResult(total=likelihood_loss(scored), count=scored.mask.sum())
