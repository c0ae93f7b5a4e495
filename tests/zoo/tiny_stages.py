"""Stages that take a second: one layer, twenty tunes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from musiczoo import Stage
from musiczoo.datamodules import ScoreDataModule
from musiczoo.models.bar_stream import BarStreamModule
from tests import small_runs
from tests.small_runs import small_model, two_voices

QUIET = {name: value for name, value in small_runs.QUIET.items() if name != "enable_checkpointing"}
tune = two_voices


def data(first: int = 0, *, batch_size: int = 4, **settings: Any) -> ScoreDataModule:
    tunes = [tune(seed) for seed in range(first, first + 20)]
    return ScoreDataModule(
        tunes, batch_size=batch_size, progress=False, **({"val_fraction": 0.2} | settings)
    )


def adamw(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=3e-3)


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.3, momentum=0.9)


def model(dropout: float = 0.1, **settings: Any) -> BarStreamModule:
    return small_model(dropout, **({"optimizer": adamw} | settings))


def two_stages(**settings: Any) -> list[Stage]:
    """The characters alone on one corpus, then everything on another, with its own optimiser."""
    trainer = {**QUIET, **settings}
    return [
        Stage(
            name="first",
            start=model,
            data=data,
            trainable=["char_level_decoder.*"],
            optimizer=adamw,
            warmup_steps=3,
            max_epochs=2,
            trainer=trainer,
            checkpoint_every=2,
        ),
        Stage(
            name="second",
            data=later_data,
            optimizer=sgd,
            max_steps=7,
            trainer=trainer,
            checkpoint_every=3,
        ),
    ]


def later_data() -> ScoreDataModule:
    return data(100)


def weights(folder: Path) -> dict[str, bytes]:
    """The files of a checkpoint folder that tell what was computed."""
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


def plain_plan(
    batch_size: int, first: dict[str, Any] | None = None, **settings: Any
) -> list[Stage]:
    """Both stages without dropout, for comparisons of two processes with one of twice the batch.

    Args:
        batch_size: Of a process.
        first: Changes of the first stage.
        settings: Of the Trainers.
    """
    one, two = two_stages(**settings)
    source = partial(data, batch_size=batch_size)
    own = {"start": partial(model, dropout=0.0), "optimizer": sgd, "warmup_steps": None}
    return [replace(one, data=source, **own, **(first or {})), replace(two, data=source)]
