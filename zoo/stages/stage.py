"""A stage of training as data: what is trained, on what, how, for how long, from which weights."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import lightning
from lightning.pytorch.callbacks import Callback

from musiczoo.hub.loading import HUB, LOCAL
from musiczoo.hub.registry import list_models
from musiczoo.models.adapters import LoRA
from musiczoo.models.base.module import ZooModule
from musiczoo.models.base.objective import Objective, OptimizerFactory
from musiczoo.music.errors import MusicZooError
from musiczoo.stages.description import described

PREVIOUS = "previous"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
# What run_stages gives to the Trainer itself, and where the user sets it instead.
TAKEN = {
    "max_steps": "max_steps of the stage",
    "max_epochs": "max_epochs of the stage",
    "callbacks": "callbacks of the stage",
    "default_root_dir": "the folder of run_stages",
    "enable_checkpointing": "nothing: a stage always writes what it needs to continue",
}

Data = lightning.LightningDataModule | Callable[[], lightning.LightningDataModule]
Start = str | ZooModule | Callable[[], ZooModule]
Callbacks = Sequence[Callback] | Callable[[], Sequence[Callback]]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a stage moves its weights, and for how long.

    Attributes:
        optimizer: Makes the optimiser from the trainable parameters; None keeps the module's own.
        warmup_steps: Steps of linear warm-up; None keeps the module's own.
        cooldown_steps: Last steps in which the rate falls to zero; needs ``max_steps``. None keeps
            the module's own.
        max_steps: Optimiser steps; with ``max_epochs`` whichever ends first.
        max_epochs: Epochs.
        checkpoint_every: A killed run loses at most this number of steps; the end of an epoch is
            always kept. 0 keeps only these.
        seed: Of untrained weights and of the adapter's random half. Order, keys and dropout have
            seeds of their own.
    """

    optimizer: OptimizerFactory | None = None
    warmup_steps: float | None = None
    cooldown_steps: float | None = None
    max_steps: int | None = None
    max_epochs: int | None = None
    checkpoint_every: int = 1000
    seed: int = 0


@dataclass(frozen=True, init=False)
class Stage:
    """One stage of a plan (:func:`musiczoo.run_stages`).

    The fields of :class:`Schedule` are arguments and attributes of a stage as well, such as
    ``max_epochs`` in ``Stage(name="pretrain", data=data, start=model, max_epochs=3)``.

    Attributes:
        name: Letters, digits, ``_`` and ``-``; the stage's folder has it.
        data: The data module, or a function that makes it.
        start: What it starts from: ``"previous"``, the name of an earlier stage, a name for
            :func:`musiczoo.load`, a module (which is copied), or a function that makes one.
        objective: The loss; None keeps the module's own, which is likelihood where it comes from a
            checkpoint.
        trainable: Patterns of the parameters to train, see
            :func:`musiczoo.models.base.freezing.choose_trainable`; None trains all.
        lora: Train an adapter with these settings.
        merge: Add the adapter to the weights before they are handed over; otherwise the next stage
            continues with the adapter.
        settings: Of the module's constructor, such as ``{"dropout": 0.0}``, where ``start`` is a
            name.
        callbacks: Lightning's callbacks, or a function that makes them.
        trainer: Other settings of the ``Trainer``.
        keep: Hand over the ``"last"`` weights, or the ``"best"`` ones of the stage's
            ``ModelCheckpoint(monitor=...)``.
        schedule: Optimiser, warm-up, length, seed.
    """

    name: str
    data: Data
    start: Start
    objective: Objective | None
    trainable: Sequence[str] | None
    lora: LoRA | None
    merge: bool
    settings: Mapping[str, Any]
    callbacks: Callbacks
    trainer: Mapping[str, Any]
    keep: Literal["last", "best"]
    schedule: Schedule

    def __init__(
        self,
        *,
        name: str,
        data: Data,
        start: Start = PREVIOUS,
        objective: Objective | None = None,
        trainable: Sequence[str] | None = None,
        lora: LoRA | None = None,
        merge: bool = True,
        settings: Mapping[str, Any] | None = None,
        callbacks: Callbacks = (),
        trainer: Mapping[str, Any] | None = None,
        keep: Literal["last", "best"] = "last",
        schedule: Schedule | None = None,
        **of_schedule: Any,
    ) -> None:
        given = {
            **locals(),
            "settings": settings or {},
            "trainer": trainer or {},
            "schedule": replace(schedule or Schedule(), **of_schedule),
        }
        for item in fields(self):
            object.__setattr__(self, item.name, given[item.name])

    def __getattr__(self, name: str) -> Any:
        if name in Schedule.__dataclass_fields__:
            return getattr(self.schedule, name)
        raise AttributeError(f"A stage has no attribute {name!r}.")


