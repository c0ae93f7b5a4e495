"""The loss of an audio scorer: real passages above degraded ones, light damage above heavy."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from musiczoo.models.base.objective import Batch, ObjectiveResult
from musiczoo.models.mel_aesthetics.net import ROWS_OF_A_STEP

_LEAST_DIFFERENCE = 0.05


class GradedRanking:
    """Likelihood of the order within each group (Bradley and Terry 1952) and of being real or not.

    The order alone would leave open where zero is and how works compare with each other. The other
    alone would leave no difference between bad pieces and worse ones, which is what a policy that
    begins with bad pieces learns from.

    Args:
        anchor: Weight of the clips' own likelihood beside that of their order.
        hearing: Weight of finding which pitch classes sound. A wrong note is wrong among others,
            and a net that knows which notes sound finds it with far fewer examples.
    """

    def __init__(self, anchor: float = 1.0, hearing: float = 0.5) -> None:
        self.anchor = anchor
        self.hearing = hearing

    def __call__(self, module: Any, batch: Batch) -> ObjectiveResult:
        """The loss summed over the groups that have something to compare.

        Args:
            module: With ``net``.
            batch: Of :func:`musiczoo.datamodules.degraded_passages.collate_graded`.
        """
        logits, classes = module.net.listen(batch["mel"], batch["lengths"])
        better = better_pairs(batch)
        per_group = torch.zeros(
            int(batch["group"].max()) + 1, device=logits.device, dtype=logits.dtype
        )
        pairs = per_group.index_add(0, batch["group"], better.sum(dim=1).to(logits.dtype))
        weights = better / pairs.clamp(min=1)[batch["group"]].unsqueeze(1)
        order = (functional.softplus(logits.unsqueeze(0) - logits.unsqueeze(1)) * weights).sum()
        sizes = torch.bincount(batch["group"])[batch["group"]]
        is_real, counts = batch["kind"] == 0, (pairs > 0)[batch["group"]]
        # Half the weight for the real one, half for all others together.
        others = per_group.index_add(0, batch["group"], (~is_real).to(logits.dtype)).clamp(min=1)[
            batch["group"]
        ]
        own = (
            torch.where(is_real, functional.softplus(-logits), functional.softplus(logits) / others)
            / 2
        )
        anchor = (own * counts).sum()
        heard = (pitch_class_loss(classes, batch) * counts / sizes).sum()
        total = order + self.anchor * anchor + self.hearing * heard
        count = (pairs > 0).sum()
        with torch.no_grad():
            right = ((logits.unsqueeze(1) > logits.unsqueeze(0)) * weights).sum() / count.clamp(
                min=1
            )
        return ObjectiveResult(
            total, count, {"accuracy": right, "hearing": (heard / count.clamp(min=1)).detach()}
        )


def pitch_class_loss(classes: Tensor, batch: Batch) -> Tensor:
    """Binary cross-entropy of the pitch classes that sound, (clips,).

    It is the mean over the steps of each clip, summed over the classes.

    Args:
        classes: (clips, steps, 12) logits.
        batch: With ``classes`` (clips, rows, 12) bool and ``lengths`` (clips,).
    """
    sounding = batch["classes"][:, ::ROWS_OF_A_STEP].to(classes.dtype)
    within = torch.arange(sounding.shape[1], device=sounding.device) * ROWS_OF_A_STEP < batch[
        "lengths"
    ].unsqueeze(1)
    losses = functional.binary_cross_entropy_with_logits(classes, sounding, reduction="none").sum(
        dim=2
    )
    return (losses * within).sum(dim=1) / within.sum(dim=1)


def better_pairs(batch: Batch) -> Tensor:
    """(clips, clips) bool: whether the clip of the row is better than that of the column.

    Within a group the real clip is better than all others, and of one kind of degradation the
    lighter one is.
    """
    group, kind, strength = batch["group"], batch["kind"], batch["strength"]
    together = group.unsqueeze(1) == group.unsqueeze(0)
    is_real = kind == 0
    above = is_real.unsqueeze(1) & ~is_real.unsqueeze(0)
    alike = (kind.unsqueeze(1) == kind.unsqueeze(0)) & ~is_real.unsqueeze(1)
    lighter = alike & (strength.unsqueeze(0) - strength.unsqueeze(1) > _LEAST_DIFFERENCE)
    return together & (above | lighter)
