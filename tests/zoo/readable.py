"""Pieces that can be read from nets that were hardly trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.bar_stream.guards import BarDurations, Countdown, Guards
from musiczoo.models.base.generative import Generated

OPENING = "L:1/4\nM:4/4\nK:G\nV:1 treble\nV:2 treble\n[r:0/1][V:1]GABc|[V:2]GABc|\n"
GUARD = Guards([BarDurations(meter=True), Countdown(2, 2)])


def make_pieces_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives an untrained net, which writes no headers, the first of two bars and holds it to the grammar."""
    stream = BarStreamModule.stream

    def with_opening(
        self: Any, prompts: Sequence[Any], *args: Any, **options: Any
    ) -> Iterator[tuple[int, Generated]]:
        options["guard"] = GUARD
        for number, result in stream(self, [OPENING] * len(prompts), *args, **options):
            yield number, replace(result, prompt=prompts[number])

    monkeypatch.setattr(BarStreamModule, "stream", with_opening)
