"""Every old path of a module gives the very module at its new place."""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec

import pytest

import musiczoo
from musiczoo.moved import MOVED


@pytest.mark.parametrize("old", sorted(MOVED))
def test_an_old_path_gives_the_same_module_object(old: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = import_module(f"musiczoo.{old}")
    assert module is import_module(f"musiczoo.{MOVED[old]}")
    assert module.__name__ == f"musiczoo.{MOVED[old]}"
    spec = find_spec(f"musiczoo.{MOVED[old]}")
    assert spec is not None
    assert module.__spec__ is not None
    assert module.__spec__.name == spec.name


def test_no_row_leads_to_a_path_that_has_moved() -> None:
    assert not set(MOVED) & set(MOVED.values())


def test_an_old_path_warns_and_names_the_new_one() -> None:
    program = "import musiczoo.models.gpt2 as module; print(module.__name__)"
    command = [sys.executable, "-W", "always::DeprecationWarning", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "musiczoo.models.layers.gpt2"
    assert "musiczoo.models.gpt2 is musiczoo.models.layers.gpt2 now." in done.stderr


def test_old_paths_are_found_after_caches_were_dropped() -> None:
    program = (
        "import importlib, musiczoo; importlib.invalidate_caches();"
        "import musiczoo.music.corpus as module; print(module.__name__);"
        "import musiczoo.nothing"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "musiczoo.music.corpora.corpus"
    assert "No module named 'musiczoo.nothing'" in done.stderr


def test_old_names_can_be_imported_from_the_package() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from musiczoo import generating

    assert generating is musiczoo.commands.generate
