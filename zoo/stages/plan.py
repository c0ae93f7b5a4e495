"""Plans in YAML: each stage is checked against the classes it names before anything is built.

.. code-block:: yaml

    trainer: {accelerator: auto}              # of every stage, unless the stage sets another
    stages:
      - name: pretrain
        start: {class_path: musiczoo.models.bar_stream.BarStreamModule, init_args: {size: small}}
        data: {class_path: musiczoo.datamodules.ScoreDataModule, init_args: {corpus: my_scores}}
        max_steps: 100000
      - name: finetune
        start: previous
        ...
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import lightning
import yaml
from jsonargparse import ArgumentError, ArgumentParser
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import OptimizerCallable

from musiczoo.configs.flat_sizes import with_config
from musiczoo.models.adapters import LoRA
from musiczoo.models.base.module import ZooModule
from musiczoo.models.base.objective import Objective
from musiczoo.music.errors import MusicZooError
from musiczoo.stages.named_classes import import_classes
from musiczoo.stages.stage import (
    PREVIOUS,
    SETTINGS,
    TAKEN,
    PlannedStage,
    Stage,
    check_settings,
)


def read_plan(path: str | Path) -> list[PlannedStage]:
    """Reads a plan.

    Args:
        path: A YAML file.

    Returns:
        The stages. Their settings have been checked against the signatures of the classes; nothing
        is built yet.

    Raises:
        MusicZooError: The file cannot be read, or a setting is unknown, missing or of the wrong
            kind.
    """
    try:
        content = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise MusicZooError(f"The plan cannot be read: {error}", path=path) from error
    if not isinstance(content, dict) or not isinstance(content.get("stages"), list):
        raise MusicZooError(
            "The plan has no list of stages.",
            path=path,
            remedy="It begins with `stages:`; see docs/stages.md.",
        )
    _refuse_unknown(content, {"stages", "trainer"}, path, "")
    parser = _parser()
    common = content.get("trainer") or {}
    return [
        _planned(parser, number, raw, common, path)
        for number, raw in enumerate(content["stages"], 1)
    ]


def _planned(
    parser: ArgumentParser, number: int, raw: Any, common: Any, path: str | Path
) -> PlannedStage:
    if not isinstance(raw, dict):
        raise MusicZooError("A stage is a table of settings.", path=path, where=f"stage {number}")
    where = f"stage {raw.get('name', number)}"
    _refuse_unknown(raw, set(SETTINGS), path, where)
    own = raw.get("trainer") or {}
    if not isinstance(own, dict) or not isinstance(common, dict):
        raise MusicZooError("trainer is a table of settings.", path=path, where=where)
    config = {**raw, "trainer": {**common, **own}}
    if taken := [name for name in config["trainer"] if name in TAKEN]:
        raise MusicZooError(
            f"trainer.{taken[0]} is not set here.",
            path=path,
            where=where,
            remedy=f"It is {TAKEN[taken[0]]}.",
        )
    try:
        parsed = parser.parse_object(
            {**config, "start": with_config(config.get("start", PREVIOUS))}
        )
    except ArgumentError as error:
        raise MusicZooError(str(error), path=path, where=where) from error
    start = parsed.start if isinstance(parsed.start, str) else None

    def build() -> Stage:
        made: Any = (
            parser.instantiate(parsed)
            if hasattr(parser, "instantiate")
            else parser.instantiate_classes(parsed)
        )
        settings = {name: getattr(made, name) for name in SETTINGS}
        # What the plan does not set is left to the Trainer.
        settings["trainer"] = {
            name: value for name, value in vars(made.trainer).items() if name in config["trainer"]
        }
        return Stage(
            **{**settings, "callbacks": made.callbacks or (), "settings": made.settings or {}}
        )

    try:
        check_settings({**vars(parsed), "trainer": config["trainer"]})
    except MusicZooError as error:
        raise error.at(path=path) from None
    return PlannedStage(str(raw.get("name")), start, _plain(config), build)


def _parser() -> ArgumentParser:
    import_classes("musiczoo.callbacks", "musiczoo.datamodules", "musiczoo.models.objectives")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(_stage, as_group=False)
    parser.add_class_arguments(lightning.Trainer, "trainer", instantiate=False, skip=set(TAKEN))
    return parser


def _stage(
    name: str,
    data: lightning.LightningDataModule,
    start: str | ZooModule = PREVIOUS,
    objective: Objective | None = None,
    optimizer: OptimizerCallable | None = None,
    warmup_steps: float | None = None,
    cooldown_steps: float | None = None,
    trainable: list[str] | None = None,
    lora: LoRA | None = None,
    merge: bool = True,
    settings: dict[str, Any] | None = None,
    max_steps: int | None = None,
    max_epochs: int | None = None,
    callbacks: list[Callback] | None = None,
    keep: Literal["last", "best"] = "last",
    checkpoint_every: int = 1000,
    seed: int = 0,
) -> None:
    """The settings of a stage in YAML, with their types; none of them is a function."""


def _refuse_unknown(
    given: Mapping[str, Any], known: set[str], path: str | Path, where: str
) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), sorted(known), n=1) or sorted(known)
            raise MusicZooError(
                f"There is no setting {name!r}.",
                path=path,
                where=where or None,
                remedy=f"There is {', '.join(near)}.",
            )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
