"""The program behind `make clamp-dpo`: its arithmetic, and what stands in the docs."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from types import SimpleNamespace

import pytest
import torch

from experiments import _clamp_dpo_examiner as examining
from experiments import _clamp_dpo_report as report
from musiczoo.callbacks.preference.files import Sample
from musiczoo.models.base import Generated
from musiczoo.music.abc import read_abc
from musiczoo.music.recipes.labels import Labels

RESULTS = Path(__file__).parents[2] / "docs/results"
REEL, JIG = Labels("Traditional", "Ryan", "reel"), Labels("Traditional", "Ryan", "jig")
NONE = torch.zeros(0)


def sample(
    number: int, labels: Labels, text: str | None = "L:1/4\nK:C\nCDEF|\n", stop: str = "end"
) -> Sample:
    piece = None if text is None else read_abc(text)
    return Sample(number, Generated(piece, text or "", NONE, NONE, NONE, stop, None, labels))  # type: ignore[arg-type]


class Judge:
    """Separates reels from jigs by their length."""

    def features(self, texts: list[str]) -> torch.Tensor:
        return torch.tensor([[float(len(text)), 1.0] for text in texts])


def test_what_is_counted_as_readable() -> None:
    samples = [
        sample(0, REEL),
        sample(1, REEL, None),
        sample(2, REEL, stop="max_length"),
        sample(3, REEL, "L:1/4\nK:C\nz4|\n"),
        sample(4, REEL, "L:1/4\nK:C\nV:1\nCDEF|CDEF|\nV:2\nCDEF|\n"),
    ]
    assert [kept.number for kept, _ in examining.readable(samples)] == [0]


def test_label_accuracy_counts_what_cannot_be_read_as_wrong() -> None:
    examiner = object.__new__(examining.Examiner)
    examiner.judge = Judge()
    examiner.labels = [REEL, JIG]
    examiner.probe = SimpleNamespace(
        predict=lambda features: [
            "Ryan / reel" if row[0] < 40 else "Ryan / jig" for row in features
        ]
    )
    long = "L:1/4\nK:C\n" + "CDEF|" * 12 + "\n"
    samples = [sample(0, REEL), sample(1, REEL, None), sample(2, JIG, long), sample(3, JIG)]
    assert examiner.accuracy_by_prompt(samples) == {REEL: 0.5, JIG: 0.5}


def test_spread_is_nought_for_equal_pieces_and_one_for_orthogonal_ones() -> None:
    rows = torch.tensor([[1.0, 0.0], [2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    assert examining.spread(rows, [REEL, REEL, JIG, JIG]) == pytest.approx(0.5)


def test_the_table_in_the_docs_is_that_of_the_figures_beside_it() -> None:
    document = json.loads((RESULTS / "clamp_dpo.json").read_text())
    table = (RESULTS / "clamp_dpo.md").read_text()
    assert report._table(document) == table
    scores = [
        mean(rows[number]["score"] for rows in document["seeds"].values()) for number in range(4)
    ]
    for score in scores:
        assert f"{score:.3f}" in (RESULTS.parent / "models.md").read_text()
