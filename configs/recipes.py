"""The training recipes of the architectures, by name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from musiczoo.hub.registry import architectures
from musiczoo.music.errors import MusicZooError

# Plans of several stages (`musiczoo stages`) have this in their names; the others are for `musiczoo
# fit --config`.
_PLAN = "_plan"


def recipes() -> list[str]:
    """The names of the configurations of all architectures, as ``--config`` takes them."""
    return [name for name in _names() if not name.endswith(_PLAN)]


def plans() -> list[str]:
    """The names of the plans of all architectures, as ``musiczoo stages`` takes them."""
    return [name for name in _names() if name.endswith(_PLAN)]


def plan_file(name: str) -> Path:
    """The file of a plan: a path, or one of :func:`plans`.

    Raises:
        MusicZooError: There is no such plan.
    """
    return Path(_file(name, plans(), "plan"))


def _names() -> list[str]:
    return sorted(_files())


def _files() -> dict[str, Path]:
    """Configurations by name: ours, and those of architectures of other packages."""
    folders = {room.name: room for room in resources.files("musiczoo.configs").iterdir()}
    for row in architectures().values():
        if row.recipes is not None and row.name not in folders:
            package, _, folder = row.recipes.partition(":")
            folders[row.name] = resources.files(package).joinpath(folder)
    return {
        f"{name}/{file.name.removesuffix('.yaml')}": Path(str(file))
        for name, folder in folders.items()
        if folder.is_dir()
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
    }


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
    return _file(name, recipes(), "recipe")


def _file(name: str, known: list[str], kind: str) -> str:
    if Path(name).is_file():
        return name
    found = name.removeprefix("configs/").removesuffix(".yaml")
    if found not in known:
        raise MusicZooError(
            f"There is no such {kind}.",
            path=name,
            remedy=f"Give a file or a {kind}: {', '.join(known)}.",
        )
    return str(_files()[found])
