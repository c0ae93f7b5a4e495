"""A program of two processes: the tiny plan with its parameters spread over both (FSDP2). Lightning starts the second process."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.strategies import ModelParallelStrategy

from musiczoo import Stage, run_stages
from tests.zoo.tiny_stages import plain_plan


class Stop(lightning.Callback):
    """Ends both processes where a file asks for it.

    Args:
        folder: Where the file would be; None for a run that is not stopped.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.folder is not None and trainer.global_step == 3 and (self.folder / "stop").exists():
            raise SystemExit(7)


def plan(batch_size: int, folder: Path | None = None, **settings: Any) -> list[Stage]:
    """Both stages on two processes, or on one with twice the batch."""
    first = {"callbacks": partial(list, [Stop(folder)]), "checkpoint_every": 1}
    return plain_plan(batch_size, first, **settings)


def sharded(folder: Path) -> list[Stage]:
    """Checkpoints as folders of shards in the first stage, as whole files in the second."""
    stages = plan(2, folder, devices=2)
    return [
        replace(
            stage,
            trainer={
                **stage.trainer,
                "strategy": ModelParallelStrategy(
                    data_parallel_size=2,
                    tensor_parallel_size=1,
                    save_distributed_checkpoint=distributed,
                ),
            },
        )
        for stage, distributed in zip(stages, (True, False), strict=True)
    ]


if __name__ == "__main__":
    run_stages(sharded(Path(sys.argv[1])), Path(sys.argv[1], "run"))
