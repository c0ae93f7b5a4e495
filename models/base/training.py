"""How the loss of a fit is normalised, kept over an interruption and summed in validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import lightning
import torch
from torch import Tensor

from musiczoo.models.base.objective import ObjectiveResult, OptimizerFactory
from musiczoo.music.errors import MusicZooError

# Losses are handed to autograd as sums divided by this constant, and rescaled to a mean over all
# ranks and accumulation steps before the optimiser step. The constant only keeps half-precision
# gradients in range.
NOMINAL_TARGETS = 4096.0

Cooldown = Literal["linear", "cosine"]
"""How the rate falls to zero in the last steps."""


class Accumulation:
    """The scored units of the optimiser step under way, and its gradient while a run is resumed.

    A training step returns a sum; the gradient is scaled once before the optimiser step, so that
    the layout of batches over ranks and micro-batches does not change the update.
    """

    scored: Tensor | None = None
    kept: dict[str, Any] | None = None

    def add(self, count: Tensor) -> None:
        """Adds the scored units of a batch, a float64 scalar."""
        self.scored = count if self.scored is None else self.scored + count

    def scale(self, trainer: lightning.Trainer, optimizer: torch.optim.Optimizer) -> None:
        """Turns the gradient of sums into that of a mean over the scored units of all ranks."""
        if self.scored is None:
            return
        everyone = trainer.strategy.reduce(self.scored, reduce_op="sum")
        total = float(everyone.item() if isinstance(everyone, Tensor) else everyone)
        self.scored = None
        # Undo what Lightning and DDP did to the sum: division by accumulation steps, and the mean
        # over ranks.
        factor = NOMINAL_TARGETS * trainer.accumulate_grad_batches * trainer.world_size
        gradients = [
            p.grad
            for group in optimizer.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        torch._foreach_mul_(gradients, factor / max(total, 1.0))

    def state(self, module: lightning.LightningModule) -> dict[str, Any] | None:
        """The gradient of a step whose accumulation is under way; Lightning leaves it out.

        Ranks hold different parts of it, and only their sum counts. Lightning calls this on all of
        them.
        """
        if self.scored is None:
            return None
        gradients = {
            name: p.grad.detach() for name, p in module.named_parameters() if p.grad is not None
        }
        reduce = module.trainer.strategy.reduce
        # reduce() works in place, and training continues with the rank's own part.
        return {
            "scored": reduce(self.scored.clone(), reduce_op="sum"),
            "gradients": {
                name: reduce(gradient.clone(), reduce_op="sum")
                for name, gradient in gradients.items()
            },
        }

    def restore(self, module: lightning.LightningModule) -> None:
        """Puts the gradient of an interrupted accumulation back; one rank holds it for all."""
        kept, self.kept = self.kept, None
        if kept is None or not module.trainer.is_global_zero:
            return
        self.scored = kept["scored"].to(module.device)
        for name, parameter in module.named_parameters():
            if name in kept["gradients"]:
                parameter.grad = kept["gradients"][name].to(parameter)


class ValidationLoss:
    """The sums of a validation epoch.

    Args:
        device: Where they are kept.
    """

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)

    def add(self, result: ObjectiveResult) -> None:
        """Adds a batch."""
        self.sums += torch.stack([result.total.detach().double(), result.count.detach().double()])

    def logs(self, trainer: lightning.Trainer, unit: str | None) -> dict[str, Tensor]:
        """The mean over all scored units of all ranks, as ``val/loss``.

        Args:
            trainer: Of the run.
            unit: What is scored, where the loss is a likelihood; then in bits as well.
        """
        total, count = trainer.strategy.reduce(self.sums, reduce_op="sum")
        loss = (total / count.clamp(min=1)).float()
        bits = {} if unit is None else {f"val/bits_per_{unit}": loss / math.log(2)}
        return {"val/loss": loss, **bits}


def scheduled(
    parameters: Iterable[torch.nn.Parameter],
    factory: OptimizerFactory | None,
    *,
    warmup: float,
    cooldown: float,
    last: int,
    shape: Cooldown = "linear",
) -> torch.optim.Optimizer | dict[str, Any]:
    """The optimiser with its schedule: linear warm-up, constant rate, cool-down.

    Args:
        parameters: Those that require a gradient are trained.
        factory: Makes the optimiser; AdamW at 1e-4 when None.
        warmup: Steps of warm-up; below 1 a part of ``last``.
        cooldown: Steps of cool-down before ``last``; likewise.
        last: ``trainer.max_steps``.
        shape: Of the cool-down.

    Returns:
        What ``configure_optimizers`` returns.

    Raises:
        MusicZooError: Nothing is trainable, or a cool-down without a last step to aim at.
    """
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    if not trainable:
        raise MusicZooError(
            "No parameter is trainable.",
            remedy="Unfreeze some part of the model before Trainer.fit.",
        )
    optimizer = torch.optim.AdamW(trainable, lr=1e-4) if factory is None else factory(trainable)
    if warmup <= 0 and cooldown <= 0:
        return optimizer
    if (cooldown > 0 or 0 < warmup < 1) and last <= 0:
        raise MusicZooError(
            "A cool-down, or a warm-up that is a part, needs to know the last step.",
            where="cooldown_steps, warmup_steps",
            remedy="Give Trainer(max_steps=...).",
        )
    steps = [round(part * last) if 0 < part < 1 else int(part) for part in (warmup, cooldown)]
    rate = _trapezoid(steps[0], steps[1], last, shape)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _trapezoid(warmup: int, cooldown: int, last: int, shape: Cooldown) -> Callable[[int], float]:
    """The rate over the steps: up, level, down.

    Hu et al. 2024 (arXiv 2404.06395) call it warm-up, stable, decay. A plain function: of other
    callables the scheduler keeps the attributes in its state, and a run that is resumed with
    another last step would still aim at the old one.
    """

    def rate(step: int) -> float:
        up = min(1.0, (step + 1) / warmup) if warmup > 0 else 1.0
        down = min(1.0, max(0, last - step) / cooldown) if cooldown > 0 else 1.0
        return up * ((1 - math.cos(math.pi * down)) / 2 if shape == "cosine" else down)

    return rate


def mixed_seed(*numbers: int) -> int:
    """One 63-bit seed from several numbers (splitmix64)."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1
