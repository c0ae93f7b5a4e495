"""What is shipped: the wheel holds every module of the rooms and every recipe, and importing it stays cheap."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOT_SHIPPED = {"tests", "benchmarks", "experiments", "docs", "build"}
BARE_ROOMS = {
    "callbacks",
    "configs",
    "datamodules",
    "hub",
    "llm",
    "metrics",
    "models",
    "music",
    "representations",
    "rewards",
    "studies",
    "zoo",
}


def rooms() -> list[str]:
    return sorted(
        path.parent.name
        for path in ROOT.glob("*/__init__.py")
        if path.parent.name not in NOT_SHIPPED
    )


def expected_files() -> set[str]:
    """The tree's modules, recipes and data under the names that they have in the wheel."""
    names = set()
    for room in rooms():
        for path in (ROOT / room).rglob("*"):
            inside = path.relative_to(ROOT / room)
            shipped = (
                path.suffix == ".py"
                or path.name == "py.typed"
                or (room == "configs" and path.suffix == ".yaml")
            )
            shipped = shipped or (room, inside.parts[0]) in {
                ("studies", "sheet"),
                ("hub", "shipped"),
            }
            if shipped and path.is_file() and "__pycache__" not in inside.parts:
                names.add(f"musiczoo/{inside}" if room == "zoo" else f"musiczoo/{room}/{inside}")
    return names


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as users get it: tree -> sdist -> wheel."""
    folder = tmp_path_factory.mktemp("dist")
    # An sdist is made from a copy: setuptools writes its egg-info beside what it packs, and other
    # tests run at the same time.
    copy = folder / "tree"
    tracked = [*ROOT.glob("*.*"), ROOT / "LICENSE"]
    for path in [
        *(path for path in tracked if path.is_file()),
        *(p for room in rooms() for p in (ROOT / room).rglob("*") if p.is_file()),
    ]:
        if "__pycache__" not in path.parts:
            target = copy / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_wheel_by_way_of_sdist_holds_the_whole_tree_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]
    assert names == expected_files()
    assert licences


@pytest.mark.slow
def test_wheel_works_outside_the_tree(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import musiczoo, musiczoo.music; from importlib.resources import files;"
        "assert musiczoo.__file__.startswith(sys.argv[1]), musiczoo.__file__;"
        "assert any(path.name.endswith('.yaml') for folder in files('musiczoo.configs').iterdir() if folder.is_dir() for path in folder.iterdir())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(site)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_import_is_lazy() -> None:
    program = (
        "import sys, musiczoo; heavy = {'torch', 'lightning', 'transformers', 'music21', 'numpy', 'symusic'} & set(sys.modules); assert not heavy, heavy;"
        "assert 'load' in dir(musiczoo); musiczoo.MusicZooError; musiczoo.music.read;"
        "heavy = {'torch', 'lightning', 'transformers'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_front_door_opens_every_name() -> None:
    import musiczoo

    for name in musiczoo.__all__:
        assert getattr(musiczoo, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = musiczoo.lode


def test_no_room_is_imported_by_its_bare_name() -> None:
    import musiczoo

    for name in musiczoo.__all__:
        getattr(musiczoo, name)
    assert not BARE_ROOMS & set(sys.modules)


def test_bare_names_are_banned_for_every_room() -> None:
    import tomllib

    banned = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"][
        "flake8-tidy-imports"
    ]["banned-api"]
    assert set(banned) == set(rooms()) == BARE_ROOMS
