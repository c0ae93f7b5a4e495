"""Runs plans: stages of training one after the other, each with its own Trainer.

A stage hands over a checkpoint folder to the next one. The folder of a run holds ``stages.json``
and for each stage a folder of its name: ``checkpoint/`` is what it hands over, ``restart/`` the
point from which it continues when it was killed; loggers and callbacks write beside them. Run
again, a plan continues where it stopped, and the result is the same to the last bit.
"""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.utilities.rank_zero import rank_zero_only  # type: ignore[attr-defined]  # public, and not declared so
from lightning.pytorch.utilities.seed import isolate_rng

from musiczoo.callbacks import PreferenceRounds
from musiczoo.hub.loading import LOCAL, load
from musiczoo.models.base.freezing import choose_trainable
from musiczoo.models.base.module import ZooModule
from musiczoo.music.errors import MusicZooError
from musiczoo.stages.callbacks import RESTART, HandOver, RestartPoints, newest_restart_point
from musiczoo.stages.ledger import Ledger
from musiczoo.stages.plan import read_plan
from musiczoo.stages.stage import (
    SETTINGS,
    PlannedStage,
    Stage,
    check_plan,
    check_settings,
    planned,
)

_log = logging.getLogger(__name__)


def run_stages(
    plan: str | Path | Sequence[Stage], folder: str | Path, *, restart_from: str | None = None
) -> dict[str, Path]:
    """Runs the stages of a plan that are not done yet.

    Each stage has a fresh ``Trainer``. (A second fit on one Trainer continues to count epochs and
    steps, and DDP never reduces the gradients of what was frozen when it was wrapped.) With several
    machines, ``folder`` must be one that all of them see.

    Args:
        plan: A YAML file (:mod:`musiczoo.stages.plan`), or stages.
        folder: Of the run; a run that is there is continued.
        restart_from: Forget this stage and those that build on it, and delete their results, before
            anything runs.

    Returns:
        The checkpoint folder of each stage, for ``musiczoo.load("local-dir:...")``.

    Raises:
        MusicZooError: The plan is wrong, a stage that has begun was changed since, or the weights
            of one that is done are not what they were.
    """
    stages, parents = open_plan(plan)
    ledger = Ledger(folder)
    forgotten = _descendants(restart_from, stages, parents)
    if forgotten & set(ledger.rows()) and _is_first_process():
        ledger.forget(forgotten)
    # Every rank decides alike, also while rank 0 is still deleting.
    rows = {name: row for name, row in ledger.rows().items() if name not in forgotten}
    check_rows(ledger, rows, stages, parents)
    for stage in stages:
        if stage.name not in forgotten and ledger.rows().get(stage.name, {}).get("state") == "done":
            _log.info("Stage %s is done.", stage.name)
            continue
        _log.info("Stage %s", stage.name)
        if _is_first_process():
            ledger.clear(stage.name)
            ledger.begin(stage, parents[stage.name])
        _run(stage, parents[stage.name], ledger, fresh=stage.name in forgotten)
        forgotten.discard(stage.name)
    return {stage.name: ledger.checkpoint(stage.name) for stage in stages}


def open_plan(
    plan: str | Path | Sequence[Stage],
) -> tuple[list[PlannedStage], dict[str, str | None]]:
    """The stages of a plan and the earlier stage that each of them starts from.

    Raises:
        MusicZooError: The plan is wrong.
    """
    if isinstance(plan, str | Path):
        stages = read_plan(plan)
        try:
            return stages, check_plan(stages)
        except MusicZooError as error:
            raise error.at(path=plan) from None
    for stage in plan:
        check_settings({name: getattr(stage, name) for name in SETTINGS})
    stages = [planned(stage) for stage in plan]
    return stages, check_plan(stages)


