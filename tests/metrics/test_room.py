"""The examples in the docstrings, and that every metric's states add up over processes."""

from __future__ import annotations

import doctest
import importlib
import math
import pkgutil
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.distributed
from torchmetrics import Metric

import musiczoo.metrics
from musiczoo.metrics import (
    BarAlignmentError,
    BitsPerSymbol,
    Bleu,
    ClampScore,
    ClosedAnswers,
    CopyRate,
    FrechetMusicDistance,
    LabelAccuracy,
    LabelProbe,
    Meteor,
    MultiLabelScores,
    Perplexity,
    RetrievalAtK,
    RougeL,
    SpanIndex,
    Validity,
)
from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import read_abc
from tests.two_processes import answers_of_two

KINDS = [
    "alignment",
    "validity",
    "bits",
    "macro-bits",
    "copy",
    "clamp",
    "frechet",
    "labels",
    "perplexity",
    "macro-perplexity",
    "bleu",
    "rouge-l",
    "meteor",
    "answers",
    "retrieval",
    "multi-label",
]
TEXTS = ("bleu", "rouge-l", "meteor")
MODULES = [module.name for module in pkgutil.iter_modules(musiczoo.metrics.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    failed, tried = doctest.testmod(importlib.import_module(f"musiczoo.metrics.{name}"))
    assert tried > 0
    assert failed == 0


def _pieces() -> list[Generated]:
    none = torch.zeros(0)
    bodies = [
        "[V:1]C4|[V:2]C4|\n" * 5,
        "[V:1]C4|[V:2]C3|\n" * 4,
        "[V:1]CDEF|[V:2]E4|\n" * 6,
        "[V:1]C4|[V:2]G4|\n" * 7,
    ]
    texts = ["M:4/4\nL:1/4\nK:C\nV:1\nV:2\n" + body for body in bodies]
    whole = [Generated(read_abc(text), text, none, none, none, "end") for text in texts]
    return [*whole, Generated(None, texts[0], none, none, none, "max_length")]


def _metric(kind: str) -> Metric:
    if kind == "copy":
        known = _pieces()[2].piece
        assert known is not None
        return CopyRate(SpanIndex.of([known]))
    references = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    if kind == "clamp":
        return ClampScore({"jig": references[:4], "reel": references[4:]})
    if kind == "labels":
        return LabelAccuracy(LabelProbe.fit(references, ["jig"] * 4 + ["reel"] * 4))
    makers: dict[str, Callable[[], Metric]] = {
        "alignment": BarAlignmentError,
        "validity": Validity,
        "bits": BitsPerSymbol,
        "macro-bits": lambda: BitsPerSymbol(average="macro"),
        "perplexity": Perplexity,
        "macro-perplexity": lambda: Perplexity(average="macro"),
        "frechet": lambda: FrechetMusicDistance(references, "ledoit_wolf"),
        "bleu": Bleu,
        "rouge-l": RougeL,
        "meteor": lambda: Meteor(wordnet=False),
        "answers": lambda: ClosedAnswers({"major": "yes", "meter": "4/4"}),
        "retrieval": lambda: RetrievalAtK(ks=(1, 2)),
        "multi-label": lambda: MultiLabelScores(["jig", "reel", "march"]),
    }
    return makers[kind]()


def _updates(kind: str) -> list[tuple[Any, ...]]:
    if kind in ("bits", "macro-bits", "perplexity", "macro-perplexity"):
        return [(torch.tensor(-float(index % 3)), index) for index in range(1, 6)]
    if kind in ("clamp", "frechet", "labels"):
        features = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(1))
        return [(some,) if kind == "frechet" else (some, ["reel", "jig"]) for some in features]
    if kind in TEXTS:
        words = ["a slow waltz in minor", "a fast reel", "an old slow waltz in major", "an air"]
        return [([one], [other]) for one in words[:3] for other in words[1:]]
    if kind == "answers":
        given = [("yes", "yes"), ("no", "yes"), ("no", "no"), ("4/4", "4/4")]
        return [([one], [right], ["meter" if "/" in one else "major"]) for one, right in given]
    if kind == "retrieval":
        # The five candidates of three groups come in several batches.
        scores = torch.rand(15, generator=torch.Generator().manual_seed(2))
        columns = scores, torch.arange(15) % 4 == 0, torch.arange(15) % 3
        return [*zip(*(column.split(2) for column in columns), strict=True)]
    if kind == "multi-label":
        shares = torch.rand(2, 9, 3, generator=torch.Generator().manual_seed(3))
        return [*zip(shares[0].split(2), (shares[1] > 0.5).split(2), strict=True)]
    return [([piece],) for piece in _pieces()]


def _values(metric: Metric) -> list[float]:
    value = metric.compute()
    return [float(one) for one in (value.values() if isinstance(value, dict) else [value])]


def _more(metric: Metric) -> Any:
    """What some metrics tell beside their value, also of all processes."""
    for name in ("describe", "by_prompt", "by_label", "by_tag"):
        if hasattr(metric, name):
            return getattr(metric, name)()
    return None


def _answers(kind: str, idle: bool, rank: int) -> tuple[list[float], Any]:
    metric = _metric(kind)
    for number, update in enumerate(_updates(kind)):
        if (0 if idle else number % 2) == rank:
            metric.update(*update)
    return _values(metric), _more(metric)


@pytest.mark.dist
@pytest.mark.parametrize("idle", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_equal_one(kind, idle, tmp_path):
    one = _metric(kind)
    for update in _updates(kind):
        one.update(*update)
    expected = _values(one)
    more = _more(one)
    assert not any(math.isnan(value) for value in expected)
    found = answers_of_two(partial(_answers, kind, idle), tmp_path / "meeting")
    for values, told in found.values():
        assert values == pytest.approx(expected)
        assert told == (pytest.approx(more) if isinstance(more, dict) else more)
    assert len(found) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_states_survive_a_reset_and_a_copy(kind):
    metric = _metric(kind)
    for update in _updates(kind):
        metric.update(*update)
    expected = _values(metric)
    clone = metric.clone()
    metric.reset()
    for update in _updates(kind):
        metric.update(*update)
    assert _values(metric) == expected == _values(clone)
