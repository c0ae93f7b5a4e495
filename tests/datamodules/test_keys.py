from __future__ import annotations

import random
from collections import Counter

import pytest

from musiczoo.datamodules.keys import draw_key, possible_keys
from musiczoo.music.abc import KEYS
from musiczoo.music.errors import MusicZooError

DRAWS = 8000


def chi_square(counts: Counter[str], expected: dict[str, float]) -> float:
    assert set(counts) <= set(expected)
    return sum((counts[key] - DRAWS * part) ** 2 / (DRAWS * part) for key, part in expected.items())


def test_pretraining_takes_all_keys_alike():
    rng = random.Random(0)
    counts = Counter(draw_key("pretrain", "G", rng) for _ in range(DRAWS))
    assert chi_square(counts, dict.fromkeys(KEYS, 1 / 15)) < 45


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        (
            "C",
            {"A": 1, "Bb": 2, "B": 2.4, "Cb": 0.6, "C": 4, "Db": 2.4, "C#": 0.6, "D": 2, "Eb": 1},
        ),
        ("Gb", {"Eb": 1, "E": 2, "F": 3, "F#": 2, "Gb": 2, "G": 3, "Ab": 2, "A": 1}),
        (
            "Bb",
            {"G": 1, "Ab": 2, "A": 3, "Bb": 4, "B": 2.4, "Cb": 0.6, "C": 2, "Db": 0.8, "C#": 0.2},
        ),
    ],
)
def test_fine_tuning_stays_near_the_original_key(original, expected):
    rng = random.Random(0)
    counts = Counter(draw_key("finetune", original, rng) for _ in range(DRAWS))
    assert chi_square(counts, {key: weight / 16 for key, weight in expected.items()}) < 35


def test_the_original_key_is_left_alone():
    assert draw_key("original", "G", random.Random(0)) is None


def test_an_unknown_rule():
    with pytest.raises(MusicZooError, match="loud"):
        draw_key("loud", "G", random.Random(0))


@pytest.mark.parametrize("rule", ["original", "finetune", "pretrain"])
@pytest.mark.parametrize("original", ["C", "Gb", "B"])
def test_possible_keys_are_those_that_are_drawn(rule, original):
    rng = random.Random(1)
    possible = possible_keys(rule, original)
    assert len(set(possible)) == len(possible)
    assert {draw_key(rule, original, rng) for _ in range(2000)} == set(possible)


def test_possible_keys_of_no_rule():
    with pytest.raises(MusicZooError, match="no key rule"):
        possible_keys("nearby", "C")  # type: ignore[arg-type]
