"""What a fit must be like for rollouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from musiczoo.callbacks.rollouts.settings import RolloutSettings
from musiczoo.callbacks.takeover import check_options, generative
from musiczoo.models.base.generative import GenerativeModule
from musiczoo.music.errors import MusicZooError


def checked_module(
    trainer: lightning.Trainer, module: lightning.LightningModule
) -> GenerativeModule:
    """The module, if rollouts can be sampled from it and train it.

    Raises:
        MusicZooError: It does not generate, has nothing to train, or is spread over devices.
    """
    found = generative(module, "Rollouts")
    # DeepSpeed and XLA have subclasses of these two.
    if type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy):
        raise MusicZooError(
            "Rollouts sample from the model, which needs whole weights on each device.",
            where="Trainer(strategy=...)",
            remedy='Use "ddp" or one device; a large model is tuned with an adapter (lora=).',
        )
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise MusicZooError(
            "No parameter is trainable.",
            remedy="Unfreeze some part of the model before Trainer.fit.",
        )
    return found


def check_trainer(trainer: lightning.Trainer, optimizer_steps: int) -> None:
    """Checks the settings of the Trainer that rollouts replace.

    Args:
        trainer: In ``setup``.
        optimizer_steps: Of the whole run.

    Raises:
        MusicZooError: The Trainer is to run another length, or on other batches.
    """
    if trainer.accumulate_grad_batches != 1:
        raise MusicZooError(
            "All completions of a step are accumulated to one optimiser step.",
            where="Trainer(accumulate_grad_batches=...)",
            remedy=(
                "Leave it out; GroupRollouts(batch_size=...) sets how many completions a"
                " micro-batch holds."
            ),
        )
    # 1000 is what Lightning fills in where no length was given.
    if trainer.max_epochs not in (None, -1, 1, 1000) or trainer.max_steps not in (
        -1,
        optimizer_steps,
    ):
        raise MusicZooError(
            f"The length of the training is {optimizer_steps} optimiser steps.",
            where="Trainer(max_epochs=..., max_steps=...)",
            remedy="Leave both out, and give GroupRollouts(steps=...).",
        )
    # Attributes that Lightning sets without declaring them.
    undeclared: Any = trainer
    if (
        trainer.limit_train_batches != 1.0
        or undeclared.overfit_batches
        or undeclared.reload_dataloaders_every_n_epochs
    ):
        raise MusicZooError(
            "Rollouts bring batches of their own, all of which are trained on.",
            where="Trainer",
            remedy=(
                "Leave out fast_dev_run, limit_train_batches, overfit_batches and"
                " reload_dataloaders_every_n_epochs."
            ),
        )


def check_generation(module: GenerativeModule, settings: RolloutSettings) -> None:
    """Checks the options of ``generate``, and that the pieces have a limit of length.

    Raises:
        MusicZooError: An option that the module does not have, or no limit.
    """
    check_options(module, settings.options)
    counts_tokens = "max_new_tokens" in module.generate_options
    if settings.max_length is None and not (counts_tokens and settings.max_new_tokens is not None):
        raise MusicZooError(
            f"The pieces of a {type(module).__name__} have no limit of length.",
            where="GroupRollouts",
            remedy=(
                "Give max_new_tokens."
                if counts_tokens
                else "Its generate does not count in tokens: give max_length in its units"
                f" ({module.length_unit})."
            ),
        )


def check_checkpoint(checkpoint: Mapping[str, Any], key: str) -> None:
    """Checks that a fit with rollouts saved a checkpoint.

    Args:
        checkpoint: Of Lightning.
        key: Of the callback's state.

    Raises:
        MusicZooError: It is of another training, whose batches and epochs Lightning would take for
            those of rollouts.
    """
    if key not in checkpoint["callbacks"]:
        raise MusicZooError(
            "The checkpoint is of a fit without GroupRollouts.",
            where="trainer.fit(ckpt_path=...)",
            remedy=(
                "Begin the rollouts with the checkpoint's weights (musiczoo.load) instead of"
                " resuming its fit."
            ),
        )
