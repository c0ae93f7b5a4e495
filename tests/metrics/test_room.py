"""The examples in the docstrings, and that every metric's states add up over processes."""

from __future__ import annotations

import doctest
import importlib
import math
import multiprocessing
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed
from torchmetrics import Metric

import musiczoo.metrics
from musiczoo.metrics import BarAlignmentError, BitsPerSymbol, CopyRate, SpanIndex, Validity
from musiczoo.models.base import Generated
from musiczoo.music.abc import read_abc

MODULES = [module.name for module in pkgutil.iter_modules(musiczoo.metrics.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    failed, tried = doctest.testmod(importlib.import_module(f"musiczoo.metrics.{name}"))
    assert tried > 0
    assert failed == 0


def _pieces() -> list[Generated]:
    none = torch.zeros(0)
    bodies = ["[V:1]C4|[V:2]C4|\n" * 5, "[V:1]C4|[V:2]C3|\n" * 4, "[V:1]CDEF|[V:2]E4|\n" * 6, "[V:1]C4|[V:2]G4|\n" * 7]
    texts = ["M:4/4\nL:1/4\nK:C\nV:1\nV:2\n" + body for body in bodies]
    whole = [Generated(read_abc(text), text, none, none, none, "end") for text in texts]
    return [*whole, Generated(None, texts[0], none, none, none, "max_length")]


def _metric(kind: str) -> Metric:
    if kind == "copy":
        known = _pieces()[2].piece
        assert known is not None
        return CopyRate(SpanIndex.of([known]))
    return {"alignment": BarAlignmentError, "validity": Validity, "bits": BitsPerSymbol}[kind]()


def _updates(kind: str) -> list[tuple[Any, ...]]:
    if kind == "bits":
        return [(torch.tensor(-float(index)), index) for index in range(1, 6)]
    return [([piece],) for piece in _pieces()]


def _values(metric: Metric) -> list[float]:
    value = metric.compute()
    return [float(one) for one in (value.values() if isinstance(value, dict) else [value])]


def _run(rank: int, meeting: Path, kind: str, answers: Any) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    metric = _metric(kind)
    for number, update in enumerate(_updates(kind)):
        if number % 2 == rank:
            metric.update(*update)
    answers.put((rank, _values(metric)))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.dist
@pytest.mark.parametrize("kind", ["alignment", "validity", "bits", "copy"])
def test_two_processes_equal_one(kind, tmp_path):
    one = _metric(kind)
    for update in _updates(kind):
        one.update(*update)
    expected = _values(one)
    assert not any(math.isnan(value) for value in expected)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    target: Callable[..., None] = _run
    workers = [context.Process(target=target, args=(rank, tmp_path / "meeting", kind, answers)) for rank in range(2)]
    for worker in workers:
        worker.start()
    found = dict(answers.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join(60)
    assert found == {0: pytest.approx(expected), 1: pytest.approx(expected)}


@pytest.mark.parametrize("kind", ["alignment", "validity", "bits", "copy"])
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
