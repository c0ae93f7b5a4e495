from __future__ import annotations

import pytest

from musiczoo.music.corpora.names import load_corpus
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes import RECIPES, recipe_for, recipe_named
from musiczoo.music.recipes.instrumentation import of_humdrum, of_programs


def test_every_recipe_tells_people_what_it_does():
    assert set(RECIPES) == {
        "atepp",
        "dcml",
        "giantmidi-piano",
        "kernscores",
        "lakh",
        "metamidi",
        "openscore-lieder",
        "openscore-quartets",
        "pdmx",
    }
    for recipe in RECIPES.values():
        assert recipe.publisher.startswith("https://")
        for text in (recipe.title, recipe.licence, recipe.layout, recipe.labels, recipe.duplicates):
            assert len(text) > 10


def test_a_folder_of_ones_own_has_no_recipe(root, score):
    score("a.mxl")
    score("scores/b.mid")
    assert recipe_for(root) is None
    with pytest.raises(MusicZooError, match="Did you mean openscore-lieder"):
        recipe_named("openscore-leider")


def test_a_recipe_can_be_forced_or_left_aside(root, score, tmp_path):
    score("mine.krn")
    score("mine.mid")
    options = {"cache": tmp_path / "cache", "workers": 1, "progress": False}
    assert len(load_corpus(root, **options)) == 2
    forced = load_corpus(root, recipe="kernscores", **options)
    assert [skipped.reason for skipped in forced.left_out] == ["no Humdrum score"]
    score("lmd_full/0/a.mid", seed="the same")
    score("lmd_full/0/b.mid", seed="the same")
    assert len(load_corpus(root, **options)) == 3
    assert len(load_corpus(root, recipe="none", **options)) == 4


@pytest.mark.parametrize(
    ("programs", "expected"),
    [
        ([0], "Keyboard"),
        ([19, 19], "Keyboard"),
        ([40, 40, 41, 42], "Chamber"),
        ([0, 40], "Chamber"),
        ([40] * 12, "Orchestral"),
        ([52] * 4, "Choral"),
        ([52] * 4 + [0], "Choral"),
        ([53, 0], "Art Song"),
        ([52] * 4 + [40] * 5, "Vocal-Orchestral"),
        ([52], None),
        ([29, 33], None),
        ([], None),
    ],
)
def test_instrumentation_by_general_midi(programs, expected):
    assert of_programs(programs) == expected


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["piano", "piano"], "Keyboard"),
        (["cello", "viola", "violn", "violn"], "Chamber"),
        (["bass", "tenor", "alto", "soprn"], "Choral"),
        (["piano", "piano", "soprn"], "Art Song"),
        ([], None),
    ],
)
def test_instrumentation_by_humdrum(codes, expected):
    assert of_humdrum(codes) == expected
