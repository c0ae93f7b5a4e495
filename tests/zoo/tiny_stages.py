"""Stages that take a second: one layer, twenty tunes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch

from musiczoo import Stage
from musiczoo.datamodules import ScoreDataModule
from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.music.abc import Tune, read_abc

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


def tune(seed: int) -> Tune:
    rng = random.Random(seed)
    bars = rng.randrange(2, 9)
    body = "\n".join(
        f"V:{voice}\n"
        + " ".join("".join(rng.choices("CDEFGABcdefg", k=4)) + " |" for _ in range(bars))
        for voice in (1, 2)
    )
    return read_abc(f"X:{seed}\nM:4/4\nL:1/4\nK:G\n{body}\n")


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
    return BarStreamModule(
        patch_layers=1,
        char_layers=1,
        hidden=32,
        patch_length=24,
        heads=2,
        dropout=dropout,
        **({"optimizer": adamw} | settings),
    )


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
