"""Digests of the code that a result depends on: modules, and what they import of musiczoo.

A cache that has such a digest in its name becomes invalid when that code changes, without anyone
remembering to raise a version number. Imports are followed in the text of the modules, those inside
functions too; imports for types alone (under ``TYPE_CHECKING``) do not count. Of a package that
re-exports names only the modules are followed that define what is imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

_TYPES_ONLY = re.compile(r"^if TYPE_CHECKING:\n(?:[ \t]+\S.*\n|[ \t]*\n)+", re.MULTILINE)
_FROM = re.compile(r"^[ \t]*from (musiczoo[\w.]*) import (?:\(([^)]*)\)|([^(\n]*))$", re.MULTILINE)
_IMPORT = re.compile(r"^[ \t]*import (musiczoo[\w.]*)", re.MULTILINE)
_COMMENT = re.compile(r"#.*")


def digest_of_code(modules: Iterable[str], libraries: Iterable[str] = ()) -> str:
    """A digest of the source of modules and of the versions of libraries.

    Args:
        modules: Dotted names, such as those of :func:`modules_behind`.
        libraries: Names of installed distributions.
    """
    versions = [f"{name} {importlib.metadata.version(name)}" for name in libraries]
    digest = hashlib.sha256("\n".join(versions).encode())
    for name in sorted(set(modules)):
        file = _file_of(name)
        if file is not None:
            digest.update(name.encode() + b"\0" + _source(file))
    return digest.hexdigest()


def modules_behind(*names: str) -> dict[str, Path]:
    """Modules and what they import of musiczoo, directly or not: dotted name -> file.

    Args:
        names: Dotted names of modules. One that has no file (a class defined in a notebook or
            script) is left out.
    """
    found: dict[str, Path] = {}
    left = list(names)
    while left:
        name = left.pop()
        file = None if name in found else _file_of(name)
        if file is None:
            continue
        found[name] = file
        text = _TYPES_ONLY.sub("", _source(file).decode())
        left += _IMPORT.findall(text)
        for module, imported in _imports(text):
            left.append(_home(module, imported))
    return found


def _imports(text: str) -> Iterator[tuple[str, str]]:
    """(module, name) of each import of musiczoo in a source text."""
    for module, bracketed, plain in _FROM.findall(text):
        for item in _COMMENT.sub("", bracketed or plain).split(","):
            if words := item.split():
                yield module, words[0]


def _home(module: str, name: str) -> str:
    """The module in which an imported name is defined, as far as packages re-export it."""
    file = _file_of(module)
    if file is None or file.name != "__init__.py":
        return module
    if _file_of(f"{module}.{name}") is not None:
        return f"{module}.{name}"
    for other, exported in _imports(_source(file).decode()):
        if exported == name and other != module:
            return _home(other, name)
    return module


@cache
def _file_of(name: str) -> Path | None:
    """The source file of a module; None where there is none."""
    spec = None
    with contextlib.suppress(ValueError, ModuleNotFoundError):
        spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _source(file: Path) -> bytes:
    return file.read_bytes()
