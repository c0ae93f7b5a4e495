"""musiczoo: a zoo of symbolic-music models on Lightning.

The names below are loaded on first use, so that ``import musiczoo`` costs nothing and reading a
score never waits for torch. The folders of the library are attributes: ``musiczoo.music``,
``musiczoo.models``, ``musiczoo.rewards`` ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from musiczoo.moved import install
from musiczoo.music.lazy import lazy_names

if TYPE_CHECKING:
    from musiczoo import (
        callbacks,
        comparison,
        compose,
        configs,
        datamodules,
        hub,
        metrics,
        models,
        music,
        representations,
        rewards,
        stages,
        studies,
    )
    from musiczoo.hub.loading import load
    from musiczoo.hub.publishing import publish
    from musiczoo.hub.registry import list_models
    from musiczoo.music.errors import MusicZooError
    from musiczoo.stages.run import run_stages
    from musiczoo.stages.stage import Stage

    __version__: str

__all__ = [
    "MusicZooError",
    "Stage",
    "__version__",
    "callbacks",
    "comparison",
    "compose",
    "configs",
    "datamodules",
    "hub",
    "list_models",
    "load",
    "metrics",
    "models",
    "music",
    "publish",
    "representations",
    "rewards",
    "run_stages",
    "stages",
    "studies",
]

_HOMES: dict[str, tuple[str, ...]] = {
    "hub.loading": ("load",),
    "hub.publishing": ("publish",),
    "hub.registry": ("list_models",),
    "music.errors": ("MusicZooError",),
    "stages.run": ("run_stages",),
    "stages.stage": ("Stage",),
}
_ROOMS = {
    name: ()
    for name in __all__
    if name != "__version__" and not any(name in names for names in _HOMES.values())
}

install()
_named, __dir__ = lazy_names(__name__, {**_HOMES, **_ROOMS}, __all__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("musiczoo")
    return _named(name)
