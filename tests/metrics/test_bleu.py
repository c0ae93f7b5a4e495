from __future__ import annotations

import random

import pytest
import sacrebleu
from torchmetrics.text import BLEUScore

from musiczoo.metrics import Bleu

PREDICTIONS = ["the piece is a slow waltz in a minor key", "romantic style"]
REFERENCES = ["the piece is a slow sad waltz in minor", "romantic style piano"]


def bleu(predictions: list[str], references: list[str]) -> float:
    metric = Bleu()
    metric.update(predictions, references)
    return metric.compute().item()


def test_the_worked_examples():
    """facts: corpus .481098 (precisions 10/12, 6/10, 3/8, 2/7), the first pair alone .467138."""
    assert bleu(PREDICTIONS, REFERENCES) == pytest.approx(0.481098, abs=1e-6)
    hand = (10 / 12 * 6 / 10 * 3 / 8 * 2 / 7) ** 0.25
    assert bleu(PREDICTIONS, REFERENCES) == pytest.approx(hand, abs=1e-12)
    assert bleu(PREDICTIONS[:1], REFERENCES[:1]) == pytest.approx(0.467138, abs=1e-6)


def test_it_is_torchmetrics_bleu_where_all_orders_match():
    theirs = BLEUScore()(PREDICTIONS, [[text] for text in REFERENCES])
    assert bleu(PREDICTIONS, REFERENCES) == pytest.approx(theirs.item(), abs=1e-6)


def test_it_is_sacrebleu_of_the_whole_corpus_whatever_the_batches():
    rng = random.Random(0)
    words = ["the", "a", "slow", "fast", "waltz", "reel,", "in", "major.", "minor", "3/4", "it's"]
    predictions, references = (
        [" ".join(rng.choices(words, k=rng.randrange(1, 12))) for _ in range(40)] for _ in "ab"
    )
    expected = sacrebleu.corpus_bleu(predictions, [references]).score / 100
    metric = Bleu()
    for start in range(0, 40, 7):
        metric.update(predictions[start : start + 7], references[start : start + 7])
    assert metric.compute().item() == pytest.approx(expected, abs=1e-12)
    assert 0 < expected < 1


def test_short_texts_without_long_matches_are_smoothed():
    """sacrebleu halves each precision without a match; torchmetrics gives 0."""
    theirs = sacrebleu.corpus_bleu(["a slow old waltz here"], [["a slow sad waltz there"]]).score
    assert bleu(["a slow old waltz here"], ["a slow sad waltz there"]) == pytest.approx(
        theirs / 100
    )
    assert theirs > 0


def test_the_record_is_sacrebleus_signature():
    metric = Bleu()
    metric.update(PREDICTIONS, REFERENCES)
    theirs = str(metric.scorer.get_signature())
    assert theirs == f"{metric.record.settings}|version:{metric.record.version}"
    assert metric.record.variant == "corpus, 13a"
