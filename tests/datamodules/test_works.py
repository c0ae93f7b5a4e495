"""Works for data modules: sources, names, repeats and prompts."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from musiczoo.datamodules.splits import Splits
from musiczoo.datamodules.works import (
    prompt_counts,
    repeated,
    source_names,
    work_names,
    works_by_prompt,
    works_of,
)
from musiczoo.music.abc import read_abc
from musiczoo.music.corpora.reading import work_of
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels

TUNES = [read_abc(f"L:1/4\nK:C\n{bars}|\n") for bars in ("CDEF|G4", "eccc|B4", "A2dA|f4")]
WORKS = [replace(work_of(tune), source=source) for tune, source in zip(TUNES, "aba", strict=True)]
JIG, REEL = Labels("Folk", "Trad.", "Fiddle"), Labels("Folk", "Dvořák", "Fiddle")


def test_sources(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "tune.abc").write_text("X:1\nL:1/4\nK:C\nCDEF|G4|\n")
    (read,) = works_of(tmp_path / "mine", cache=tmp_path / "cache", progress=False)
    assert read.tune.notes() == TUNES[0].notes()
    assert [work.id for work in works_of([WORKS[0], TUNES[1]])] == [WORKS[0].id, WORKS[1].id]
    assert source_names([tmp_path / "mine", WORKS[0], "ryan"]) == ["mine", WORKS[0].id, "ryan"]
    with pytest.raises(MusicZooError, match="A int is no source of pieces"):
        list(works_of([3]))


def test_names_and_repeats():
    one, other = WORKS[:2]
    assert work_names([one, other, one, one]) == [one.id, other.id, f"{one.id}:1", f"{one.id}:2"]
    assert repeated([2, 1], WORKS, {"a": 3}) == [2, 2, 2, 1]


def test_prompts():
    assert prompt_counts([None, JIG, REEL, JIG]) == [
        ["Folk", "Trad.", "Fiddle", 2],
        ["Folk", "Dvořák", "Fiddle", 1],
    ]
    labelled = [
        replace(work, labels=labels) for work, labels in zip(WORKS, (REEL, JIG, JIG), strict=True)
    ]
    data = SimpleNamespace(works=labelled, splits=Splits([0, 1], [2], []))
    asked = Labels("Folk", "Dvorak", "Fiddle")
    assert works_by_prompt(data) == {asked: [labelled[0]], JIG: [labelled[1]]}
    assert list(
        works_by_prompt(SimpleNamespace(works=labelled, splits=Splits([0, 1, 2], [], [])))
    ) == [JIG, asked]
    assert works_by_prompt(object()) == {}
