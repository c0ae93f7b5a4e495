from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from musiczoo.music.workers import WorkerPool

CHUNKS = [[first, first + 1] for first in range(0, 20, 2)]


def squares(add: int, *, deadly: tuple[int, ...] = ()) -> Callable[[int], int]:
    def work(item: int) -> int:
        if item in deadly:
            os._exit(1)
        return item * item + add

    return work


def deadly_squares(add: int) -> Callable[[int], int]:
    return squares(add, deadly=(5, 17))


def pool(make, workers: int, start_method: str | None = None) -> WorkerPool[int, int]:
    return WorkerPool(make, (100,), lambda item: -item, workers=workers, start_method=start_method)


EXPECTED = {index: [item * item + 100 for item in chunk] for index, chunk in enumerate(CHUNKS)}


@pytest.mark.parametrize("workers", [1, 2])
def test_each_chunk_comes_once(workers):
    results = list(pool(squares, workers).run(CHUNKS))
    assert len(results) == len(CHUNKS)
    assert dict(results) == EXPECTED


def test_a_deadly_item_costs_itself_alone():
    results = list(pool(deadly_squares, 2).run(CHUNKS))
    assert len(results) == len(CHUNKS)
    assert dict(results) == EXPECTED | {2: [116, -5], 8: [356, -17]}


def test_nothing_to_do():
    assert list(pool(squares, 2).run([])) == []


def test_an_error_of_the_work_is_told():
    def broken(_: int) -> Callable[[int], int]:
        return lambda item: 1 // 0

    with pytest.raises(ZeroDivisionError):
        list(pool(broken, 2).run(CHUNKS))
