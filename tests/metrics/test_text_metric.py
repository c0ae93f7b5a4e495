from __future__ import annotations

import builtins
import importlib.metadata

import pytest

from musiczoo.metrics import Bleu, Meteor, MetricRecord, RougeL
from musiczoo.music.errors import MusicZooError

METRICS = [Bleu, RougeL, lambda: Meteor(wordnet=False)]
PREDICTIONS = ["the piece is a slow waltz in a minor key", "romantic style", "", "a C major scale."]
REFERENCES = [
    "the piece is a slow sad waltz in minor",
    "romantic style piano",
    "a fast reel",
    "a C major scale.",
]


@pytest.mark.parametrize("make", METRICS)
def test_batches_do_not_change_the_value(make):
    whole, parts = make(), make()
    whole.update(PREDICTIONS, REFERENCES)
    parts.update([], [])
    for pair in zip(PREDICTIONS, REFERENCES, strict=True):
        parts.update([pair[0]], [pair[1]])
    assert parts.compute() == whole.compute()
    assert 0 < whole.compute() < 1


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
@pytest.mark.parametrize("make", METRICS)
def test_equal_texts_are_perfect_and_an_empty_prediction_is_a_wrong_one(make):
    equal, empty, none = make(), make(), make()
    equal.update(REFERENCES[:1], REFERENCES[:1])
    # METEOR counts one run of nine words as a scattered one: 1 - 0.5 (1/9)^3.
    best = 1 - 0.5 / 9**3 if isinstance(equal, Meteor) else 1
    assert equal.compute().item() == pytest.approx(best, abs=1e-6)
    empty.update(["", " \n"], REFERENCES[:2])
    assert empty.compute() == 0
    assert none.compute().isnan()


@pytest.mark.parametrize("make", METRICS)
def test_what_is_no_pair_is_an_error(make):
    metric = make()
    metric.update(PREDICTIONS[:1], REFERENCES[:1])
    before = metric.compute()
    for predictions, references, message in (
        (["a", "b"], ["a"], "2 predictions with 1 references"),
        (["a"], [" "], "Number 0 is empty"),
        ("a", ["a"], "One string is no list"),
        (["a"], [["a"]], "Number 0 is list, not a text"),
        (["a", None], ["a", "b"], "Number 1 is NoneType"),
    ):
        with pytest.raises(MusicZooError, match=message):
            metric.update(predictions, references)
    assert metric.compute() == before


@pytest.mark.parametrize(
    ("make", "library"), [(Bleu, "sacrebleu"), (Meteor, "nltk"), (RougeL, "torchmetrics")]
)
def test_the_record_names_the_library_that_is_installed(make, library):
    record = make().record
    assert (record.library, record.version) == (library, importlib.metadata.version(library))
    assert record.variant


@pytest.mark.parametrize(("make", "library"), [(Bleu, "sacrebleu"), (Meteor, "nltk")])
def test_a_missing_library_is_named_with_the_command_that_installs_it(monkeypatch, make, library):
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == library:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MusicZooError, match=rf'{library}.*pip install "musiczoo\[eval\]"'):
        make()


def test_keys_are_for_logs():
    assert MetricRecord("METEOR (exact, stem, WordNet)", "nltk", "3", "").key == (
        "meteor_exact_stem_wordnet"
    )
    assert MetricRecord("BLEU-4", "sacrebleu", "2", "13a").key == "bleu_4"
