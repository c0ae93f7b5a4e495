"""The command ``musiczoo``: ``fit`` and ``validate`` (Lightning's command line inside) and ``generate``.

No model and no datamodule is defined here: configurations name classes by their import path, which differs from what this module is
called when it runs as a program.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from lightning.pytorch.cli import LightningCLI

USAGE = """usage: musiczoo COMMAND [OPTIONS]

commands:
  fit        train or fine-tune a model:   musiczoo fit --config bar_stream/finetune --data.corpus my_scores
  validate   measure a model's loss:       musiczoo validate --config run/config.yaml --ckpt_path run/checkpoints/last.ckpt
  generate   write new pieces:             musiczoo generate run --align --count 4 --formats abc,musicxml,mid

musiczoo COMMAND --help lists the options. Recipes: {recipes}.
"""


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command line.

    Args:
        args: The words after ``musiczoo``; those of the process when None.

    Raises:
        SystemExit: With 1 for what is wrong with the user's files or settings (one line on standard error), with 2 for wrong usage.
    """
    words = list(sys.argv[1:] if args is None else args)
    command = words[0] if words else ""
    if command not in ("fit", "validate", "generate"):
        usage = USAGE.format(recipes=", ".join(recipes()))
        if command in ("-h", "--help"):
            sys.stdout.write(usage)
            return
        sys.stderr.write((f"musiczoo: there is no command {command!r}.\n" if command else "") + usage)
        raise SystemExit(2)
    try:
        if command == "generate":
            from musiczoo.generating import run

            run(words[1:])
        else:
            train(words)
    except MusicZooError as error:
        sys.stderr.write(f"musiczoo: {' '.join(str(error).split())}\n")
        raise SystemExit(1) from error


def recipes() -> list[str]:
    """The names of the configurations that come with musiczoo, as ``--config`` takes them."""
    folder = resources.files("musiczoo.configs")
    return sorted(
        f"{room.name}/{file.name.removesuffix('.yaml')}"
        for room in folder.iterdir()
        if room.is_dir()
        for file in room.iterdir()
        if file.name.endswith(".yaml")
    )


def train(words: Sequence[str]) -> LightningCLI:
    """Runs ``fit`` or ``validate`` and returns Lightning's command line with its model, data and trainer.

    Args:
        words: The command and its options. ``--config`` takes a file or one of :func:`recipes`.

    Raises:
        MusicZooError: The model, the data or the checkpoint cannot be used.
        SystemExit: An option that does not exist or has a wrong value.
    """
    from musiczoo.training import ZooCLI

    return ZooCLI(with_recipes(words))


def with_recipes(words: Sequence[str]) -> list[str]:
    """The words with the names of recipes replaced by their files.

    Raises:
        MusicZooError: A configuration that is neither a file nor a recipe.
    """
    found: list[str] = []
    for word in words:
        option, equals, value = word.partition("=")
        if found and found[-1] in ("--config", "-c"):
            found.append(_config_file(word))
        elif equals and option in ("--config", "-c"):
            found.append(f"{option}={_config_file(value)}")
        else:
            found.append(word)
    return found


def _config_file(name: str) -> str:
    if Path(name).is_file():
        return name
    recipe = name.removeprefix("configs/").removesuffix(".yaml")
    if recipe not in recipes():
        raise MusicZooError("There is no such configuration.", path=name, remedy=f"Give a file or a recipe: {', '.join(recipes())}.")
    return str(resources.files("musiczoo.configs").joinpath(f"{recipe}.yaml"))
