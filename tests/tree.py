"""The tree of musiczoo as the tests of the house see it: its modules, who imports whom, and how long things are."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_SHIPPED = {"tests", "benchmarks", "experiments", "examples", "docs", "build"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def rooms(root: Path = ROOT) -> list[str]:
    """The folders that are packages of musiczoo."""
    return sorted(
        path.parent.name
        for path in root.glob("*/__init__.py")
        if path.parent.name not in NOT_SHIPPED
    )


def modules(root: Path = ROOT) -> dict[str, Path]:
    """The files of the rooms by their dotted names."""
    found = {}
    for room in rooms(root):
        for path in sorted((root / room).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            parts = ("musiczoo", *(parts[1:] if room == "zoo" else parts))
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(path: Path, known: Mapping[str, Path]) -> dict[str, int]:
    """The modules of ours that a file imports anywhere in it, each with its first line.

    Importing a package counts as importing its ``__init__``; a name of ``from package import name`` is the module of
    this name where there is one, and the package otherwise. Packages around a module do not count.
    """
    found: dict[str, int] = {}
    for node in ast.walk(parsed(path)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute."
            names = [
                inner if (inner := f"{node.module}.{alias.name}") in known else str(node.module)
                for alias in node.names
            ]
        for name in names:
            if name.partition(".")[0] == "musiczoo":
                found.setdefault(name, node.lineno)
    return found


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The strongly connected parts of a graph that have more than one node (Tarjan 1972)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in number:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], number[other])
        if low[node] == number[node]:
            part = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(part) > 1 or node in graph.get(node, ()):
                found.append(sorted(part))

    for node in graph:
        if node not in number:
            visit(node)
    return found


@dataclass(frozen=True)
class Measured:
    """A function and its size.

    Attributes:
        place: ``file:line name``.
        lines: From its ``def`` to its end, decorators excluded.
        statements: In it, those of nested functions included.
    """

    place: str
    lines: int
    statements: int


def functions(path: Path, root: Path = ROOT) -> Iterator[Measured]:
    """Every function of a file, nested ones and methods included."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, Function):
            place = f"{path.relative_to(root)}:{node.lineno} {node.name}"
            assert node.end_lineno is not None
            statements = sum(isinstance(inner, ast.stmt) for inner in ast.walk(node)) - 1
            yield Measured(place, node.end_lineno - node.lineno + 1, statements)


def constructors(path: Path, root: Path = ROOT) -> Iterator[tuple[str, int]]:
    """``file:line class`` and the arguments of each constructor: an ``__init__``, or a dataclass's fields."""
    for node in ast.walk(parsed(path)):
        if not isinstance(node, ast.ClassDef):
            continue
        place = f"{path.relative_to(root)}:{node.lineno} {node.name}"
        for inner in node.body:
            if isinstance(inner, Function) and inner.name == "__init__":
                yield place, _arguments(inner)
        if any("dataclass" in ast.unparse(mark) for mark in node.decorator_list):
            fields = [
                inner
                for inner in node.body
                if isinstance(inner, ast.AnnAssign)
                and "ClassVar" not in ast.unparse(inner.annotation)
                and "init=False" not in ast.unparse(inner.value or inner.target)
            ]
            yield place, len(fields)


def private_names(path: Path) -> Iterator[tuple[str, int, str]]:
    """The private attributes of other objects that a file touches: name, line, and where it stands."""
    for node in ast.walk(parsed(path)):
        if (
            isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
            and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
        ):
            yield node.attr, node.lineno, ast.unparse(node)


def defined_names(path: Path) -> set[str]:
    """The names that a file gives to functions, classes, variables and attributes."""
    names = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, Function | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def used_names(path: Path) -> dict[str, int]:
    """The names that a file uses in code (not in texts), each with its first line."""
    names: dict[str, int] = {}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Name | ast.Attribute):
            names.setdefault(node.id if isinstance(node, ast.Name) else node.attr, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.name: node.lineno for alias in node.names}
    return names


def _arguments(node: Function) -> int:
    names = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return len([name for name in names if name.arg not in ("self", "cls")])
