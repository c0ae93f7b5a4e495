"""The registry: architectures by the names in checkpoints, and models by their names for ``load``.

Rows of someone else's package come in by :func:`register`, or without any call by an entry point of
the group ``musiczoo.architectures`` that names a row or a list of rows::

    [project.entry-points."musiczoo.architectures"]
    toy = "toy_model.rows:ROWS"

The hub imports no model: rows name classes by their dotted path.
"""

from __future__ import annotations

import difflib
import importlib
import json
import logging
from collections.abc import Iterable, Mapping
from functools import reduce
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from musiczoo.hub.rows import ENTRIES, ROWS, SHIPPED_LINES, Architecture, Entry
from musiczoo.music.errors import MusicZooError

__all__ = [
    "ARCHITECTURES",
    "ENTRIES",
    "HUB",
    "LOCAL",
    "REPRESENTATIONS",
    "SHIPPED",
    "Architecture",
    "Entry",
    "architecture",
    "architectures",
    "class_of",
    "entry",
    "list_models",
    "name_of",
    "register",
    "representations_of",
    "resolve",
]

LOCAL = "local-dir:"  # what the name of a checkpoint folder on this machine begins with
HUB = "hf-hub:"  # and of one on the Hugging Face Hub
SHIPPED = Path(str(resources.files("musiczoo.hub"))) / "shipped"
Table = Mapping[str, Architecture] | Mapping[str, str]


def representations_of(row: Architecture) -> dict[str, str]:
    """Dotted paths of an architecture's representations, by the names that checkpoints hold."""
    if isinstance(row.representation, str):
        return {row.name: row.representation} if row.representation else {}
    return dict(row.representation)


#: The architectures by name; :func:`architectures` adds those of installed packages first.
ARCHITECTURES: dict[str, Architecture] = {row.name: row for row in ROWS}
#: Dotted paths of the representations by the names that checkpoints hold.
REPRESENTATIONS: dict[str, str] = {
    name: path for row in ROWS for name, path in representations_of(row).items()
}
_registered: dict[str, Entry] = {}
_unread_groups = ["musiczoo.architectures"]
_log = logging.getLogger(__name__)


def register(row: Architecture | Entry) -> None:
    """Adds an architecture or a named model, so that list, load, fit and generate know it.

    Args:
        row: The row. The same row may be registered again.

    Raises:
        MusicZooError: Another row has this name, or a representation of another class has a name
            that the row gives to its own.
    """
    table: dict[str, Any] = (
        ARCHITECTURES if isinstance(row, Architecture) else {e.name: e for e in list_models()}
    )
    if table.get(row.name, row) != row:
        raise MusicZooError(
            f"There is another {type(row).__name__.lower()} named {row.name!r}.",
            where="musiczoo.hub.register",
            remedy="Choose another name.",
        )
    if isinstance(row, Entry):
        _registered[row.name] = row
        return
    for name, path in representations_of(row).items():
        if REPRESENTATIONS.get(name, path) != path:
            raise MusicZooError(
                f"The representation {name!r} is {REPRESENTATIONS[name]} already.",
                where=f"musiczoo.hub.register, {row.name}",
                remedy=f'Give it another name: representation={{"my_{name}": "{path}"}}.',
            )
    ARCHITECTURES[row.name] = row
    REPRESENTATIONS.update(representations_of(row))


def architectures() -> dict[str, Architecture]:
    """All architectures by name, those of installed packages included."""
    _read_entry_points()
    return ARCHITECTURES


def architecture(name: object) -> Architecture:
    """The row of an architecture.

    Raises:
        MusicZooError: There is none of this name; the nearest names are given.
    """
    _check_known(architectures(), name)
    return ARCHITECTURES[str(name)]


def class_of(table: Table, name: object) -> Any:
    """The class of a name in :data:`ARCHITECTURES` or :data:`REPRESENTATIONS`.

    Raises:
        MusicZooError: The table has no such name; the nearest names are given.
    """
    _check_known(table, name)
    return resolve(_path(table[str(name)]))


