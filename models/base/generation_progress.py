"""A progress bar over pieces that are generated at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Result = TypeVar("Result")
_Watch = Callable[[int, str], bool | None]


class GenerationProgress:
    """A progress bar on standard error.

    Args:
        pieces: How many.
        fraction: The share of a piece that a text so far is; None where texts do not state it.
    """

    def __init__(self, pieces: int, fraction: Callable[[str], float | None]) -> None:
        columns = (TextColumn("generating"), BarColumn(), TextColumn("{task.fields[note]}"))
        times = (TimeElapsedColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, *times, console=Console(stderr=True))
        self.pieces = pieces
        self.fraction = fraction
        self.shares: dict[int, float] = {}
        self.task = self.bar.add_task("", total=pieces, note="")

    def watching(self, on_progress: _Watch | None) -> _Watch | None:
        """A user's ``on_progress`` that moves the bar too, where texts state how far they are."""
        if self.fraction("") is None:
            return on_progress

        def watch(number: int, text: str) -> bool | None:
            self._show(number, self.fraction(text) or 0.0)
            return None if on_progress is None else on_progress(number, text)

        return watch

    def shown(self, results: Iterator[tuple[int, Result]]) -> Iterator[tuple[int, Result]]:
        """The results, with the bar on the screen until the last of them."""
        with self.bar:
            for number, result in results:
                self._show(number, 1.0)
                yield number, result

    def _show(self, number: int, share: float) -> None:
        self.shares[number] = share
        done = sum(value == 1.0 for value in self.shares.values())
        note = f"{done}/{self.pieces} pieces"
        self.bar.update(self.task, completed=sum(self.shares.values()), note=note)
