"""Training by an objective, whatever the architecture: normalisation, dropout, accumulation, validation, schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from lightning.pytorch.loops.fit_loop import RestartStage
from torch import Tensor

from musiczoo.models.base.checkpointed import ZooModule
from musiczoo.music.errors import MusicZooError

Batch = Mapping[str, Tensor]
OptimizerFactory = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]

# Losses are handed to autograd as sums divided by this constant, and rescaled to a mean over all
# ranks and accumulation steps before the optimiser step. The constant only keeps half-precision
# gradients in range.
NOMINAL_TARGETS = 4096.0


class Objective(Protocol):
    """A loss: ``objective(module, batch)`` gives the summed loss, the number of scored units, and what to log.

    One whose loss is a negative log-likelihood names what it is counted by as ``unit``, such as
    ``"character"``.
    """

    def __call__(self, module: Any, batch: Batch) -> ObjectiveResult:
        """Computes the loss of one batch."""
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


class TrainedModule(ZooModule):
    """A module that trains by an objective.

    The loss is normalised by the scored targets of all ranks and accumulation steps:
    :meth:`training_step` returns a sum, and the gradient is scaled once before the optimiser step,
    so that the layout of batches over ranks and micro-batches does not change the update. Dropout
    is seeded for each batch from (seed, epoch, batch, rank), so that a run resumed at any step
    equals the uninterrupted one.

    Args:
        objective: The loss.
        optimizer: Makes the optimiser from the trainable parameters; AdamW at 1e-4 when None.
        warmup_steps: Optimiser steps of linear warm-up to a constant learning rate.
        cooldown_steps: Optimiser steps at the end of ``Trainer(max_steps=...)`` in which the rate
            falls linearly to zero.
        seed: Seed of the dropout.
    """

    #: What a target is, where it is not what objectives call it: ``"token"``.
    unit: ClassVar[str | None] = None

    def __init__(
        self,
        objective: Objective,
        optimizer: OptimizerFactory | None,
        warmup_steps: int,
        cooldown_steps: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.objective = objective
        self.optimizer_factory = optimizer
        self.warmup_steps = warmup_steps
        self.cooldown_steps = cooldown_steps
        self.seed = seed
        self._scored: Tensor | None = None
        self._accumulated: dict[str, Any] | None = None

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seeds dropout for this batch alone: no random state needs to live in a checkpoint."""
        torch.manual_seed(_mix(self.seed, self.current_epoch, batch_idx, self.global_rank))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Calls the objective; see the class for the normalisation."""
        result = self.objective(self, batch)
        count = result.count.detach().to(torch.float64)
        self._scored = count if self._scored is None else self._scored + count
        logs = {f"train/{name}": value for name, value in result.logs.items()}
        self.log_dict(
            {"train/loss": result.total.detach() / count.clamp(min=1), **logs},
            prog_bar=True,
            batch_size=1,
        )
        return result.total / NOMINAL_TARGETS

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Turns the accumulated gradient of sums into that of a mean over the scored targets of all ranks and accumulation steps."""
        if self._scored is None:
            return
        everyone = self.trainer.strategy.reduce(self._scored, reduce_op="sum")
        total = float(everyone.item() if isinstance(everyone, Tensor) else everyone)
        self._scored = None
        # Undo what Lightning and DDP did to the sum: division by accumulation steps, and the mean
        # over ranks.
        scale = (
            NOMINAL_TARGETS
            * self.trainer.accumulate_grad_batches
            * self.trainer.world_size
            / max(total, 1.0)
        )
        gradients = [
            p.grad
            for group in optimizer.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        torch._foreach_mul_(gradients, scale)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the gradient of a step whose accumulation is under way.

        Lightning's checkpoints leave it out.

        Ranks hold different parts of it, and only their sum counts. Lightning calls this on all of
        them.
        """
        super().on_save_checkpoint(checkpoint)
        if self._scored is None:
            return
        gradients = {
            name: p.grad.detach() for name, p in self.named_parameters() if p.grad is not None
        }
        reduce = self.trainer.strategy.reduce
        # reduce() works in place, and training goes on with the rank's own part.
        checkpoint["accumulated"] = {
            "scored": reduce(self._scored.clone(), reduce_op="sum"),
            "gradients": {
                name: reduce(gradient.clone(), reduce_op="sum")
                for name, gradient in gradients.items()
            },
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes up what :meth:`on_save_checkpoint` kept."""
        super().on_load_checkpoint(checkpoint)
        self._accumulated = checkpoint.get("accumulated")

    def on_train_start(self) -> None:
        """Puts the gradient of an interrupted accumulation back; one rank holds it for all."""
        self._begin_next_epoch()
        kept, self._accumulated = self._accumulated, None
        if kept is None or not self.trainer.is_global_zero:
            return
        self._scored = kept["scored"].to(self.device)
        for name, parameter in self.named_parameters():
            if name in kept["gradients"]:
                parameter.grad = kept["gradients"][name].to(parameter)

    def _begin_next_epoch(self) -> None:
        """Makes Lightning begin an epoch where it was resumed from a checkpoint of the end of one.

        From a checkpoint of an epoch's last batch it takes the next epoch for the rest of the old
        one and does not count it as begun, and a run that is resumed once more, in that epoch,
        would train it from its first batch again. From a checkpoint of an epoch's end it goes,
        under ``max_steps``, once through the old epoch without a batch, counts it twice, and trains
        on the batches of a later one.
        """
        fit_loop, epoch_loop = self.trainer.fit_loop, self.trainer.fit_loop.epoch_loop
        if (
            fit_loop.restarted_mid_epoch
            and epoch_loop.restarted_on_train_batch_end
            and epoch_loop.batch_progress.is_last_batch
        ):
            fit_loop._restart_stage = RestartStage.NONE
        elif fit_loop.restarted_on_epoch_end:
            fit_loop.epoch_progress.increment_completed()
            fit_loop._restart_stage = RestartStage.NONE
            # Its own setter leaves the loop restarting under max_steps.
            fit_loop._restarting = epoch_loop.restarting = False

    def on_validation_epoch_start(self) -> None:
        """Starts the sums of the validation loss."""
        self._validation = torch.zeros(2, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds the batch to the validation loss."""
        result = self.objective(self, batch)
        self._validation += torch.stack(
            [result.total.detach().double(), result.count.detach().double()]
        )

    def on_validation_epoch_end(self) -> None:
        """Logs the mean over all scored units of all ranks; for a likelihood also in bits."""
        total, count = self.trainer.strategy.reduce(self._validation, reduce_op="sum")
        loss = (total / count.clamp(min=1)).float()
        # What is scored is told by the objective; what a target of it is, by the architecture where
        # it is no character.
        unit = getattr(self.objective, "unit", None)
        bits = {f"val/bits_per_{self.unit or unit}": loss / math.log(2)} if unit is not None else {}
        self.log_dict({"val/loss": loss, **bits}, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW (or the given factory) over the trainable parameters, with linear warm-up, constant rate and linear cool-down.

        Raises:
            MusicZooError: Nothing is trainable, or a cool-down without a last step to aim at.
        """
        parameters = [p for p in self.parameters() if p.requires_grad]
        if not parameters:
            raise MusicZooError(
                "No parameter is trainable.",
                remedy="Unfreeze some part of the model before Trainer.fit.",
            )
        optimizer = (
            self.optimizer_factory(parameters)
            if self.optimizer_factory
            else torch.optim.AdamW(parameters, lr=1e-4)
        )
        if self.warmup_steps <= 0 and self.cooldown_steps <= 0:
            return optimizer
        last = self.trainer.max_steps
        if self.cooldown_steps > 0 and last <= 0:
            raise MusicZooError(
                "A cool-down needs to know the last step.",
                where="cooldown_steps",
                remedy="Give Trainer(max_steps=...).",
            )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, _trapezoid(self.warmup_steps, self.cooldown_steps, last)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _trapezoid(warmup: int, cooldown: int, last: int) -> Callable[[int], float]:
    """The rate over the steps: up, level, down (Hu et al. 2024, arXiv 2404.06395, call it warm-up, stable, decay).

    A plain function: of other callables the scheduler keeps the attributes in its state, and a run
    that is resumed with another last step would go on aiming at the old one.
    """

    def rate(step: int) -> float:
        up = min(1.0, (step + 1) / warmup) if warmup > 0 else 1.0
        down = min(1.0, max(0, last - step) / cooldown) if cooldown > 0 else 1.0
        return up * down

    return rate


def _mix(*numbers: int) -> int:
    """One 63-bit seed from several numbers (splitmix64)."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1