def check_rows(
    ledger: Ledger,
    rows: Mapping[str, Mapping[str, Any]],
    stages: Sequence[PlannedStage],
    parents: Mapping[str, str | None],
) -> None:
    """Checks every stage that has begun, before the first one runs.

    Raises:
        MusicZooError: See :meth:`Ledger.check`.
    """
    for stage in stages:
        if stage.name in rows:
            parent = parents[stage.name]
            ledger.check(
                stage,
                rows[stage.name],
                None if parent is None else rows.get(parent, {"name": parent}),
            )


def _descendants(
    name: str | None, stages: Sequence[PlannedStage], parents: Mapping[str, str | None]
) -> set[str]:
    if name is None:
        return set()
    if name not in parents:
        raise MusicZooError(
            f"There is no stage {name!r}.",
            where="restart_from",
            remedy=f"The plan has {', '.join(parents)}.",
        )
    found = {name}
    for stage in stages:
        if parents[stage.name] in found:
            found.add(stage.name)
    return found


def _run(planned_stage: PlannedStage, parent: str | None, ledger: Ledger, *, fresh: bool) -> None:
    folder = ledger.folder / planned_stage.name
    with isolate_rng():
        _seed(int(planned_stage.config.get("seed", 0)))
        stage = planned_stage.build()
        module = _module(stage, None if parent is None else ledger.checkpoint(parent))
        data = stage.data if isinstance(stage.data, lightning.LightningDataModule) else stage.data()
        callbacks = list(stage.callbacks() if callable(stage.callbacks) else stage.callbacks)
        _settle(callbacks, folder)
        schedule = stage.schedule
        points = RestartPoints(folder / RESTART, schedule.checkpoint_every)
        trainer = lightning.Trainer(
            **stage.trainer,
            max_steps=-1 if schedule.max_steps is None else schedule.max_steps,
            max_epochs=-1 if schedule.max_epochs is None else schedule.max_epochs,
            callbacks=[*callbacks, HandOver(stage, ledger), points],
            default_root_dir=folder,
        )
        trainer.fit(module, data, ckpt_path=None if fresh else newest_restart_point(points.folder))
    if ledger.rows()[stage.name]["state"] != "done":
        raise MusicZooError(
            f"Stage {stage.name} was stopped before its end.",
            remedy="Run the plan again: it continues from there.",
        )


def _is_first_process() -> bool:
    """Known from the environment, before there is a Trainer."""
    return bool(getattr(rank_zero_only, "rank", 0) == 0)


def _settle(callbacks: Sequence[Callback], folder: Path) -> None:
    """Gives callbacks that resume from files a place that stays.

    A logger's folder is another one each time a run continues.
    """
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
            callback.dirpath = str(folder / "checkpoints")
        elif isinstance(callback, PreferenceRounds) and callback.folder is None:
            callback.folder = folder / "preference"


def _seed(seed: int) -> None:
    # Lightning's seed_everything would leave the seed in the environment after the plan.
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _module(stage: Stage, parent: Path | None) -> ZooModule:
    """The module that a stage trains, as its fit begins."""
    module: Any
    if parent is not None:
        module = load(f"{LOCAL}{parent}", **stage.settings)
        # The base stays that of the first stage; the list of fits names the stages between.
        module.loaded_from = None
    elif isinstance(stage.start, str):
        module = load(stage.start, **stage.settings)
    elif isinstance(stage.start, lightning.LightningModule):
        # A stage that fails must not leave its traces in the caller's module.
        module = copy.deepcopy(stage.start)
    else:
        module = stage.start()
    if not isinstance(module, ZooModule):
        raise MusicZooError(
            f"A {type(module).__name__} cannot be trained by an objective.",
            where=f"stage {stage.name}, start",
        )
    if stage.lora is not None:
        module.add_lora(stage.lora, stage.schedule.seed)
    if stage.objective is not None:
        module.objective = stage.objective
    if stage.schedule.optimizer is not None:
        module.optimizer_factory = stage.schedule.optimizer
    for name in ("warmup_steps", "cooldown_steps"):
        value = getattr(stage.schedule, name)
        if value is not None:
            setattr(module, name, value)
            module.hparams[name] = value
    if stage.trainable is not None:
        choose_trainable(module, stage.trainable)
    return module