SETTINGS = (
    *(item.name for item in fields(Stage) if item.name != "schedule"),
    *(item.name for item in fields(Schedule)),
)
"""The settings of a stage as a plan in YAML writes them, one beside the other."""


@dataclass(frozen=True)
class PlannedStage:
    """A stage that is known to be well formed and not yet built.

    Attributes:
        name: Of the stage.
        start: The name of a stage or model it starts from; None where the plan makes the module
            itself.
        config: All that decides what it computes, as plain values; it is kept to find out what was
            changed later.
        build: Makes the stage with its data, callbacks and module.
    """

    name: str
    start: str | None
    config: Mapping[str, Any]
    build: Callable[[], Stage]

    @property
    def digest(self) -> str:
        """SHA-256 of :attr:`config`."""
        return hashlib.sha256(json.dumps(self.config, sort_keys=True).encode()).hexdigest()


def planned(stage: Stage) -> PlannedStage:
    """A stage of Python objects; see :func:`described` for what is known of them."""
    config = {name: described(getattr(stage, name)) for name in SETTINGS}
    return PlannedStage(
        stage.name, stage.start if isinstance(stage.start, str) else None, config, lambda: stage
    )


def check_plan(stages: Sequence[PlannedStage]) -> dict[str, str | None]:
    """Checks the names of a plan.

    Returns:
        For each stage the earlier stage that it starts from; None where it starts from something
        else.

    Raises:
        MusicZooError: No stages, a name that is not allowed, used twice or a model's, or a start
            that does not exist or comes later.
    """
    if not stages:
        raise MusicZooError("The plan has no stages.")
    models = {row.name for row in list_models()}
    parents: dict[str, str | None] = {}
    for stage in stages:
        name, start = stage.name, stage.start
        _check_name(name, parents, models)
        if start == PREVIOUS:
            if not parents:
                raise MusicZooError(
                    "The first stage has nothing before it.",
                    where=f"stage {name}, start",
                    remedy="Name a model, or describe one.",
                )
            parents[name] = next(reversed(parents))
        elif start is None or start in models or start.startswith((LOCAL, HUB)):
            parents[name] = None
        elif start in parents:
            parents[name] = start
        else:
            later = any(other.name == start for other in stages)
            earlier = f" ({','.join(parents)})" if parents else ""
            raise MusicZooError(
                f"{start!r} comes later in the plan."
                if later
                else f"There is no stage or model {start!r}.",
                where=f"stage {name}, start",
                remedy=f"Start from an earlier stage{earlier}, or from a name of musiczoo list.",
            )
    return parents


def _check_name(name: object, earlier: Mapping[str, Any], models: set[str]) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == PREVIOUS:
        raise MusicZooError(
            f"A stage cannot be called {name!r}.",
            remedy="Use letters, digits, _ and -; its folder has this name.",
        )
    if name in earlier or name in models:
        raise MusicZooError(
            f"There are two stages {name!r}."
            if name in earlier
            else f"A model of the zoo is called {name!r}.",
            remedy="Give the stage another name.",
        )


def check_settings(settings: Mapping[str, Any]) -> None:
    """Checks what can be known before anything is loaded.

    Args:
        settings: Of a stage, by the names of :class:`Stage`.

    Raises:
        MusicZooError: No length, or settings that contradict each other.
    """
    where = f"stage {settings['name']}"
    lengths = [settings["max_steps"], settings["max_epochs"]]
    if lengths == [None, None]:
        raise MusicZooError(
            "How long shall it train?", where=where, remedy="Give max_steps or max_epochs."
        )
    if any(length is not None and length < 1 for length in lengths):
        raise MusicZooError("A stage has at least one step and one epoch.", where=where)
    if taken := [name for name in settings["trainer"] if name in TAKEN]:
        raise MusicZooError(
            f"trainer.{taken[0]} is not set here.", where=where, remedy=f"It is {TAKEN[taken[0]]}."
        )
    if settings["settings"] and not isinstance(settings["start"], str):
        raise MusicZooError(
            "Settings belong to a start that is a name.",
            where=where,
            remedy="Give them where the module is made.",
        )
    if settings["keep"] not in ("last", "best"):
        raise MusicZooError(
            f"There is no keep={settings['keep']!r}.", where=where, remedy="last or best."
        )
