"""The report of a rollout step: means over its completions, and reasons counted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from musiczoo.callbacks.rollouts.files import Completion


def step_report(completions: Sequence[Completion], group_size: int) -> dict[str, Any]:
    """Means and counts of a step; :class:`musiczoo.callbacks.GroupRollouts` describes them.

    Args:
        completions: All of the step, those of a prompt next to each other.
        group_size: Completions a prompt.
    """
    rewards = torch.tensor([one.reward for one in completions], dtype=torch.float64)
    scored = rewards[~rewards.isnan()]
    lengths = torch.tensor([int(one.completion.sum()) for one in completions], dtype=torch.float64)
    targets = float(lengths.sum())
    log_probs = float(sum(one.log_probs.double().sum() for one in completions))
    known = [
        (one.kl, length)
        for one, length in zip(completions, lengths.tolist(), strict=True)
        if not math.isnan(one.kl)
    ]
    weight = sum(length for _, length in known)
    groups = rewards.reshape(-1, group_size)
    names = dict.fromkeys(name for one in completions for name in one.details)
    return {
        "reward": float(scored.mean()) if len(scored) else math.nan,
        "reward_std": float(scored.std()) if len(scored) > 1 else math.nan,
        "details": {
            name: _mean([one.details[name] for one in completions if name in one.details])
            for name in names
        },
        "kl": sum(kl * length for kl, length in known) / weight if weight else math.nan,
        # The mean of -log p of what was sampled estimates the entropy of the policy a target.
        "entropy": -log_probs / targets if targets else math.nan,
        "length": float(lengths.mean()),
        "ended": sum(one.stop == "end" for one in completions) / len(completions),
        # Groups that teach nothing, because their rewards are all the same.
        "flat_groups": float(
            (groups.nan_to_num(-torch.inf).amax(dim=1) <= groups.nan_to_num(torch.inf).amin(dim=1))
            .double()
            .mean()
        ),
        "completions": len(completions),
        "scored": len(scored),
        "failed": dict(Counter(one.reason.partition(":")[0] for one in completions if one.reason)),
    }


def divergence(completion: Completion, reference: Tensor) -> float:
    """Schulman's "k3" estimate of KL(policy || reference) a sampled target, in nats.

    Args:
        completion: With the log-probabilities of the policy that sampled, in eval mode.
        reference: (targets,) those of the reference, in eval mode too.
    """
    apart = (reference - completion.log_probs)[completion.completion].double()
    return float((torch.expm1(apart) - apart).mean()) if len(apart) else math.nan


def flat(report: Mapping[str, Any], above: str = "") -> dict[str, float]:
    """The numbers of a report by name, ``"details/CE"`` those of a part.

    Example:
        >>> flat({"reward": 1, "details": {"CE": 2.5}})
        {'reward': 1.0, 'details/CE': 2.5}
    """
    numbers: dict[str, float] = {}
    for name, value in report.items():
        if isinstance(value, Mapping):
            numbers.update(flat(value, f"{above}{name}/"))
        else:
            numbers[f"{above}{name}"] = float(value)
    return numbers


def log_report(report: Mapping[str, Any], loggers: Sequence[Any], step: int) -> None:
    """Sends the numbers of a report to loggers, under ``rollouts/``.

    Args:
        report: Of a step.
        loggers: Of Lightning.
        step: Optimiser steps that have been taken.
    """
    numbers = {f"rollouts/{name}": value for name, value in flat(report).items() if name != "step"}
    for logger in loggers:
        logger.log_metrics(numbers, step=step)


def _mean(values: Sequence[float]) -> float:
    good = [value for value in values if math.isfinite(value)]
    return sum(good) / len(good) if good else math.nan
