"""When requests may be sent: at most so often, and later after an error."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0


class Pace:
    """Starts of requests at least an interval apart, over all threads.

    Args:
        a_minute: Requests in a minute, at most; None for no limit.
        clock: Seconds that only rise.
        sleep: Waits seconds.
    """

    def __init__(
        self,
        a_minute: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.interval = 60.0 / a_minute if a_minute else 0.0
        self._clock, self._sleep = clock, sleep
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Returns when the next request may be sent."""
        if not self.interval:
            return
        with self._lock:
            now = self._clock()
            start = max(now, self._next)
            self._next = start + self.interval
        self._sleep(max(start - now, 0.0))


def wait_before(
    attempt: int, headers: Mapping[str, str] | None = None, *, jitter: float | None = None
) -> float:
    """Seconds to wait before a request is sent again.

    They double with each attempt from :data:`FIRST_WAIT` up to :data:`LONGEST_WAIT`, less a random
    part, so that threads do not come back together. A server that names a time in ``Retry-After``
    gets it (RFC 9110, section 10.2.3: seconds or a date), up to ten times :data:`LONGEST_WAIT`.

    Args:
        attempt: Of the request that failed, from 0.
        headers: Of the server's answer.
        jitter: The random part, 0 to 1; drawn when None.
    """
    named = _seconds((headers or {}).get("retry-after", ""))
    if named is not None:
        return min(max(named, 0.0), 10 * LONGEST_WAIT)
    part = random.random() if jitter is None else jitter
    return float(min(FIRST_WAIT * 2**attempt, LONGEST_WAIT) * (1 - part / 2))


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds()
