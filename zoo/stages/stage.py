"""A stage of training as data: what is trained on what, how, for how long, and what it starts from."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import lightning
from lightning.pytorch.callbacks import Callback

from musiczoo.models.adapters import LoRA
from musiczoo.models.base.training import Objective, OptimizerFactory, TrainedModule
from musiczoo.music.errors import MusicZooError

PREVIOUS = "previous"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
# What run_stages gives to the Trainer itself, and where the user says it instead.
TAKEN = {
    "max_steps": "max_steps of the stage",
    "max_epochs": "max_epochs of the stage",
    "callbacks": "callbacks of the stage",
    "default_root_dir": "the folder of run_stages",
    "enable_checkpointing": "nothing: a stage always writes what it needs to go on",
}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a plan (:func:`musiczoo.run_stages`).

    Attributes:
        name: Letters, digits, ``_`` and ``-``; the stage's folder has it.
        data: The data module, or a function that makes it.
        start: What it starts from: ``"previous"``, the name of an earlier stage, a name for
            :func:`musiczoo.load`, a module (which is copied), or a function that makes one.
        objective: The loss; None keeps the module's own, which is likelihood where it comes from a
            checkpoint.
        optimizer: Makes the optimiser from the trainable parameters; None keeps the module's own.
        warmup_steps: Steps of linear warm-up; None keeps the module's own.
        cooldown_steps: Last steps in which the rate falls to zero; needs ``max_steps``. None keeps
            the module's own.
        trainable: Patterns of the parameters to train, see
            :func:`musiczoo.models.base.freezing.choose_trainable`; None trains all.
        lora: Train an adapter with these settings.
        merge: Add the adapter to the weights before they are handed over; otherwise the next stage
            goes on with the adapter.
        settings: Of the module's constructor, such as ``{"dropout": 0.0}``, where ``start`` is a
            name.
        max_steps: Optimiser steps; with ``max_epochs`` whichever ends first.
        max_epochs: Epochs.
        callbacks: Lightning's callbacks, or a function that makes them.
        trainer: Other settings of the ``Trainer``.
        keep: Hand over the ``"last"`` weights, or the ``"best"`` ones of the stage's
            ``ModelCheckpoint(monitor=...)``.
        checkpoint_every: A killed run loses this many steps at most; an epoch's end is always kept.
            0 keeps only these.
        seed: Of untrained weights and of the adapter's random half. Order, keys and dropout have
            seeds of their own.
    """

    name: str
    data: lightning.LightningDataModule | Callable[[], lightning.LightningDataModule]
    start: str | TrainedModule | Callable[[], TrainedModule] = PREVIOUS
    objective: Objective | None = None
    optimizer: OptimizerFactory | None = None
    warmup_steps: int | None = None
    cooldown_steps: int | None = None
    trainable: Sequence[str] | None = None
    lora: LoRA | None = None
    merge: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    max_steps: int | None = None
    max_epochs: int | None = None
    callbacks: Sequence[Callback] | Callable[[], Sequence[Callback]] = ()
    trainer: Mapping[str, Any] = field(default_factory=dict)
    keep: Literal["last", "best"] = "last"
    checkpoint_every: int = 1000
    seed: int = 0


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
    """A stage of Python objects.

    They are described as far as that is possible (see :func:`described`).
    """
    config = {item.name: described(getattr(stage, item.name)) for item in fields(Stage)}
    return PlannedStage(
        stage.name, stage.start if isinstance(stage.start, str) else None, config, lambda: stage
    )


def check_plan(stages: Sequence[PlannedStage]) -> dict[str, str | None]:
    """Checks the names of a plan.

    Returns:
        For each stage the earlier stage that it starts from; None where it starts from something
        else.

    Raises:
        MusicZooError: No stages, a name that is none, taken or a model's, or a start that does not
            exist or comes later.
    """
    from musiczoo.hub.loading import HUB, LOCAL
    from musiczoo.hub.registry import list_models

    if not stages:
        raise MusicZooError("The plan has no stages.")
    models = {row.name for row in list_models()}
    parents: dict[str, str | None] = {}
    for stage in stages:
        name, start = stage.name, stage.start
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name == PREVIOUS:
            raise MusicZooError(
                f"A stage cannot be called {name!r}.",
                remedy="Take letters, digits, _ and -; its folder has this name.",
            )
        if name in parents or name in models:
            raise MusicZooError(
                (
                    f"There are two stages {name!r}."
                    if name in parents
                    else f"A model of the zoo is called {name!r}."
                ),
                remedy="Give the stage another name.",
            )
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
            raise MusicZooError(
                (
                    f"{start!r} comes later in the plan."
                    if later
                    else f"There is no stage or model {start!r}."
                ),
                where=f"stage {name}, start",
                remedy=(
                    "Start from an earlier"
                    f" stage{f' ({chr(44).join(parents)})' if parents else ''}, or from a name of"
                    " musiczoo list."
                ),
            )
    return parents


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


def described(value: Any) -> Any:
    """A value as plain JSON: numbers and texts as they are, functions by their names, objects by their class and what they were made with.

    The same in every process, whatever has been done with an object since it was made. A change
    inside a function, or of a setting that an object does not keep, goes unnoticed.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): described(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [
            described(item)
            for item in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)
        ]
        # Thousands of tunes are told by a digest.
        if len(items) > 64:
            return {
                "items": len(items),
                "sha256": hashlib.sha256(json.dumps(items, sort_keys=True).encode()).hexdigest(),
            }
        return items
    if isinstance(value, partial):
        return {
            "call": described(value.func),
            "args": described(value.args),
            "kwargs": described(value.keywords),
        }
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, TrainedModule):
        # Digesting the weights of a module that was made by hand tells whether it is the same one.
        from musiczoo.models.adapters import fingerprint

        return {
            "class": _class_of(value),
            "config": described(value.to_config()),
            "weights": fingerprint(value.net.state_dict()),
        }
    if is_dataclass(value):
        return {
            "class": _class_of(value),
            **{item.name: described(getattr(value, item.name)) for item in fields(value)},
        }
    # What an object was made with, where it keeps that under the same name; what it has become
    # since is no setting.
    kept = [
        name
        for name in inspect.signature(type(value)).parameters
        if name in getattr(value, "__dict__", {})
    ]
    return {"class": _class_of(value), **{name: described(getattr(value, name)) for name in kept}}


def _class_of(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
