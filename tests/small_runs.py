"""What tests of training share: a small model, small tunes, quiet Trainers, and checkpoints everywhere."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch

from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.music.abc import Tune, read_abc

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


def two_voices(seed: int) -> Tune:
    """A tune of two voices and two to eight bars."""
    rng = random.Random(seed)
    bars = rng.randrange(2, 9)
    body = "\n".join(
        f"V:{voice}\n"
        + " ".join("".join(rng.choices("CDEFGABcdefg", k=4)) + " |" for _ in range(bars))
        for voice in (1, 2)
    )
    return read_abc(f"X:{seed}\nM:4/4\nL:1/4\nK:G\n{body}\n")


def small_model(dropout: float = 0.1, **settings: Any) -> BarStreamModule:
    """A bar-stream model of one layer each, untrained."""
    return BarStreamModule(
        **{
            "patch_layers": 1,
            "char_layers": 1,
            "hidden": 32,
            "patch_length": 24,
            "heads": 2,
            "dropout": dropout,
            **settings,
        }
    )


def differing(one: torch.nn.Module, other: torch.nn.Module) -> list[str]:
    """The names of the tensors that differ."""
    theirs = other.state_dict()
    return [
        name for name, value in one.state_dict().items() if not torch.equal(value, theirs[name])
    ]


class SaveEverywhere(lightning.Callback):
    """A checkpoint after each batch, after validation and at the end of each epoch; a plain callback, so that it stands where it is put."""

    def __init__(self, folder: Path, name: str = "") -> None:
        self.folder, self.name = folder, name
        self.paths: list[Path] = []

    @property
    def state_key(self) -> str:
        return f"SaveEverywhere{self.name}"

    def _save(self, trainer: lightning.Trainer, where: str) -> None:
        self.paths.append(self.folder / f"{self.name}{len(self.paths):02d}-{where}.ckpt")
        trainer.save_checkpoint(self.paths[-1])

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._save(trainer, f"epoch{trainer.current_epoch}-batch{batch_idx}")

    def on_validation_end(self, trainer: lightning.Trainer, module: Any) -> None:
        self._save(trainer, f"epoch{trainer.current_epoch}-validated")

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        self._save(trainer, f"epoch{trainer.current_epoch}-end")


class KeepEverywhere(lightning.Callback):
    """A checkpoint after each batch and at the end of each epoch, with a folder of the run as it was.

    Args:
        folder: Where they go.
        run: The folder that is copied.
        calls: How often the model was asked for pieces so far.
        named: The beginning of the names, from the epoch.
    """

    def __init__(
        self,
        folder: Path,
        run: Path,
        calls: Callable[[Any], int],
        named: Callable[[int], str] = lambda epoch: "",
    ) -> None:
        self.folder, self.run, self.calls, self.named = folder, run, calls, named
        self.saved: dict[str, tuple[Path, Path, int]] = {}

    def _save(self, trainer: lightning.Trainer, where: str) -> None:
        name = self.named(trainer.current_epoch) + where
        path, kept = self.folder / f"{name}.ckpt", self.folder / f"{name}-run"
        trainer.save_checkpoint(path)
        shutil.copytree(self.run, kept)
        self.saved[name] = path, kept, self.calls(trainer.lightning_module)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._save(trainer, f"batch{batch_idx}")

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        self._save(trainer, "end")
