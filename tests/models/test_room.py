"""The examples in the docstrings of the architectures, and that each module can be imported."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import musiczoo.models

MODULES = [
    module.name for module in pkgutil.walk_packages(musiczoo.models.__path__, "musiczoo.models.")
]
WITH_EXAMPLES = {
    "musiczoo.models.audiobox.module",
    "musiczoo.models.clamp2.module",
    "musiczoo.models.m3.module",
    "musiczoo.models.mel_aesthetics.module",
}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert failed == 0
    assert tried > 0 or name not in WITH_EXAMPLES


def test_the_modules_have_examples() -> None:
    assert set(MODULES) >= WITH_EXAMPLES
