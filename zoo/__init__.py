"""musiczoo: a zoo of symbolic-music models on Lightning.

The names below are loaded on first use, so that ``import musiczoo`` costs nothing and reading a
score never waits for torch. The folders of the library are attributes: ``musiczoo.music``,
``musiczoo.models``, ``musiczoo.rewards`` ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from musiczoo import moved as _moved  # noqa: F401  (its finder)
from musiczoo.music.lazy import lazy_names

if TYPE_CHECKING:
    from musiczoo import (
        callbacks,
        comparison,
        compose,
        configs,
        datamodules,
        hub,
        llm,
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
    from musiczoo.version import __version__

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
    "llm",
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
    # A name that no module below has is a room.
    **dict.fromkeys(__all__, ()),
    "hub.loading": ("load",),
    "hub.publishing": ("publish",),
    "hub.registry": ("list_models",),
    "music.errors": ("MusicZooError",),
    "stages.run": ("run_stages",),
    "stages.stage": ("Stage",),
    "version": ("__version__",),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)

__path__.append("musiczoo.moved")  # finds modules by the paths that they had
