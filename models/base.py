"""The contracts between architectures, objectives and the Trainer.

A :class:`GenerativeModule` scores its targets (:meth:`GenerativeModule.log_probs`) and generates (:meth:`GenerativeModule.generate`).
Every objective is built on the first alone, so that each objective works with each architecture.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from musiczoo.models.sampling import Sampling
from musiczoo.models.zoo_module import Prompt, ZooModule
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError

__all__ = ["Batch", "Generated", "GenerativeModule", "Objective", "ObjectiveResult", "OptimizerFactory", "Prompt", "TokenLogProbs"]

Batch = Mapping[str, Tensor]
OptimizerFactory = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]

# Losses are handed to autograd as sums divided by this constant, and rescaled to a mean over all ranks and accumulation steps before
# the optimiser step. The constant only keeps half-precision gradients in range.
NOMINAL_TARGETS = 4096.0


@dataclass(frozen=True)
class TokenLogProbs:
    """Log-probabilities of a batch's targets.

    Attributes:
        values: (batch, targets) natural logarithms, differentiable, 0 where ``mask`` is False.
        mask: (batch, targets) bool, True for scored targets.
    """

    values: Tensor
    mask: Tensor

    def sums(self) -> Tensor:
        """(batch,) summed log-probability of each sequence."""
        return self.values.sum(dim=1)


@dataclass(frozen=True)
class Generated:
    """One generated piece.

    Attributes:
        piece: The piece, or None when the text cannot be read (see ``error``).
        text: What was generated with its prompt, as the representation decodes it.
        tokens: Token ids of prompt and continuation, in the representation's layout.
        log_probs: Log-probability of each token of the full softmax at the sampling temperature, before any cut; 0 for prompt and padding.
        scored: True where ``log_probs`` holds a sampled token.
        stop: Why generation stopped: the model's end mark, the length limit, or a callback that asked for it.
        error: Why there is no ``piece``.
    """

    piece: Tune | None
    text: str
    tokens: Tensor
    log_probs: Tensor
    scored: Tensor
    stop: Literal["end", "max_length", "cancelled"]
    error: MusicZooError | None = None


class Objective(Protocol):
    """A loss: ``objective(module, batch)`` gives the summed loss, the number of scored targets, and what to log."""

    def __call__(self, module: GenerativeModule, batch: Batch) -> ObjectiveResult:
        """Computes the loss of one batch."""
        ...


@dataclass(frozen=True)
class ObjectiveResult:
    """What an objective returns.

    Attributes:
        total: Scalar, the sum of the loss over the scored units of this batch.
        count: Scalar, the number of scored units (targets, or pairs). ``total / count`` is the loss of the batch.
        logs: Detached scalars to log.
    """

    total: Tensor
    count: Tensor
    logs: dict[str, Tensor] = field(default_factory=dict)


class GenerativeModule(ZooModule):
    """A generative architecture on Lightning.

    The loss is normalised by the scored targets of all ranks and accumulation steps: :meth:`training_step` returns a sum, and the gradient
    is scaled once before the optimiser step, so that the layout of batches over ranks and micro-batches does not change the update.
    Dropout is seeded for each batch from (seed, epoch, batch, rank), so that a run resumed at any step equals the uninterrupted one.

    Attributes:
        sampling: What :meth:`generate` draws with unless told otherwise; a checkpoint keeps it.

    Args:
        objective: The loss; next-token likelihood when None.
        optimizer: Makes the optimiser from the trainable parameters; AdamW at 1e-4 when None.
        warmup_steps: Optimiser steps of linear warm-up to a constant learning rate.
        cooldown_steps: Optimiser steps at the end of ``Trainer(max_steps=...)`` in which the rate falls linearly to zero.
        seed: Seed of the dropout.
    """

    representation: Any

    def __init__(
        self, objective: Objective | None, optimizer: OptimizerFactory | None, warmup_steps: int, cooldown_steps: int, seed: int
    ) -> None:
        super().__init__()
        from musiczoo.models.objectives import Likelihood

        self.objective: Objective = objective or Likelihood()
        self.optimizer_factory = optimizer
        self.warmup_steps = warmup_steps
        self.cooldown_steps = cooldown_steps
        self.seed = seed
        self.sampling = Sampling()
        self._scored: Tensor | None = None
        self._accumulated: dict[str, Any] | None = None

    @abstractmethod
    def log_probs(self, batch: Batch, temperature: float = 1.0) -> TokenLogProbs:
        """Log-probabilities of the full softmax for every target of the batch, differentiable.

        Args:
            batch: What the representation's ``collate`` made.
            temperature: Divides the logits.

        Returns:
            Values and mask of shape (batch, targets).
        """

    @abstractmethod
    def generate(
        self,
        prompts: Sequence[Any],
        sampling: Sampling | None = None,
        max_length: int | None = None,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> list[Generated]:
        """Continues each prompt, batched, cached and seeded; every piece stops on its own.

        Without ``sampling``, :attr:`sampling` decides, which a checkpoint brings along.
        """

    def record(self) -> dict[str, Any]:
        """Adds the sampling settings to what a checkpoint keeps."""
        return {**super().record(), "sampling": asdict(self.sampling)}

    def take_record(self, record: Mapping[str, Any]) -> None:
        """Takes up what :meth:`record` gave.

        Raises:
            MusicZooError: Sampling settings that do not exist or are out of range.
        """
        super().take_record(record)
        settings = record.get("sampling", {})
        if unknown := sorted(set(settings) - {item.name for item in fields(Sampling)}):
            raise MusicZooError(f"There is no sampling setting {', '.join(unknown)}.", remedy="pip install --upgrade musiczoo")
        self.sampling = Sampling(**settings)

    def reference_outputs(self, batch: Batch) -> dict[str, Tensor]:
        """``log_probs``, (batch, targets): 0 where nothing is scored."""
        with torch.no_grad():
            return {"log_probs": self.log_probs(batch).values.float()}

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seeds dropout for this batch alone: no random state needs to live in a checkpoint."""
        torch.manual_seed(_mix(self.seed, self.current_epoch, batch_idx, self.global_rank))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Calls the objective; see the class for the normalisation."""
        result = self.objective(self, batch)
        count = result.count.detach().to(torch.float64)
        self._scored = count if self._scored is None else self._scored + count
        logs = {f"train/{name}": value for name, value in result.logs.items()}
        self.log_dict({"train/loss": result.total.detach() / count.clamp(min=1), **logs}, prog_bar=True, batch_size=1)
        return result.total / NOMINAL_TARGETS

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Turns the accumulated gradient of sums into that of a mean over the scored targets of all ranks and accumulation steps."""
        if self._scored is None:
            return
        everyone = self.trainer.strategy.reduce(self._scored, reduce_op="sum")
        total = float(everyone.item() if isinstance(everyone, Tensor) else everyone)
        self._scored = None
        # Undo what Lightning and DDP did to the sum: division by accumulation steps, and the mean over ranks.
        scale = NOMINAL_TARGETS * self.trainer.accumulate_grad_batches * self.trainer.world_size / max(total, 1.0)
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        torch._foreach_mul_(gradients, scale)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the gradient of a step whose accumulation is under way; Lightning's checkpoints leave it out.

        Ranks hold different parts of it, and only their sum counts. Lightning calls this on all of them.
        """
        super().on_save_checkpoint(checkpoint)
        if self._scored is None:
            return
        gradients = {name: p.grad.detach() for name, p in self.named_parameters() if p.grad is not None}
        reduce = self.trainer.strategy.reduce
        # reduce() works in place, and training goes on with the rank's own part.
        checkpoint["accumulated"] = {
            "scored": reduce(self._scored.clone(), reduce_op="sum"),
            "gradients": {name: reduce(gradient.clone(), reduce_op="sum") for name, gradient in gradients.items()},
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes up what :meth:`on_save_checkpoint` kept."""
        super().on_load_checkpoint(checkpoint)
        self._accumulated = checkpoint.get("accumulated")

    def on_train_start(self) -> None:
        """Puts the gradient of an interrupted accumulation back; one rank holds it for all."""
        kept, self._accumulated = self._accumulated, None
        if kept is None or not self.trainer.is_global_zero:
            return
        self._scored = kept["scored"].to(self.device)
        for name, parameter in self.named_parameters():
            if name in kept["gradients"]:
                parameter.grad = kept["gradients"][name].to(parameter)

    def on_validation_epoch_start(self) -> None:
        """Starts the sums of the validation loss."""
        self._validation = torch.zeros(2, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds the batch to the validation loss."""
        result = self.objective(self, batch)
        self._validation += torch.stack([result.total.detach().double(), result.count.detach().double()])

    def on_validation_epoch_end(self) -> None:
        """Logs the mean over all scored targets of all ranks, in nats and in bits."""
        total, count = self.trainer.strategy.reduce(self._validation, reduce_op="sum")
        loss = (total / count.clamp(min=1)).float()
        self.log_dict({"val/loss": loss, "val/bits_per_character": loss / math.log(2)}, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW (or the given factory) over the trainable parameters, with linear warm-up, constant rate and linear cool-down.

        Raises:
            MusicZooError: Nothing is trainable, or a cool-down without a last step to aim at.
        """
        parameters = [p for p in self.parameters() if p.requires_grad]
        if not parameters:
            raise MusicZooError("No parameter is trainable.", remedy="Unfreeze some part of the model before Trainer.fit.")
        optimizer = self.optimizer_factory(parameters) if self.optimizer_factory else torch.optim.AdamW(parameters, lr=1e-4)
        if self.warmup_steps <= 0 and self.cooldown_steps <= 0:
            return optimizer
        last = self.trainer.max_steps
        if self.cooldown_steps > 0 and last <= 0:
            raise MusicZooError("A cool-down needs to know the last step.", where="cooldown_steps", remedy="Give Trainer(max_steps=...).")
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _trapezoid(self.warmup_steps, self.cooldown_steps, last))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _trapezoid(warmup: int, cooldown: int, last: int) -> Callable[[int], float]:
    """The rate over the steps: up, level, down (Hu et al. 2024, arXiv 2404.06395, call it warm-up, stable, decay).

    A plain function: of other callables the scheduler keeps the attributes in its state, and a run that is resumed with another last step
    would go on aiming at the old one.
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
