"""A fit of a given length of time."""

from __future__ import annotations

import math
import time
from typing import Any

import lightning
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class TimeBox(lightning.Callback):
    """Ends the fit after a given time, and lowers the learning rate to zero before.

    A demo promises minutes, not steps, and a short training gains much from a learning rate that
    falls to zero at its end. The callback also shows a progress bar and records the losses.

    Args:
        seconds: Length of the fit.
        cooling: Share of that time, at its end, in which the learning rate falls linearly to zero.
    """

    def __init__(self, seconds: float, cooling: float) -> None:
        self.seconds = seconds
        self.cooling = cooling
        self.train: list[tuple[int, float]] = []
        columns = (
            TextColumn("fine-tuning"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns)

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.start = time.monotonic()
        self.rates = [group["lr"] for group in trainer.optimizers[0].param_groups]
        self.task = self.progress.add_task("", total=self.seconds, note="")
        self.progress.start()

    def on_train_batch_start(
        self,
        trainer: lightning.Trainer,
        module: lightning.LightningModule,
        batch: Any,
        batch_idx: int,
    ) -> None:
        left = 1.0 - (time.monotonic() - self.start) / self.seconds
        warm = min(1.0, (trainer.global_step + 1) / 20)
        for group, rate in zip(trainer.optimizers[0].param_groups, self.rates, strict=True):
            group["lr"] = rate * warm * max(0.0, min(1.0, left / self.cooling))
        trainer.should_stop = left <= 0.0

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self.train.append(
            (trainer.global_step, float(trainer.callback_metrics["train/loss"]) / math.log(2.0))
        )
        recent = [value for _, value in self.train[-50:]]
        note = f"step {trainer.global_step}, {sum(recent) / len(recent):.3f} bits a character"
        self.progress.update(self.task, completed=time.monotonic() - self.start, note=note)

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.progress.stop()
