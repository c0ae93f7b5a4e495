"""Sizes beside the other settings of a model, as configurations could write them until 0.1.

The sizes of a model are the fields of its ``config``::

    model:
      class_path: musiczoo.models.bar_stream.BarStreamModule
      init_args:
        config: {hidden: 512, patch_layers: 6}
        gradient_checkpointing: true

They may also stand among the ``init_args`` themselves, or be given as ``--model.hidden 512``: they
are moved into ``config`` before anything is parsed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from musiczoo.hub.registry import architectures, resolve

_CONFIG = ("--config", "-c")
_CLASS = ("--model", "--model.class_path")


def sizes_of(class_path: object) -> frozenset[str]:
    """The names of the sizes of a model.

    Args:
        class_path: Its class as configurations name it: by the import path, or by the class's own
            name if a row of the registry has it. Of other classes nothing is known.
    """
    rows = {row.module.rpartition(":")[2]: row.module for row in architectures().values()}
    path = rows.get(str(class_path)) or ":".join(str(class_path).rpartition(".")[::2])
    try:
        kind = getattr(resolve(path), "config_type", None)
    except (ImportError, AttributeError, ValueError):
        return frozenset()
    return frozenset() if kind is None else frozenset(item.name for item in fields(kind))


def with_config(model: Any, sizes: frozenset[str] | None = None) -> Any:
    """The settings of a model with its sizes moved into ``config``.

    Args:
        model: ``class_path`` and ``init_args``, as YAML has them; anything else is left as it is.
        sizes: Names of sizes; those of the ``class_path`` when None.
    """
    if not isinstance(model, Mapping) or not isinstance(model.get("init_args"), Mapping):
        return model
    sizes = sizes_of(model.get("class_path")) if sizes is None else sizes
    settings = dict(model["init_args"])
    flat = {name: settings.pop(name) for name in list(settings) if name in sizes}
    if not flat:
        return model
    settings["config"] = {**(settings.get("config") or {}), **flat}
    return {**model, "init_args": settings}


def with_nested_sizes(words: Sequence[str]) -> list[str]:
    """Words of the command line with all sizes of the model in its ``config``.

    Configuration files that have to be changed are replaced by their content.
    """
    split = [part for word in words for part in _option_and_value(word)]
    contents = {
        place: _content(word)
        for place, word in enumerate(split)
        if place and split[place - 1] in _CONFIG
    }
    models = [content.get("model") for content in contents.values()]
    classes = [model.get("class_path") for model in models if isinstance(model, Mapping)]
    classes += [word for place, word in enumerate(split) if place and split[place - 1] in _CLASS]
    sizes = frozenset().union(*(sizes_of(name) for name in classes if name))
    if not sizes:
        return list(words)
    for place, content in contents.items():
        if (model := with_config(content.get("model"), sizes)) is not content.get("model"):
            split[place] = yaml.safe_dump({**content, "model": model}, sort_keys=False)
    return [_nested(word, sizes) for word in split]


def _option_and_value(word: str) -> tuple[str, ...]:
    option, equals, value = word.partition("=")
    return (option, value) if equals and option in (*_CONFIG, *_CLASS) else (word,)


def _content(name: str) -> Mapping[str, Any]:
    """The content of a configuration file; empty where the parser will report that it is wrong."""
    try:
        content = yaml.safe_load(Path(name).read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, Mapping) else {}


def _nested(word: str, sizes: frozenset[str]) -> str:
    """``--model.hidden=512`` as ``--model.config.hidden=512``."""
    option, equals, value = word.partition("=")
    room, _, name = option.rpartition(".")
    is_size = room in ("--model", "--model.init_args") and name in sizes
    return f"--model.config.{name}{equals}{value}" if is_size else word
