"""The examples in the docstrings, and the protocol that every representation follows."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
import torch

import musiczoo.representations
from musiczoo.music.abc import read_abc
from musiczoo.representations.bar_stream import BarStreamPatches
from musiczoo.representations.base import Representation
from musiczoo.representations.log_mel import LogMel
from musiczoo.representations.m3_patches import M3Patches
from musiczoo.representations.octuple import OctupleMidi
from musiczoo.representations.remi import Remi

MODULES = [module.name for module in pkgutil.iter_modules(musiczoo.representations.__path__)]
CLASSES = (BarStreamPatches, LogMel, M3Patches, OctupleMidi, Remi)
TUNE = read_abc("M:4/4\nL:1/8\nK:C\nC2E2G2c2|c4z4|")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    failed, tried = doctest.testmod(importlib.import_module(f"musiczoo.representations.{name}"))
    assert failed == 0
    # The protocol has no values, and the tracks of REMI are shown at Remi.
    assert tried > 0 or name in ("base", "remi_tracks")


@pytest.mark.parametrize("kind", CLASSES)
def test_protocol(kind):
    representation: Representation[object] = kind()
    assert isinstance(representation, Representation)
    assert kind.from_config(representation.to_config()).to_config() == representation.to_config()
    assert representation.max_length is None or representation.max_length > 0
    assert all(isinstance(name, str) for name in representation.vocabulary)


def test_limits_and_vocabularies():
    assert (BarStreamPatches().max_length, M3Patches().max_length) == (1024, 512)
    assert (Remi().max_length, LogMel().max_length) == (None, None)
    assert len(Remi().vocabulary) == 413
    assert (OctupleMidi().max_length, len(OctupleMidi().vocabulary)) == (1002, 1237)
    assert BarStreamPatches().vocabulary == ()


@pytest.mark.parametrize(
    ("representation", "name"),
    [(BarStreamPatches(), "patches"), (M3Patches(), "patches"), (Remi(), "ids")],
)
def test_batches_are_padded_with_zero(representation, name):
    whole = representation.encode(TUNE)
    batch = representation.collate([whole[:2], whole])
    assert set(batch) == {name, "lengths"}
    assert batch["lengths"].tolist() == [2, len(whole)]
    assert batch["lengths"].dtype == torch.int64
    assert batch[name].dtype == whole.dtype
    assert torch.equal(batch[name][1], whole)
    assert torch.equal(batch[name][0, :2], whole[:2])
    assert not batch[name][0, 2:].any()
