"""The examples in the docstrings, and that each data module has the settings that all share."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from dataclasses import fields

import pytest

import musiczoo.datamodules
from musiczoo.datamodules.base import DataSettings, SplitDataModule
from musiczoo.representations.bar_stream import BarStreamPatches

MODULES = [module.name for module in pkgutil.iter_modules(musiczoo.datamodules.__path__)]
WITH_EXAMPLES = {"degraded_passages", "midi", "preference", "scores", "works"}
DATA_MODULES = [
    kind
    for name in musiczoo.datamodules.__all__
    if isinstance(kind := getattr(musiczoo.datamodules, name), type)
    and issubclass(kind, SplitDataModule)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    failed, tried = doctest.testmod(importlib.import_module(f"musiczoo.datamodules.{name}"))
    assert failed == 0
    assert tried > 0 or name not in WITH_EXAMPLES


@pytest.mark.parametrize("kind", DATA_MODULES)
def test_shared_settings(kind):
    given = {"batch_size": 3, "val_fraction": 0.2, "split_seed": 4, "seed": 5, "num_workers": 6}
    given |= {"cache": "kept", "progress": False}
    assert given.keys() == {field.name for field in fields(DataSettings)}
    data = kind([], representation=BarStreamPatches(), **given)
    assert {name: getattr(data, name) for name in given} == given
    with pytest.raises(TypeError, match="batchsize"):
        kind([], batchsize=3)
