"""The house's own rules: documented and typed public functions, declared dependencies, layers that know every room."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = sorted(
    path.parent.name
    for path in ROOT.glob("*/__init__.py")
    if path.parent.name not in {"tests", "benchmarks", "experiments", "build"}
)
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Import names that differ from the name of the distribution.
DISTRIBUTION = {
    "resvg_py": "resvg_py",
    "huggingface_hub": "huggingface-hub",
    "yaml": "jsonargparse",
    "PIL": "pillow",
}


def named(module: Path) -> str:
    return str(module.relative_to(ROOT))


def public_functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions and methods that a user may call: no underscore in their name or in their class's."""
    bodies: list[list[ast.stmt]] = [tree.body]
    while bodies:
        for node in bodies.pop():
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                bodies.append(node.body)
            elif isinstance(
                node, ast.FunctionDef | ast.AsyncFunctionDef
            ) and not node.name.startswith("_"):
                yield node


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_public_functions_are_documented_and_typed(module: Path) -> None:
    tree = ast.parse(module.read_text())
    assert ast.get_docstring(tree), f"{module} has no docstring."
    for function in public_functions(tree):
        place = f"{named(module)}:{function.lineno} {function.name}"
        overrides = any(
            isinstance(mark, ast.Name) and mark.id == "override" for mark in function.decorator_list
        )
        assert ast.get_docstring(function) or overrides, f"{place} has no docstring."
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        bare = [
            argument.arg
            for argument in arguments
            if argument.annotation is None and argument.arg not in {"self", "cls"}
        ]
        assert not bare, f"{place}: no type for {bare}."
        assert function.returns is not None, f"{place} has no return type."


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_library_does_not_print_or_swallow(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ExceptHandler):
            everything = node.type is None or (
                isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
            )
            told = any(
                isinstance(inner, ast.Raise)
                or (isinstance(inner, ast.Name) and inner.id == node.name)
                for inner in ast.walk(node)
            )
            assert not everything or told, (
                f"{named(module)}:{node.lineno} catches everything and hides it."
            )
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"{named(module)}:{node.lineno} prints."


def test_every_third_party_import_is_declared() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    lines = [
        *PROJECT["project"]["dependencies"],
        *(line for name in extras if name != "dev" for line in extras[name]),
    ]
    declared = {re.split(r"[<>=\[; ]", line)[0].lower().replace("_", "-") for line in lines}
    used: dict[str, str] = {}
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            used.update({name.split(".")[0]: named(module) for name in names})
    foreign = {
        name: place
        for name, place in used.items()
        if name not in sys.stdlib_module_names and name != "musiczoo"
    }
    missing = {
        name: place
        for name, place in foreign.items()
        if DISTRIBUTION.get(name, name).lower().replace("_", "-") not in declared
    }
    assert not missing


def test_constraints_pin_what_is_declared() -> None:
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [
        *PROJECT["project"]["dependencies"],
        *(line for lines in extras.values() for line in lines),
    ]
    names = {re.split(r"[<>=\[; ]", line)[0].lower().replace("_", "-") for line in wanted} - {
        "musiczoo"
    }
    assert names <= pinned, names - pinned
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text()


def test_layers_know_every_room() -> None:
    layers = " ".join(PROJECT["tool"]["importlinter"]["contracts"][0]["layers"])
    assert {room for room in ROOMS if room not in {"zoo", "configs"}} <= set(
        re.findall(r"\w+", layers)
    )


def test_readme_names_every_command_that_make_has() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    readme = (ROOT / "README.md").read_text()
    for target in {"demo", "test", "test-slow", "lint", "bench"}:
        assert target in targets
        assert f"make {target}" in readme
