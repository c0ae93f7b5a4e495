"""The registry: rows of other packages, by register and by entry point."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

import musiczoo.hub
from musiczoo.hub import registry
from musiczoo.hub.registry import (
    ARCHITECTURES,
    REPRESENTATIONS,
    architecture,
    architectures,
    class_of,
    entry,
    list_models,
    name_of,
    register,
    representations_of,
    resolve,
)
from musiczoo.hub.rows import Architecture, Entry
from musiczoo.models.m3 import M3Module
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.m3_patches import M3Patches
from tests.hub.models import MODELS


class ForeignModule(M3Module):
    architecture = "toy"


TOY = Architecture(
    "toy",
    module="tests.hub.test_registry:ForeignModule",
    representation="musiczoo.representations.m3_patches:M3Patches",
    summary="a toy",
)
WEIGHTS = Entry("toy-small", "a small toy", 7, "mit", "nobody", "toy")


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    before = (
        dict(ARCHITECTURES),
        dict(REPRESENTATIONS),
        dict(registry._registered),
        list(registry._unread_groups),
    )
    yield
    for table, old in zip(
        (ARCHITECTURES, REPRESENTATIONS, registry._registered), before, strict=False
    ):
        table.clear()
        table.update(old)
    registry._unread_groups[:] = before[3]


def test_the_rows_state_what_the_classes_do() -> None:
    for name, row in ARCHITECTURES.items():
        kind = resolve(row.module)
        assert kind.architecture == name == row.name
        assert kind.writes == row.writes
        assert row.summary
        assert len(row.summary) < 80
        assert row.usage.format(prompt='""')
        if row.reads_published:
            assert callable(resolve(row.reads_published))
        if row.recipes:
            package, _, folder = row.recipes.partition(":")
            assert list((Path(resolve(f"{package}:__path__")[0]) / folder).glob("*.yaml"))
        if representations_of(row):
            made = MODELS[name]()
            assert isinstance(made, kind)
            assert name_of(ARCHITECTURES, made) == name
            assert name_of(REPRESENTATIONS, made.representation) in representations_of(row)
    for one in list_models():
        assert one.architecture in ARCHITECTURES


def test_a_row_of_another_package_is_known_everywhere() -> None:
    musiczoo.hub.register(TOY)
    musiczoo.hub.register(WEIGHTS)
    register(TOY)
    assert architectures()["toy"] is TOY
    assert architecture("toy") == TOY
    assert list_models()[-1] == WEIGHTS == entry("toy-small")
    assert class_of(ARCHITECTURES, "toy") is ForeignModule
    module = ForeignModule(layers=1, decoder_layers=1, hidden=32)
    assert name_of(ARCHITECTURES, module) == "toy"
    assert class_of(REPRESENTATIONS, name_of(REPRESENTATIONS, module.representation)) is M3Patches


def test_names_that_are_taken_are_refused() -> None:
    with pytest.raises(MusicZooError, match="another architecture named 'm3'"):
        register(replace(TOY, name="m3"))
    with pytest.raises(MusicZooError, match="another entry named 'notagen'"):
        register(replace(WEIGHTS, name="notagen"))
    with pytest.raises(MusicZooError, match="'remi' is musiczoo"):
        register(replace(TOY, representation={"remi": "toy:Tokens"}))
    assert "toy" not in ARCHITECTURES


def test_unknown_names_get_the_nearest_and_unknown_classes_the_remedy() -> None:
    with pytest.raises(MusicZooError, match=r"does not know 'bar_steam'.*It knows bar_stream"):
        architecture("bar_steam")
    with pytest.raises(MusicZooError, match="does not know None"):
        class_of(REPRESENTATIONS, None)
    with pytest.raises(MusicZooError, match=r"builtins\.int cannot be saved.*hub\.register"):
        name_of(ARCHITECTURES, 1)
    # A class that only has the name of one of ours.
    other = type("M3Module", (), {})()
    with pytest.raises(MusicZooError, match="cannot be saved"):
        name_of(ARCHITECTURES, other)


def test_entry_points_are_read_once_and_a_broken_one_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    points = [
        metadata.EntryPoint("broken", "no_such_package:ROWS", "musiczoo.architectures"),
        metadata.EntryPoint("toy", "tests.hub.test_registry:ROWS", "musiczoo.architectures"),
        metadata.EntryPoint("one", "tests.hub.test_registry:WEIGHTS", "musiczoo.architectures"),
    ]
    asked = []

    def entry_points(group: str) -> list[metadata.EntryPoint]:
        asked.append(group)
        return points

    monkeypatch.setattr(registry.metadata, "entry_points", entry_points)
    registry._unread_groups[:] = ["musiczoo.architectures"]
    with caplog.at_level(logging.WARNING):
        assert "toy" in architectures()
        assert entry("toy-small") == WEIGHTS
    assert asked == ["musiczoo.architectures"]
    assert [record.getMessage() for record in caplog.records] == [
        "The entry point broken = no_such_package:ROWS is left out: "
        "No module named 'no_such_package'"
    ]


ROWS = [TOY]
