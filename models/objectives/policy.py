"""Policy-gradient losses on groups of sampled pieces: GRPO and its four ways of averaging.

What a piece earned enters as an advantage over the other pieces of its prompt; there is no value
network.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from musiczoo.models.base.objective import Batch, ObjectiveResult, Scoring
from musiczoo.music.errors import MusicZooError

__all__ = ["GRPO", "Aggregation", "Scale", "group_advantages", "grpo_loss"]

Scale = Literal["group", "batch", "none"]
Aggregation = Literal["grpo", "bnpo", "dr_grpo", "dapo"]

# Keeps the advantages of a group with nearly equal rewards finite; the value of TRL, which SMART
# was trained with.
_STD_FLOOR = 1e-4


def group_advantages(rewards: Tensor, group_size: int, *, scale: Scale = "group") -> Tensor:
    """What each piece earned over the mean of its group (Shao et al. 2024, arXiv 2402.03300, section 4.1).

    A reward that is NaN, of a piece that could not be scored, takes no part in means and
    deviations, and its piece gets no advantage.

    Args:
        rewards: (prompts * group_size,), the pieces of a prompt next to each other.
        group_size: Pieces a prompt.
        scale: Divide by the standard deviation (with Bessel's correction, plus 1e-4) of the
            ``"group"``; of the whole ``"batch"`` (Hu et al. 2025, arXiv 2501.03262); or by nothing,
            for division favours prompts whose rewards hardly differ (Liu et al. 2025, arXiv
            2503.20783).

    Returns:
        (prompts * group_size,) advantages without gradient; 0 in a group of one piece.

    Raises:
        MusicZooError: Rewards that are no whole number of groups, or an unknown ``scale``.
    """
    if scale not in get_args(Scale):
        raise MusicZooError(
            f"There is no scale {scale!r}.",
            where="scale",
            remedy=f"Choose one of {', '.join(get_args(Scale))}.",
        )
    if group_size < 1 or rewards.ndim != 1 or len(rewards) % group_size:
        raise MusicZooError(
            f"Rewards of shape {tuple(rewards.shape)} are no groups of {group_size}.",
            where="group_size",
            remedy=(
                "Give one reward a piece, the pieces of a prompt next to each other, the same"
                " number for each prompt."
            ),
        )
    groups = rewards.detach().reshape(-1, group_size)
    known = ~groups.isnan()
    centred = torch.where(known, groups - _mean(groups, known), 0.0)
    if scale == "group":
        centred = centred / (_deviation(groups, known) + _STD_FLOOR)
    elif scale == "batch":
        everyone = groups.reshape(1, -1)
        centred = centred / (_deviation(everyone, ~everyone.isnan()) + _STD_FLOOR)
    return centred.flatten()


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
    """Group relative policy optimisation (Shao et al. 2024, arXiv 2402.03300).

    Defaults are those of TRL 1.16.

    With ``r = exp(log_probs - old_log_probs)`` a target costs ``-min(r A, clip(r, 1 - epsilon, 1 +
    epsilon_high) A) + beta k``. The divergence from the reference is estimated as ``k = exp(d) - d
    - 1`` with ``d = ref_log_probs - log_probs`` (Schulman's "k3"); for pieces that an older policy
    sampled it is unbiased only when multiplied by r (``bias_correction``). The targets are averaged
    by

    - ``"grpo"``: the mean over sequences of each one's mean (the paper's);
    - ``"bnpo"``: the mean over all targets of the batch;
    - ``"dr_grpo"``: the sum over ``sequences * max_completion_length`` (Liu et al. 2025, arXiv 2503.20783);
    - ``"dapo"``: the sum over the targets of the generation batch (Yu et al. 2025, arXiv 2503.14476), which here is the batch given.

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
    mask = mask.bool()
    costs, _ = _costs(
        log_probs,
        old_log_probs,
        ref_log_probs,
        advantages,
        mask,
        beta,
        epsilon,
        epsilon_high,
        bias_correction,
    )
    width = max_completion_length or mask.shape[1]
    total, _ = _aggregate(costs, mask, aggregation, width)
    # Here an empty sequence is one of the batch, as in TRL; the objective below knows that it
    # stands for a process without work.
    return (total / (mask.sum().clamp(min=1) if aggregation in ("bnpo", "dapo") else len(mask))).to(
        log_probs
    )


class GRPO:
    """GRPO as an objective; see :func:`grpo_loss`.

    Batches hold, beside the collated pieces of n sequences: ``advantages`` (n,); ``old_log_probs``
    (n, targets), of the policy that sampled them at ``temperature`` (without them each piece is
    taken to be the present policy's own); ``ref_log_probs`` (n, targets), needed when ``beta`` is
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
        temperature: The pieces were sampled at; divides the logits here too.
        max_completion_length: Targets of the longest possible piece; needed for ``"dr_grpo"``,
            because the width of a batch depends on its layout.
        bias_correction: Multiply the divergence by the ratio of policies.

    Raises:
        MusicZooError: An unknown ``aggregation``, a number out of range, or ``"dr_grpo"`` without
            ``max_completion_length``.
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
        costs, logs = _costs(
            scored.values,
            batch.get("old_log_probs"),
            batch.get("ref_log_probs"),
            batch["advantages"],
            mask,
            self.beta,
            self.epsilon,
            self.epsilon_high,
            self.bias_correction,
        )
        total, count = _aggregate(
            costs, mask, self.aggregation, self.max_completion_length or mask.shape[1]
        )
        return ObjectiveResult(total=total, count=count, logs=logs)


def _costs(
    log_probs: Tensor,
    old_log_probs: Tensor | None,
    ref_log_probs: Tensor | None,
    advantages: Tensor,
    mask: Tensor,
    beta: float,
    epsilon: float,
    epsilon_high: float | None,
    bias_correction: bool,
) -> tuple[Tensor, dict[str, Tensor]]:
    """(sequences, targets) what each target costs, 0 where masked, and what to log."""
    for name, tensor in (
        ("mask", mask),
        ("old_log_probs", old_log_probs),
        ("ref_log_probs", ref_log_probs),
    ):
        _fits(name, tensor, log_probs)
    _fits("advantages", advantages, log_probs.sum(dim=1))
    earned = advantages.detach().to(log_probs).unsqueeze(1)
    old = log_probs.detach() if old_log_probs is None else old_log_probs.detach().to(log_probs)
    # Masked before exp: padding may hold anything, and infinity times zero is no number.
    ratio = torch.where(mask, log_probs - old, 0.0).exp()
    low, high = 1 - epsilon, 1 + (epsilon if epsilon_high is None else epsilon_high)
    costs = -torch.minimum(ratio * earned, ratio.clamp(low, high) * earned)
    targets = mask.sum().clamp(min=1)
    clipped = ((ratio < low) & (earned < 0)) | ((ratio > high) & (earned > 0))
    logs = {"clip_fraction": (clipped & mask).sum() / targets}
    if beta != 0 and ref_log_probs is None:
        raise MusicZooError(
            f"beta={beta} asks for a divergence, and there is no reference.",
            where="ref_log_probs",
            remedy="Give the log-probabilities of the reference policy, or beta=0.",
        )
    if ref_log_probs is not None:
        apart = torch.where(mask, ref_log_probs.detach().to(log_probs) - log_probs, 0.0)
        divergence = torch.expm1(apart) - apart
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


def _mean(groups: Tensor, known: Tensor) -> Tensor:
    """(groups, 1) means of the known rewards; 0 where none is."""
    return torch.where(known, groups, 0.0).sum(dim=1, keepdim=True) / known.sum(
        dim=1, keepdim=True
    ).clamp(min=1)


def _deviation(groups: Tensor, known: Tensor) -> Tensor:
    """(groups, 1) standard deviations of the known rewards with Bessel's correction.

    0 of one reward.
    """
    squares = (
        torch.where(known, groups - _mean(groups, known), 0.0).square().sum(dim=1, keepdim=True)
    )
    return (squares / (known.sum(dim=1, keepdim=True) - 1).clamp(min=1)).sqrt()
