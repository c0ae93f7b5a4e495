from __future__ import annotations

import math

import pytest

from musiczoo.metrics import text_scores
from musiczoo.music.errors import MusicZooError

PREDICTIONS = ["the piece is a slow waltz in a minor key", "romantic style"]
REFERENCES = ["the piece is a slow sad waltz in minor", "romantic style piano"]
PLAIN = ("bleu", "rouge_l", "meteor")


def test_rows_of_a_table():
    rows = text_scores(PREDICTIONS, REFERENCES, metrics=PLAIN, wordnet=False)
    assert [row.record.key for row in rows] == ["bleu_4", "rouge_l", "meteor_exact_stem"]
    expected = [0.481098, 0.821053, (0.771806 + 0.646552) / 2]
    assert [float(row) for row in rows] == pytest.approx(expected, abs=1e-6)
    assert all(row.texts == 2 and row.record.version and row.record.variant for row in rows)


def test_the_encoder_goes_to_bert_score_and_all_four_are_the_default(tmp_path):
    with pytest.raises(MusicZooError, match="holds no encoder") as caught:
        text_scores(PREDICTIONS, REFERENCES, encoder=tmp_path)
    assert caught.value.path == str(tmp_path)


def test_no_texts_and_unknown_metrics():
    assert all(math.isnan(row.value) for row in text_scores([], [], metrics=PLAIN))
    with pytest.raises(MusicZooError, match=r"'cider'.*rouge_l"):
        text_scores(["a"], ["a"], metrics=("cider",))
