from __future__ import annotations

import pytest
from nltk.translate.meteor_score import align_words

from musiczoo.metrics import RougeL


def f_measure(prediction: str, reference: str) -> float:
    metric = RougeL()
    metric.update([prediction], [reference])
    return metric.compute().item()


def common(one: list[str], other: list[str]) -> int:
    """The longest common subsequence, from its definition."""
    if not one or not other:
        return 0
    if one[-1] == other[-1]:
        return 1 + common(one[:-1], other[:-1])
    return max(common(one[:-1], other), common(one, other[:-1]))


def test_the_worked_examples():
    """facts: .842105 and .8, mean .821053."""
    first = ("the piece is a slow waltz in a minor key", "the piece is a slow sad waltz in minor")
    second = ("romantic style", "romantic style piano")
    assert f_measure(*first) == pytest.approx(0.842105, abs=1e-6)
    assert f_measure(*second) == pytest.approx(0.8, abs=1e-6)
    metric = RougeL()
    metric.update(*map(list, zip(first, second, strict=True)))
    assert metric.compute().item() == pytest.approx(0.821053, abs=1e-6)


@pytest.mark.parametrize(
    ("one", "other"),
    [("b a c d", "a b c e d"), ("x y", "y x"), ("a a b", "a b b a"), ("p q", "r s")],
)
def test_it_is_the_f_measure_of_the_longest_common_subsequence(one, other):
    shared = common(one.split(), other.split())
    assert f_measure(one, other) == pytest.approx(
        2 * shared / (len(one.split()) + len(other.split())), abs=1e-6
    )


def test_words_are_not_stemmed_and_signs_do_not_count():
    # A stemmer would find one word.
    assert align_words(["waltzes"], ["waltz"])[0]
    assert f_measure("waltzes", "waltz") == 0
    assert f_measure("A slow, SLOW waltz!", "a slow slow waltz") == 1
    assert f_measure("♪", "a waltz") == 0


def test_no_data_of_nltk_is_needed(monkeypatch):
    def refused(*_, **__):
        raise AssertionError("ROUGE-Lsum was computed")

    for name in ("download", "sent_tokenize", "data.find"):
        monkeypatch.setattr(f"nltk.{name}", refused)
    assert f_measure("a waltz. a reel.", "a waltz") > 0
