"""Group relative policy optimisation (GRPO) and its four ways of averaging.

Shao et al. 2024, arXiv 2402.03300. The reward of a piece enters as an advantage over the other
pieces of its prompt (:func:`musiczoo.models.objectives.advantages.group_advantages`).

With ``r = exp(log_probs - old_log_probs)`` a target costs ``-min(r A, clip(r, 1 - epsilon, 1 +
epsilon_high) A) + beta k``. The divergence from the reference is estimated as ``k = exp(d) - d -
1`` with ``d = ref_log_probs - log_probs`` (Schulman's "k3"); for pieces that an older policy
sampled it is unbiased only when multiplied by r (``bias_correction``). The targets are averaged by

- ``"grpo"``: the mean over sequences of each one's mean (the paper's);
- ``"bnpo"``: the mean over all targets of the batch;
- ``"dr_grpo"``: the sum over ``sequences * max_completion_length`` (Liu et al. 2025, arXiv
  2503.20783);
- ``"dapo"``: the sum over the targets of the generation batch (Yu et al. 2025, arXiv 2503.14476),
  which here is the batch given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from musiczoo.models.base.objective import Batch, ObjectiveResult, Scoring
from musiczoo.models.objectives.advantages import Scale, group_advantages
from musiczoo.music.errors import MusicZooError

__all__ = ["GRPO", "Aggregation", "Scale", "group_advantages", "grpo_loss"]

Aggregation = Literal["grpo", "bnpo", "dr_grpo", "dapo"]


def grpo_loss(
    log_probs: Tensor,
    old_log_probs: Tensor | None,
    ref_log_probs: Tensor | None,
    advantages: Tensor,
    mask: Tensor,
    *,
    beta: float = 0.0,
    epsilon: float = 0.2,
    epsilon_high: float | None = None,
    aggregation: Aggregation = "dapo",
    max_completion_length: int | None = None,
    bias_correction: bool = True,
) -> Tensor:
    """The loss of a batch of sampled sequences; the module's docstring has the formula.

    Defaults are those of TRL 1.16.

    Args:
        log_probs: (sequences, targets) of the policy that is trained, in nats.
        old_log_probs: The same of the policy that sampled the pieces; None when it is this one, so
            that r is 1.
        ref_log_probs: The same of the reference; None when ``beta`` is 0.
        advantages: (sequences,).
        mask: (sequences, targets) bool, True for sampled targets.
        beta: Weight of the divergence.
        epsilon: How far r may fall below 1, and rise above it unless ``epsilon_high`` is given.
        epsilon_high: How far r may rise above 1 ("clip higher", Yu et al. 2025).
        aggregation: How targets are averaged.
        max_completion_length: Targets of the longest possible piece, for ``"dr_grpo"``; the width
            of the mask when None.
        bias_correction: Multiply the divergence by r.

    Returns:
        Scalar.

    Raises:
        MusicZooError: An unknown ``aggregation``, a number out of range, tensors that do not fit,
            or no reference although beta is not 0.
    """
    _check(beta, epsilon, epsilon_high, aggregation, max_completion_length)
    sampled = _Sampled(log_probs, old_log_probs, ref_log_probs, advantages, mask.bool())
    costs, _ = sampled.costs(beta, epsilon, epsilon_high, bias_correction)
    total, _ = _aggregate(costs, sampled.mask, aggregation, max_completion_length or mask.shape[1])
    # Here an empty sequence is one of the batch, as in TRL; for the objective below it stands for a
    # process without work.
    by_targets = aggregation in ("bnpo", "dapo")
    return (total / (sampled.mask.sum().clamp(min=1) if by_targets else len(mask))).to(log_probs)


class GRPO:
    """GRPO as an objective; see :func:`grpo_loss`.

    Batches hold, beside the collated pieces of n sequences: ``advantages`` (n,); ``old_log_probs``
    (n, targets), of the policy that sampled them at ``temperature`` (without them each piece counts
    as the present policy's own); ``ref_log_probs`` (n, targets), needed when ``beta`` is
    not 0; ``completion`` (n, targets) bool, True for sampled targets (without it, all that are
    scored).

    The module normalises over ranks and accumulation steps, so ``"grpo"`` and ``"dr_grpo"`` are
    means over all sequences, ``"bnpo"`` and ``"dapo"`` means over all targets, of one optimiser
    step, however it is laid out. For ``"dapo"`` this is the generation batch when one step uses it
    up. ``"bnpo"`` of TRL divides by the targets of each device's own batch, which would let the
    layout change the update; here it equals ``"dapo"``. A sequence without a sampled target (of a
    process that has no work in this batch) counts as none.

    Logs ``clip_fraction``, the share of targets whose gradient the clip cut off, and, with a
    reference, ``kl``, the estimated divergence a target in nats.

    Args:
        beta: Weight of the divergence from the reference.
        epsilon: How far the ratio of policies may fall below 1, and rise above it unless
            ``epsilon_high`` is given.
        epsilon_high: How far it may rise above 1.
        aggregation: ``"grpo"``, ``"bnpo"``, ``"dr_grpo"`` or ``"dapo"``.
        temperature: That of the sampling; divides the logits here too.
        max_completion_length: Targets of the longest possible piece; needed for ``"dr_grpo"``,
            because the width of a batch depends on its layout.
        bias_correction: Multiply the divergence by the ratio of policies.

    Raises:
        MusicZooError: An unknown ``aggregation``, a number out of range, or ``"dr_grpo"`` without
            ``max_completion_length``.

    Example:
        >>> GRPO(beta=0.04, aggregation="bnpo").beta
        0.04
    """

    def __init__(
        self,
        beta: float = 0.0,
        epsilon: float = 0.2,
        epsilon_high: float | None = None,
        aggregation: Aggregation = "dapo",
        temperature: float = 1.0,
        max_completion_length: int | None = None,
        bias_correction: bool = True,
    ) -> None:
        _check(beta, epsilon, epsilon_high, aggregation, max_completion_length)
        if aggregation == "dr_grpo" and max_completion_length is None:
            raise MusicZooError(
                "dr_grpo divides by the length of the longest possible piece.",
                where="max_completion_length",
                remedy=(
                    "Give it in targets: for bar-stream models, patches times characters a patch."
                ),
            )
        if not temperature > 0:
            raise MusicZooError(
                f"temperature={temperature} is out of range.",
                where="temperature",
                remedy="Give the one of the sampling.",
            )
        self.beta = beta
        self.epsilon = epsilon
        self.epsilon_high = epsilon_high
        self.aggregation: Aggregation = aggregation
        self.temperature = temperature
        self.max_completion_length = max_completion_length
        self.bias_correction = bias_correction

    def __call__(self, module: Scoring, batch: Batch) -> ObjectiveResult:
        """The loss summed over the sequences or targets, and their number.

        Raises:
            MusicZooError: A batch without advantages, or without a reference that is needed, or
                with tensors that do not fit.
        """
        if "advantages" not in batch:
            raise MusicZooError(
                "The batch has no advantages.",
                where="advantages",
                remedy="GRPO trains on scored rollouts (GroupRollouts).",
            )
        scored = module.log_probs(batch, self.temperature)
        mask = scored.mask
        if "completion" in batch:
            _fits("completion", batch["completion"], mask)
            mask = mask & batch["completion"]
        sampled = _Sampled(
            scored.values,
            batch.get("old_log_probs"),
            batch.get("ref_log_probs"),
            batch["advantages"],
            mask,
        )
        costs, logs = sampled.costs(
            self.beta, self.epsilon, self.epsilon_high, self.bias_correction
        )
        total, count = _aggregate(
            costs, mask, self.aggregation, self.max_completion_length or mask.shape[1]
        )
        return ObjectiveResult(total=total, count=count, logs=logs)


@dataclass(frozen=True)
class _Sampled:
    """The tensors of a batch of sampled sequences.

    Attributes:
        log_probs: (sequences, targets) of the policy.
        old: (sequences, targets) of the policy that sampled; None when it is this one.
        reference: (sequences, targets) of the reference; None when there is none.
        advantages: (sequences,).
        mask: (sequences, targets) bool, True for sampled targets.
    """

    log_probs: Tensor
    old: Tensor | None
    reference: Tensor | None
    advantages: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        for name, tensor in (
            ("mask", self.mask),
            ("old_log_probs", self.old),
            ("ref_log_probs", self.reference),
        ):
            _fits(name, tensor, self.log_probs)
        _fits("advantages", self.advantages, self.log_probs.sum(dim=1))

    def costs(
        self, beta: float, epsilon: float, epsilon_high: float | None, bias_correction: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(sequences, targets) what each target costs, 0 where masked, and what to log."""
        log_probs, mask = self.log_probs, self.mask
        earned = self.advantages.detach().to(log_probs).unsqueeze(1)  # (sequences, 1)
        old = log_probs.detach() if self.old is None else self.old.detach().to(log_probs)
        # Masked before exp: padding may hold anything, and infinity times zero is no number.
        ratio = torch.where(mask, log_probs - old, 0.0).exp()  # (sequences, targets)
        low, high = 1 - epsilon, 1 + (epsilon if epsilon_high is None else epsilon_high)
        costs = -torch.minimum(ratio * earned, ratio.clamp(low, high) * earned)
        targets = mask.sum().clamp(min=1)
        clipped = ((ratio < low) & (earned < 0)) | ((ratio > high) & (earned > 0))
        logs = {"clip_fraction": (clipped & mask).sum() / targets}
        if beta != 0 and self.reference is None:
            raise MusicZooError(
                f"beta={beta} asks for a divergence, and there is no reference.",
                where="ref_log_probs",
                remedy="Give the log-probabilities of the reference policy, or beta=0.",
            )
        if self.reference is not None:
            apart = torch.where(mask, self.reference.detach().to(log_probs) - log_probs, 0.0)
            divergence = torch.expm1(apart) - apart  # (sequences, targets)
            divergence = divergence * ratio if bias_correction else divergence
            logs["kl"] = divergence.detach().sum() / targets
            costs = costs + beta * divergence if beta != 0 else costs
        return torch.where(mask, costs, 0.0), logs


def _aggregate(
    costs: Tensor, mask: Tensor, aggregation: Aggregation, longest: int
) -> tuple[Tensor, Tensor]:
    """The summed loss and the number of units (sequences or targets) that it is a sum over."""
    lengths = mask.sum(dim=1)
    if aggregation in ("bnpo", "dapo"):
        return costs.sum(dtype=torch.float64), lengths.sum()
    sums = costs.sum(dim=1, dtype=torch.float64)
    sequences = (lengths > 0).sum()
    return (sums / (longest if aggregation == "dr_grpo" else lengths.clamp(min=1))).sum(), sequences


def _check(
    beta: float,
    epsilon: float,
    epsilon_high: float | None,
    aggregation: str,
    max_completion_length: int | None,
) -> None:
    if aggregation not in get_args(Aggregation):
        raise MusicZooError(
            f"There is no aggregation {aggregation!r}.",
            where="aggregation",
            remedy=f"Choose one of {', '.join(get_args(Aggregation))}.",
        )
    numbers = {
        "beta": beta >= 0,
        "epsilon": 0 < epsilon < 1,
        "epsilon_high": epsilon_high is None or epsilon_high > 0,
        "max_completion_length": max_completion_length is None or max_completion_length >= 1,
    }
    for name, good in numbers.items():
        if not good:
            raise MusicZooError(
                f"{name} is out of range.",
                where=name,
                remedy="See musiczoo.models.objectives.grpo_loss.",
            )


def _fits(name: str, tensor: Tensor | None, other: Tensor) -> None:
    if tensor is not None and tensor.shape != other.shape:
        raise MusicZooError(
            f"{name} has the shape {tuple(tensor.shape)} where {tuple(other.shape)} is needed.",
            where=name,
            remedy="Give one value a sequence, or a target, in the order of the batch.",
        )
