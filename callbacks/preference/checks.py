"""What a fit must be like for preference rounds."""

from __future__ import annotations

from typing import Any

import lightning
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy

from musiczoo.callbacks.takeover import generative
from musiczoo.models.base.generative import GenerativeModule
from musiczoo.music.errors import MusicZooError


def checked_module(
    trainer: lightning.Trainer, module: lightning.LightningModule
) -> GenerativeModule:
    """The module, if rounds can be sampled from it.

    Raises:
        MusicZooError: It does not generate, or is spread over devices.
    """
    found = generative(module, "Preference rounds")
    if isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy):
        raise MusicZooError(
            "Preference rounds sample from the model, which needs whole weights on each device.",
            where="Trainer(strategy=...)",
            remedy='Use "ddp" or one device; other stages of run_stages may shard.',
        )
    return found


def check_length(trainer: lightning.Trainer, rounds: int) -> None:
    """Checks that the Trainer was given no other length.

    Args:
        trainer: In ``setup``.
        rounds: Rounds of the fit; an epoch is a round.

    Raises:
        MusicZooError: It was.
    """
    # 1000 is what Lightning fills in where no length was given.
    if trainer.max_epochs not in (None, -1, 1000, rounds):
        raise MusicZooError(
            f"The Trainer is to run {trainer.max_epochs} epochs, and there are {rounds} rounds.",
            where="Trainer(max_epochs=...)",
            remedy="Leave it out: an epoch is a round.",
        )
    if trainer.max_steps != -1:
        raise MusicZooError(
            "The length of the training is rounds times steps.",
            where="Trainer(max_steps=...)",
            remedy="Leave it out, and give PreferenceRounds(steps=...).",
        )


def data_of(trainer: lightning.Trainer, needed: bool) -> Any | None:
    """The data module of a fit.

    Args:
        trainer: In ``setup``.
        needed: Whether the prompts are to come from it.

    Raises:
        MusicZooError: It is needed, and there is none.
    """
    data: Any = getattr(trainer, "datamodule", None)
    if data is None and needed:
        raise MusicZooError(
            "Preference rounds take the prompts and their real works from a data module.",
            remedy=(
                "Call trainer.fit(model, datamodule=ScoreDataModule(..., prompts=True)), or give"
                " prompts= and a reward that compares with no real works."
            ),
        )
    return data
