"""Names of a package that are loaded on first use, so that its import costs nothing.

A package that re-exports names does so for people; code that needs one part of it must not wait
for the others. Type checkers see the names by imports under ``TYPE_CHECKING``::

    from musiczoo.music.lazy import lazy_names

    if TYPE_CHECKING:
        from musiczoo.music.midi.from_tune import to_score

    __all__ = ["to_score"]
    __getattr__, __dir__ = lazy_names(__name__, {"from_tune": ["to_score"]}, __all__)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, Iterable[str]], more: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package whose names are loaded on first use.

    Args:
        package: Its ``__name__``.
        homes: Module below the package -> names that it defines. A module without names is itself
            a name of the package.
        more: Further names for ``__dir__``, such as ``__all__``.

    Returns:
        Two functions for the package to bind at its top level. A name keeps its value once it was
        loaded. A submodule must not have the name of a function that its package re-exports.
    """
    home_of = {name: home for home, names in homes.items() for name in names}
    modules = {home for home, names in homes.items() if not list(names)}

    def load(name: str) -> Any:
        if name in home_of:
            value = getattr(import_module(f"{package}.{home_of[name]}"), name)
        elif name in modules:
            value = import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of, *modules, *more})

    return load, names
