from __future__ import annotations

import torch

from musiczoo.metrics import Validity, is_readable
from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import read_abc


def result(text: str | None, stop: str) -> Generated:
    none = torch.zeros(0)
    piece = None if text is None else read_abc(f"L:1/4\nK:C\n{text}\n")
    return Generated(piece, text or "", none, none, none, stop)  # type: ignore[arg-type]


def test_shares_by_hand():
    results = [
        result("CDEF|", "end"),
        result("CDEF|", "max_length"),
        result(None, "end"),
        result(None, "cancelled"),
        result("z4|", "end"),  # nothing sounds
        result("C/0|", "end"),  # a length that divides by zero
        result("C4|", "end"),
        result("C4|", "end"),
    ]
    assert [is_readable(one) for one in results] == [
        True,
        True,
        False,
        False,
        False,
        False,
        True,
        True,
    ]
    metric = Validity()
    metric.update(results[:3])
    metric.update(results[3:])
    assert {name: float(value) for name, value in metric.compute().items()} == {
        "readable": 50.0,
        "ended": 75.0,
        "valid": 37.5,
    }
