"""Worker processes: many items in chunks, each of which may kill the process that works on it."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_work: Callable[[Any], Any] | None = None


class WorkerPool(Generic[Item, Result]):
    """Chunks of items worked on by processes.

    Args:
        make: Returns the function that works on one item; called once in each process.
        arguments: Of ``make``; they are pickled where processes cannot be forked.
        died: Gives the result of an item whose process died (a fault in native code, no memory
            left).
        workers: Processes; None for one a core, 1 for this process.
        start_method: Of the processes; None for ``fork`` where the platform has it. Forked workers
            run no threads of this process and no torch, and, unlike spawned ones, work from a
            script without a ``__main__`` guard.
    """

    def __init__(
        self,
        make: Callable[..., Callable[[Item], Result]],
        arguments: tuple[Any, ...],
        died: Callable[[Item], Result],
        *,
        workers: int | None = None,
        start_method: str | None = None,
    ) -> None:
        self.make = make
        self.arguments = arguments
        self.died = died
        self.workers = workers or os.cpu_count() or 1
        if start_method is None and "fork" in multiprocessing.get_all_start_methods():
            start_method = "fork"
        self._context: BaseContext = multiprocessing.get_context(start_method)

    def run(self, chunks: Sequence[Sequence[Item]]) -> Iterator[tuple[int, list[Result]]]:
        """The index and the results of each chunk, in the order in which they end.

        Args:
            chunks: What to work on.

        Raises:
            Exception: What the work on an item raises.
        """
        processes = min(self.workers, len(chunks))
        if processes <= 1:
            work = self.make(*self.arguments) if chunks else None
            for index, chunk in enumerate(chunks):
                assert work is not None
                yield index, [work(item) for item in chunk]
            return
        left = list(range(len(chunks)))
        while left:
            broken: list[int] = []
            for index, results in self._in_parallel(chunks, left, processes):
                if results is None:
                    broken.append(index)
                else:
                    yield index, results
            # A dead process ends the whole pool, but chunks are handed out in order: the guilty one
            # is among the first.
            suspects, left = (
                sorted(broken)[: 2 * processes + 1],
                sorted(broken)[2 * processes + 1 :],
            )
            for index in suspects:
                yield index, self._with_care(chunks[index])

    def _in_parallel(
        self, chunks: Sequence[Sequence[Item]], indices: Sequence[int], processes: int
    ) -> Iterator[tuple[int, list[Result] | None]]:
        with self._pool(processes) as pool:
            running: dict[Future[list[Result]], int] = {
                pool.submit(_run, chunks[index]): index for index in indices
            }
            try:
                for future in as_completed(running):
                    try:
                        results = future.result()
                    except BrokenProcessPool:
                        yield running[future], None
                        continue
                    yield running[future], results
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _with_care(self, chunk: Sequence[Item]) -> list[Result]:
        """The results of a chunk that may hold an item that kills its process."""
        try:
            with self._pool(1) as pool:
                return pool.submit(_run, chunk).result()
        except BrokenProcessPool:
            return [self._alone(item) for item in chunk]

    def _alone(self, item: Item) -> Result:
        try:
            with self._pool(1) as pool:
                results: list[Result] = pool.submit(_run, [item]).result()
                return results[0]
        except BrokenProcessPool:
            return self.died(item)

    def _pool(self, processes: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            processes,
            mp_context=self._context,
            initializer=_start,
            initargs=(self.make, self.arguments),
        )


def _start(make: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]) -> None:
    global _work
    end_with_parent()
    _work = make(*arguments)


def _run(chunk: Sequence[Any]) -> list[Any]:
    assert _work is not None
    return [_work(item) for item in chunk]


def end_with_parent() -> None:
    """End this process when the one that started it is gone.

    A worker that waits for its next order, or is in the midst of one, would live on when its parent
    is killed. Works in processes of :mod:`multiprocessing` and in programs that were started as
    such.
    """
    parent = multiprocessing.parent_process()
    starter = os.getppid()

    def watch() -> None:
        if parent is not None:
            parent.join()
        else:
            while os.getppid() == starter:
                time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
