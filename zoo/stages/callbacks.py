"""Callbacks of a stage's fit: restart points, and the hand-over of its weights."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from torch.distributed.tensor import DTensor

from musiczoo.hub.checkpoint import CONFIG, save_checkpoint
from musiczoo.hub.tensors import fill
from musiczoo.music.errors import MusicZooError
from musiczoo.stages.ledger import Ledger
from musiczoo.stages.stage import Stage

RESTART = "restart"


def newest_restart_point(folder: Path) -> Path | None:
    """The newest of the points that :class:`RestartPoints` keeps in a folder."""
    found = sorted(folder.glob("*.ckpt"))
    return found[-1] if found else None


class RestartPoints(Checkpoint):
    """Keeps one Lightning checkpoint from which a killed run continues.

    It is written after every ``every`` steps and at the end of each epoch.

    A new one gets its name when it is whole, and only then the old one is deleted, so that a kill
    at any moment leaves one. (Lightning's own ``ModelCheckpoint`` overwrites its
    ``last.ckpt``; where the folder for temporary files is on another disk, that is not atomic.)

    Args:
        folder: Where it lies; the stage's own.
        every: Steps; 0 for the ends of epochs alone.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self.folder = folder
        self.every = every
        self._saved_step = -1
        self._due = False

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Notes where a resumed fit begins."""
        self._saved_step, self._due = trainer.global_step, False

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Keeps a point after an optimiser step, never within an accumulation."""
        self._due = self._due or (
            self.every > 0
            and trainer.global_step != self._saved_step
            and trainer.global_step % self.every == 0
        )
        # Resumed from a point before a validation, or before the end of an epoch, Lightning would
        # leave that out.
        if self._due and not trainer.is_last_batch and not _is_validated_now(trainer, batch_idx):
            self._save(trainer, False)

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Keeps the point that was due before the validation."""
        if self._due and not trainer.sanity_checking and not trainer.is_last_batch:
            self._save(trainer, False)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Keeps a point at the end of every epoch."""
        self._save(trainer, True)

    def _save(self, trainer: lightning.Trainer, is_epoch_end: bool) -> None:
        self._saved_step, self._due = trainer.global_step, False
        # In the order of their names the points stand in the order of training.
        place = (
            self.folder
            / f"{trainer.current_epoch:06d}-{trainer.global_step:09d}-{int(is_epoch_end)}.ckpt"
        )
        part = place.with_suffix(".part")
        if trainer.is_global_zero:
            shutil.rmtree(part, ignore_errors=True)
            self.folder.mkdir(parents=True, exist_ok=True)
        # A file, or under model parallelism a folder that all ranks write to; all of them come back
        # when it is whole.
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            for file in [part, *part.rglob("*")] if part.is_dir() else [part]:
                if file.is_file():
                    with open(file, "rb+") as stream:
                        os.fsync(stream.fileno())
            if place.is_dir():
                shutil.rmtree(place)
            os.replace(part, place)
            for other in self.folder.iterdir():
                if other != place:
                    shutil.rmtree(other) if other.is_dir() else other.unlink()


def _is_validated_now(trainer: lightning.Trainer, batch_idx: int) -> bool:
    """Whether a validation follows a batch within an epoch."""
    loops: Any = trainer
    every = loops.val_check_batch
    if not loops.enable_validation or every is None or every == float("inf"):
        return False
    batches = (
        batch_idx + 1
        if loops.check_val_every_n_epoch is not None
        else loops.fit_loop.total_batch_idx + 1
    )
    return bool(batches % every == 0)


class HandOver(lightning.Callback):
    """Writes the checkpoint folder of a finished stage and notes it in the ledger.

    Args:
        stage: The stage.
        ledger: Of the run.
    """

    def __init__(self, stage: Stage, ledger: Ledger) -> None:
        self.stage = stage
        self.ledger = ledger

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Gives the module the name of the stage."""
        pl_module.stage = self.stage.name  # type: ignore[assignment]

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Hands over.

        A fit that was killed between its last step and this does so at once when it is resumed.
        """
        plain = _whole_module(pl_module)
        if trainer.is_global_zero:
            plain.stage = self.stage.name
            if self.stage.keep == "best":
                _load_best(plain, trainer)
            if self.stage.merge and plain.lora is not None:
                plain.merge_adapter()
            folder = self.ledger.checkpoint(self.stage.name)
            save_checkpoint(plain, folder, overwrite=(folder / CONFIG).is_file())
            self.ledger.finish(self.stage.name, trainer.global_step, trainer.current_epoch)
            # With the optimiser's state it is three times as large as the weights.
            shutil.rmtree(folder.with_name(RESTART), ignore_errors=True)
        # The other ranks read the ledger next.
        trainer.strategy.barrier()


def _whole_module(module: Any) -> Any:
    """The module itself.

    Or of one whose parameters are shards, on rank 0, a new one with all of them.
    """
    if not any(isinstance(parameter, DTensor) for parameter in module.net.parameters()):
        return module
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    tensors: dict[str, Any] = get_model_state_dict(
        module.net, options=StateDictOptions(full_state_dict=True, cpu_offload=True)
    )
    if not tensors:
        return module
    with torch.random.fork_rng(devices=[]):
        whole = type(module).from_config(module.to_config(), module.representation)
    fill(whole.net, tensors, Path("the gathered weights"))
    whole.load_record(module.record())
    return whole


def _load_best(module: Any, trainer: lightning.Trainer) -> None:
    paths = [
        callback.best_model_path
        for callback in trainer.checkpoint_callbacks
        if isinstance(callback, ModelCheckpoint) and callback.monitor
    ]
    if not paths or not Path(paths[0]).is_file():
        raise MusicZooError(
            "There are no best weights to hand over.",
            where="keep",
            remedy=(
                "Add lightning.pytorch.callbacks.ModelCheckpoint(monitor='val/loss') to the stage's"
                " callbacks, and validate."
            ),
        )
    tensors = torch.load(paths[0], map_location="cpu", weights_only=True)["state_dict"]
    # Of a module with an adapter the file holds the adapter alone.
    missing = module.load_state_dict(tensors, strict=False)
    if missing.unexpected_keys:
        raise MusicZooError(
            "The best weights are of another net.",
            path=paths[0],
            remedy="Give each ModelCheckpoint its own dirpath.",
        )
