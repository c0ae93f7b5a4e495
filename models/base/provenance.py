"""Where weights come from: what a fit adds to the record of a module."""

from __future__ import annotations

from typing import Any

import lightning

from musiczoo.hub.format import upgraded
from musiczoo.models.base.lightning_internals import trainer_of


def data_record(trainer: lightning.Trainer) -> dict[str, Any]:
    """What the data module of a fit states about its data, with the entry ``conditioning``."""
    give = getattr(getattr(trainer, "datamodule", None), "provenance", None)
    return upgraded({} if give is None else give())


def fit_entries(module: Any) -> list[dict[str, Any]]:
    """The entry of a fit under way, as plain JSON values; no entry without one.

    Args:
        module: A :class:`musiczoo.models.base.ZooModule`.
    """
    trainer = trainer_of(module)
    if not module.fitting or trainer is None:
        return []
    rates = [
        f"{type(optimizer).__name__}, rate {optimizer.param_groups[0]['lr']:g}"
        for optimizer in trainer.optimizers
    ]
    fit = {
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        "optimizer": "; ".join(rates),
    }
    data = {n: value for n, value in data_record(trainer).items() if n != "conditioning"}
    return [{**fit, **data}]
