from __future__ import annotations

import pytest

from musiczoo.metrics import Meteor, meteor
from musiczoo.metrics.wordnet import Synset
from musiczoo.music.errors import MusicZooError


def score(prediction: str, reference: str, **settings) -> float:
    metric = Meteor(**{"wordnet": False} | settings)
    metric.update([prediction], [reference])
    return metric.compute().item()


def formula(matches: int, words: int, reference_words: int, chunks: int) -> float:
    """Lavie and Agarwal 2007, with alpha .9, beta 3, gamma .5."""
    precision, recall = matches / words, matches / reference_words
    mean = precision * recall / (0.9 * precision + 0.1 * recall)
    return (1 - 0.5 * (chunks / matches) ** 3) * mean


class Synonyms:
    """A thesaurus in which all given words mean the same."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def synsets(self, word: str) -> list[Synset]:
        return [Synset(self.words)] if word in self.words else []


def test_the_worked_examples():
    """facts: .771806 and .646552, exact and stem."""
    first = ("the piece is a slow waltz in a minor key", "the piece is a slow sad waltz in minor")
    assert score(*first) == pytest.approx(0.771806, abs=1e-6)
    assert score("romantic style", "romantic style piano") == pytest.approx(0.646552, abs=1e-6)
    assert score("romantic style", "romantic style piano") == pytest.approx(formula(2, 2, 3, 1))


def test_words_match_by_stem_without_case_and_without_the_full_stop():
    assert score("Two slow waltzes.", "two slow waltz.") == pytest.approx(formula(4, 4, 4, 1))
    # "minor." is no other word than "minor".
    assert score("a waltz in minor.", "in minor a waltz") == pytest.approx(formula(4, 5, 4, 2))
    assert score("a fast reel", "an old jig") == 0


def test_synonyms_match_with_wordnet_alone(monkeypatch):
    pair = ("a glum tune", "a sad tune")
    thesaurus = Synonyms("glum", "sad")
    monkeypatch.setattr(meteor, "system_wordnet", lambda: (thesaurus, "WordNet of a test"))
    without, found = Meteor(wordnet=False), Meteor()
    assert score(*pair) == pytest.approx(formula(2, 3, 3, 2))
    assert score(*pair, wordnet=None) == pytest.approx(formula(3, 3, 3, 1))
    assert score(*pair, wordnet=True) == pytest.approx(formula(3, 3, 3, 1))
    assert without.record.variant == "exact, stem"
    assert found.record.variant == "exact, stem, WordNet"
    assert found.record.key == "meteor_exact_stem_wordnet"
    assert found.record.settings.endswith("WordNet of a test")


def test_nltk_looks_up_stems(monkeypatch):
    """So words whose stem is no word have no synonyms; if this fails, NLTK looks up words."""
    monkeypatch.setattr(
        meteor, "system_wordnet", lambda: (Synonyms("gloomy", "sorrowful"), "WordNet of a test")
    )
    assert score("gloomy", "sorrowful", wordnet=True) == 0


def test_a_machine_without_wordnet_is_reported(monkeypatch):
    monkeypatch.setattr(meteor, "system_wordnet", lambda: None)
    assert Meteor().record.name == "METEOR (exact, stem)"
    assert Meteor().record.key == "meteor_exact_stem"
    with pytest.raises(MusicZooError, match=r"no WordNet.*wordnet-base.*wordnet=False"):
        Meteor(wordnet=True)
