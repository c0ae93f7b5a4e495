"""musiczoo: a zoo of symbolic-music models on Lightning.

The names below are loaded on first use, so that ``import musiczoo`` costs nothing and reading a
score never waits for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from musiczoo.moved import install

if TYPE_CHECKING:
    from musiczoo import (
        callbacks,
        datamodules,
        hub,
        metrics,
        models,
        music,
        representations,
        rewards,
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
    "studies",
]

install()

_HOME = {
    "MusicZooError": "musiczoo.music.errors",
    "Stage": "musiczoo.stages.stage",
    "list_models": "musiczoo.hub.registry",
    "load": "musiczoo.hub.loading",
    "publish": "musiczoo.hub.publishing",
    "run_stages": "musiczoo.stages.run",
}
_ROOMS = {
    "callbacks",
    "datamodules",
    "hub",
    "metrics",
    "models",
    "music",
    "representations",
    "rewards",
    "studies",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value: Any = getattr(import_module(_HOME[name]), name)
    elif name in _ROOMS:
        value = import_module(f"musiczoo.{name}")
    elif name == "__version__":
        value = import_module("importlib.metadata").version("musiczoo")
    else:
        raise AttributeError(f"module 'musiczoo' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
