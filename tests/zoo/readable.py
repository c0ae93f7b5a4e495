"""Pieces that can be read from nets that were hardly trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.bar_stream.guards import BarDurations, Countdown, Guards
from musiczoo.models.base.generative import Generated

OPENING = "L:1/4\nM:4/4\nK:G\nV:1 treble\nV:2 treble\n[r:0/1][V:1]GABc|[V:2]GABc|\n"
GUARD = Guards([BarDurations(meter=True), Countdown(2, 2)])


def make_pieces_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """An untrained net writes no headers; with the first of two bars given, and held to the grammar, it ends with a piece that can be read."""
    generate = BarStreamModule.generate

    def with_opening(
        self: Any, prompts: Sequence[Any], *args: Any, **options: Any
    ) -> list[Generated]:
        results = generate(self, [OPENING] * len(prompts), *args, guard=GUARD, **options)
        return [
            replace(result, labels=labels) for result, labels in zip(results, prompts, strict=True)
        ]

    monkeypatch.setattr(BarStreamModule, "generate", with_opening)
