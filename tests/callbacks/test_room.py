"""The examples in the docstrings of the room, and that each of its modules can be imported first."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import musiczoo.callbacks

MODULES = [
    module.name
    for module in pkgutil.walk_packages(musiczoo.callbacks.__path__, "musiczoo.callbacks.")
]
WITH_EXAMPLES = {
    "musiczoo.callbacks.preference.callback",
    "musiczoo.callbacks.preview",
    "musiczoo.callbacks.prompts.remi",
    "musiczoo.callbacks.prompts.sources",
    "musiczoo.callbacks.publishing",
    "musiczoo.callbacks.rollouts.callback",
    "musiczoo.callbacks.stage_transition",
}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    failed, tried = doctest.testmod(module)
    assert failed == 0
    assert tried > 0 or name not in WITH_EXAMPLES


def test_the_main_classes_have_examples():
    assert set(MODULES) >= WITH_EXAMPLES
