"""Every room is an attribute of musiczoo, and has every name that it lists."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import musiczoo

ROOT = Path(__file__).parents[2]
NOT_ROOMS = {"tests", "benchmarks", "experiments", "examples", "build", "zoo"}
ROOMS = sorted(
    path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name not in NOT_ROOMS
)
PACKAGES = sorted(
    "musiczoo." + ".".join(path.parent.relative_to(ROOT).parts).removeprefix("zoo.")
    for room in (*ROOMS, "zoo")
    for path in (ROOT / room).rglob("__init__.py")
    if path.parent != ROOT / "zoo"
)


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_an_attribute(room: str) -> None:
    assert room in musiczoo.__all__
    assert room in dir(musiczoo)
    assert isinstance(getattr(musiczoo, room), ModuleType)


def test_every_room_is_there_before_it_was_imported() -> None:
    program = f"import musiczoo; print(*(getattr(musiczoo, room).__name__ for room in {ROOMS}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == [f"musiczoo.{room}" for room in ROOMS], done.stderr


@pytest.mark.parametrize("package", ["musiczoo", *PACKAGES])
def test_every_name_in_all_is_there(package: str) -> None:
    module = import_module(package)
    names = getattr(module, "__all__", [])
    assert len(names) == len(set(names))
    for name in names:
        assert getattr(module, name) is not None, f"{package}.{name}"
    assert set(names) <= set(dir(module))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'beauty'"):
        musiczoo.beauty  # noqa: B018


def test_import_needs_no_torch() -> None:
    program = "import sys, musiczoo, musiczoo.music; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
