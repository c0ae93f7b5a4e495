"""Losses, built on :meth:`GenerativeModule.log_probs` alone."""

from musiczoo.models.objectives.advantages import Scale, group_advantages
from musiczoo.models.objectives.likelihood import Likelihood, likelihood_loss
from musiczoo.models.objectives.pairs import PairObjective
from musiczoo.models.objectives.policy import GRPO, Aggregation, grpo_loss
from musiczoo.models.objectives.preference import (
    DPO,
    DPOP,
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