def name_of(table: Table, thing: object) -> str:
    """The name under which the class of an object, or a base of it, stands in a table.

    Raises:
        MusicZooError: The table does not have its class.
    """
    _read_entry_points()
    for kind in type(thing).__mro__:
        for name, row in table.items():
            path = _path(row)
            # By its name first, so that no other model is imported.
            if path.endswith(f":{kind.__name__}") and resolve(path) is kind:
                return name
    raise MusicZooError(
        f"{type(thing).__module__}.{type(thing).__qualname__} cannot be saved as a checkpoint"
        " folder: no row of the registry names this class.",
        remedy="Add a row: musiczoo.hub.register(musiczoo.hub.Architecture(...)).",
    )


def resolve(path: str) -> Any:
    """The object of a dotted path: ``"module:attribute"`` or ``"module:class.method"``."""
    module, _, attribute = path.partition(":")
    return reduce(getattr, attribute.split("."), importlib.import_module(module))


def list_models() -> list[Entry]:
    """The models that ``musiczoo.load`` knows, as rows with ``.name``.

    Those that come with musiczoo first, those of other packages last.
    """
    _read_entry_points()
    return [*_shipped(), *ENTRIES, *_registered.values()]


def entry(name: str) -> Entry:
    """The row of a name.

    Raises:
        MusicZooError: There is no such model; the nearest names are given, or what to write where a
            path or a repository was meant.
    """
    table = {row.name: row for row in list_models()}
    if name in table:
        return table[name]
    wrong = f"There is no model named {name!r}."
    if Path(name).is_dir():
        raise MusicZooError(wrong, remedy=f"For a checkpoint folder write local-dir:{name}.")
    if Path(name).is_file():
        raise MusicZooError(
            wrong,
            remedy=f'For a file in NotaGen\'s layout write load("notagen", weights="{name}").',
        )
    if name.count("/") == 1:
        raise MusicZooError(
            wrong, remedy=f"For a repository on the Hugging Face Hub write hf-hub:{name}."
        )
    near = difflib.get_close_matches(name, table, n=3, cutoff=0.4) or list(table)
    raise MusicZooError(wrong, remedy=f"Did you mean {' or '.join(near)}? musiczoo list shows all.")


def _shipped() -> list[Entry]:
    """The rows of the checkpoint folders that come with musiczoo."""
    rows = []
    for path in sorted(SHIPPED.glob("*/config.json")):
        content = json.loads(path.read_text("utf-8"))
        card = content["card"]
        rows.append(
            Entry(
                name=path.parent.name,
                summary=card["summary"],
                parameters=content["parameters"],
                licence=card["licence"],
                origin=card["origin"],
                architecture=content["architecture"],
                folder=path.parent,
                line=SHIPPED_LINES.get(path.parent.name, ""),
            )
        )
    return rows


def _read_entry_points() -> None:
    """Registers the rows of installed packages, once; one that fails is reported and left out."""
    while _unread_groups:
        for point in metadata.entry_points(group=_unread_groups.pop()):
            try:
                found = point.load()
                for row in found if isinstance(found, Iterable) else (found,):
                    register(row)
            except Exception as error:
                # What a foreign package raises when it is imported is of no fixed kind.
                _log.warning(
                    "The entry point %s = %s is left out: %s", point.name, point.value, error
                )


def _path(row: Architecture | str) -> str:
    return row.module if isinstance(row, Architecture) else row


def _check_known(table: Table, name: object) -> None:
    _read_entry_points()
    if isinstance(name, str) and name in table:
        return
    near = difflib.get_close_matches(str(name), table, n=1) or sorted(table)
    raise MusicZooError(
        f"musiczoo {metadata.version('musiczoo')} does not know {name!r}.",
        remedy=(
            f"It knows {', '.join(near)}. A newer version may know more: pip install --upgrade"
            " musiczoo."
        ),
    )
