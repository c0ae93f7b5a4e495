"""The one file that touches private attributes of Lightning, by functions that state why.

Checked with the Lightning version of ``constraints.txt``; a new version is tested here first.
"""

from __future__ import annotations

from typing import Any

import lightning
from lightning.pytorch.loops.fit_loop import RestartStage


def trainer_of(module: lightning.LightningModule) -> lightning.Trainer | None:
    """The Trainer that a module is attached to, or None; the public property raises instead."""
    return module._trainer


def begin_next_epoch(trainer: lightning.Trainer) -> None:
    """Makes Lightning begin an epoch where it was resumed from a checkpoint of the end of one.

    From a checkpoint of an epoch's last batch it takes the next epoch for the rest of the old one
    and does not count it as begun, and a run that is resumed once more, in that epoch, would train
    it from its first batch again. From a checkpoint of an epoch's end it runs, under ``max_steps``,
    once through the old epoch without a batch, counts it twice, and trains on the batches of a
    later one.
    """
    fit_loop, epoch_loop = trainer.fit_loop, trainer.fit_loop.epoch_loop
    if (
        fit_loop.restarted_mid_epoch
        and epoch_loop.restarted_on_train_batch_end
        and epoch_loop.batch_progress.is_last_batch
    ):
        fit_loop._restart_stage = RestartStage.NONE
    elif fit_loop.restarted_on_epoch_end:
        fit_loop.epoch_progress.increment_completed()
        fit_loop._restart_stage = RestartStage.NONE
        # Its own setter leaves the loop restarting under max_steps.
        fit_loop._restarting = epoch_loop.restarting = False


def loader_sources(trainer: lightning.Trainer) -> tuple[Any, Any]:
    """Where a fit takes its training loader and its validation loaders from, in ``setup``.

    Lightning has no public way to replace them. Each has ``instance`` (a loader, or a module with
    hooks), ``name`` and ``is_defined()``.
    """
    fit_loop: Any = trainer.fit_loop
    return fit_loop._data_source, fit_loop.epoch_loop.val_loop._data_source


def attach_data(trainer: lightning.Trainer, module: Any, data: Any) -> None:
    """Gives a fit that is under way another data module.

    Lightning has no public way.
    """
    trainer._data_connector.attach_datamodule(module, datamodule=data)


def finish_epoch(trainer: lightning.Trainer) -> None:
    """Ends the epoch of a fit that was resumed from a checkpoint of the epoch's last batch.

    Lightning would continue counting inside it, unless as many batches have been trained as an
    epoch has; but the next one may have more.
    """
    fit_loop, epoch_loop = trainer.fit_loop, trainer.fit_loop.epoch_loop
    if epoch_loop.restarted_on_train_batch_end:
        epoch_loop.batch_progress.increment_completed()
        epoch_loop.reset_restart_stage()
        fit_loop.reset_restart_stage()
        fit_loop._restarting = epoch_loop.restarting = False
