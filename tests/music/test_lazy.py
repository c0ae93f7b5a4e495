"""Names that packages load on first use."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = [
    "musiczoo",
    "musiczoo.music",
    "musiczoo.music.corpora",
    "musiczoo.music.degradation",
    "musiczoo.music.files",
    "musiczoo.music.midi",
    "musiczoo.music.pictures",
]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_name_is_there_and_known_to_type_checkers(name: str) -> None:
    package = importlib.import_module(name)
    tree = ast.parse(Path(package.__file__).read_text())
    checked = next(
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    declared = {
        alias.name
        for node in ast.walk(checked)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for public in package.__all__:
        assert hasattr(package, public)
        assert public in dir(package)
    # Packages of music have MusicZooError without laziness.
    assert set(package.__all__) - {"MusicZooError"} == declared - {"MusicZooError"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    package = importlib.import_module("musiczoo.music")
    with pytest.raises(AttributeError, match=r"musiczoo\.music.*no attribute 'nothing'"):
        _ = package.nothing


def test_importing_a_package_loads_nothing_else() -> None:
    program = (
        "import sys, musiczoo.music.corpora, musiczoo.music.midi, musiczoo.music.files;"
        "print(*[name for name in sys.modules if name.startswith('musiczoo.music.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == {
        f"musiczoo.music.{name}" for name in ("corpora", "errors", "files", "lazy", "midi")
    }
