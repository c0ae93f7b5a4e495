"""The examples in the docstrings."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import musiczoo.studies

MODULES = [module.name for module in pkgutil.iter_modules(musiczoo.studies.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(f"musiczoo.studies.{name}")).failed == 0
