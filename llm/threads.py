"""Work on many items in threads, whose results come as they end; used where work is waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[tuple[Item, Result]]:
    """Each item with its result, in the order in which they end.

    Few items are waiting at a time, however many there are. When one fails, no other is begun, and
    the results of those that have begun still come before its error is raised.

    Args:
        work: On an item.
        items: What to work on.
        threads: At a time; 1 works in this thread, in order.

    Raises:
        Exception: The first that an item raises.
    """
    if threads == 1:
        for item in items:
            yield item, work(item)
        return
    left = iter(items)
    failure: BaseException | None = None
    with ThreadPoolExecutor(threads) as pool:
        running: dict[Future[Result], Item] = {}
        try:
            while True:
                if failure is None:
                    more = islice(left, 2 * threads - len(running))
                    running |= {pool.submit(work, item): item for item in more}
                if not running:
                    break
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    item = running.pop(done)
                    if done.cancelled():
                        continue
                    if (error := done.exception()) is None:
                        yield item, done.result()
                    elif failure is None:
                        failure = error
                        for other in running:
                            other.cancel()
        finally:
            for other in running:
                other.cancel()
    if failure is not None:
        raise failure
