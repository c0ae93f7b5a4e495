"""Rollouts in a size for tests: a policy that samples for real, so that what it writes depends on each bit of its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch

from musiczoo.callbacks.rollouts.callback import GroupRollouts
from musiczoo.models.bar_stream.module import BarStreamModule
from musiczoo.models.base.generative import Generated
from tests.callbacks.tiny_rounds import Killed, adamw, sgd, tune
from tests.small_runs import QUIET, KeepEverywhere, small_model

__all__ = [
    "Killed",
    "Speaker",
    "adamw",
    "fit",
    "keep_everywhere",
    "letters",
    "model",
    "rollouts",
    "sgd",
]

GROUPS, SIZE, STEPS = 2, 3, 3
PROMPTS = ["%a\n%b\n%c\n", "%reel\n%of\n%here\n", ""]
PIECE = tune(1)


def letters(pieces: Sequence[Generated]) -> list[float]:
    """The reward of most tests: something of the text that a small policy can change."""
    return [sum(map(ord, piece.text)) / max(1, len(piece.text)) for piece in pieces]


class Speaker:
    """Replaces ``module.stream``, which it calls.

    An untrained model generates nothing that can be read, so a tune replaces each piece.
    """

    def __init__(
        self, module: BarStreamModule, die_at: int | None = None, readable: bool = True
    ) -> None:
        self.module = module
        self.die_at = die_at
        self.readable = readable
        self.calls: list[list[Any]] = []
        self.training: list[bool] = []

    def __call__(
        self, prompts: Sequence[Any], *settings: Any, batch_size: int = 16
    ) -> Iterator[tuple[int, Generated]]:
        if len(self.calls) == self.die_at:
            raise Killed
        self.calls.append(list(prompts))
        self.training.append(self.module.training or torch.is_grad_enabled())
        return self._pieces(
            BarStreamModule.stream(
                self.module, prompts, *settings, batch_size=batch_size, start_at_first_bar=False
            )
        )

    def _pieces(self, sampled: Iterator[tuple[int, Generated]]) -> Iterator[tuple[int, Generated]]:
        for index, result in sampled:
            yield index, replace(result, piece=PIECE if self.readable else None)


def model(
    speaker: Callable[[BarStreamModule], Any] = Speaker, dropout: float = 0.1, **settings: Any
) -> BarStreamModule:
    torch.manual_seed(0)
    module = small_model(dropout, patch_length=12, **({"optimizer": adamw} | settings))
    module.stream = speaker(module)  # type: ignore[method-assign]
    return module


def rollouts(folder: Path, **settings: Any) -> GroupRollouts:
    own = {
        "steps": STEPS,
        "groups": GROUPS,
        "group_size": SIZE,
        "batch_size": 2,
        "max_length": 6,
        "prompts": PROMPTS,
        "reward": letters,
    }
    return GroupRollouts(**({"folder": folder, "progress": False} | own | settings))


def fit(
    callback: GroupRollouts, module: BarStreamModule | None = None, **settings: Any
) -> BarStreamModule:
    module = model() if module is None else module
    checkpoint, source = settings.pop("checkpoint", None), settings.pop("source", None)
    callbacks = [*settings.pop("before", []), callback, *settings.pop("callbacks", [])]
    trainer = lightning.Trainer(**(QUIET | {"callbacks": callbacks} | settings))
    trainer.fit(module, source, ckpt_path=checkpoint, weights_only=True)
    return module


def keep_everywhere(folder: Path, run: Path) -> KeepEverywhere:
    """Checkpoints with the folder of the run as it was."""
    return KeepEverywhere(folder, run, lambda module: len(module.stream.calls))
