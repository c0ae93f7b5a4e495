"""The training recipes that come with musiczoo, by name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from musiczoo.music.errors import MusicZooError


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
