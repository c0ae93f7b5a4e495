"""Python objects as plain JSON, to find out later whether the configuration of a stage changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from inspect import CO_VARARGS, CO_VARKEYWORDS
from pathlib import Path
from typing import Any

from musiczoo.models.adapters import fingerprint
from musiczoo.models.base.module import ZooModule

# A longer list, such as thousands of tunes, is described by a digest.
_LISTED = 64


def described(value: Any) -> Any:
    """A value as plain JSON: numbers and texts unchanged, functions by name, objects by class.

    An object is described by its class and the arguments of its constructor that it keeps under
    the same names. The result is the same in every process, and does not depend on what has been
    done with the object since it was made. A change inside a function, or of an argument that an
    object does not keep, is not noticed.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): described(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return _items([described(item) for item in sorted(value, key=str)])
    if isinstance(value, list | tuple):
        return _items([described(item) for item in value])
    if isinstance(value, partial):
        return {
            "call": described(value.func),
            "args": described(value.args),
            "kwargs": described(value.keywords),
        }
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return {"class": f"{type(value).__module__}.{type(value).__qualname__}", **_made_with(value)}


def _items(items: list[Any]) -> Any:
    if len(items) <= _LISTED:
        return items
    text = json.dumps(items, sort_keys=True)
    return {"items": len(items), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _made_with(value: Any) -> dict[str, Any]:
    """What an object was made with, by name."""
    if isinstance(value, ZooModule):
        # A module that was made by hand is recognised by its weights.
        return {
            "config": described(value.to_config()),
            "weights": fingerprint(value.net.state_dict()),
        }
    if is_dataclass(value):
        return {item.name: described(getattr(value, item.name)) for item in fields(value)}
    kept = {
        name: getattr(value, name)
        for name in _arguments(type(value))
        if name in getattr(value, "__dict__", {})
    }
    # Constructors with many arguments keep them in a dataclass; they are described one by one,
    # as a configuration writes them.
    if is_dataclass(group := kept.get("settings")):
        del kept["settings"]
        kept |= {item.name: getattr(group, item.name) for item in fields(group)}
    return {name: described(item) for name, item in kept.items()}


def _arguments(kind: type) -> tuple[str, ...]:
    """The names of a constructor's arguments; empty where it is not written in Python."""
    constructor: Any = kind.__init__  # type: ignore[misc]  # of exactly this class
    code = getattr(constructor, "__code__", None)
    if code is None:
        return ()
    stars = bool(code.co_flags & CO_VARARGS) + bool(code.co_flags & CO_VARKEYWORDS)
    names: tuple[str, ...] = code.co_varnames
    return names[1 : code.co_argcount + code.co_kwonlyargcount + stars]
