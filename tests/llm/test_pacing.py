from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from musiczoo.llm.pacing import Pace, wait_before


def test_starts_are_an_interval_apart() -> None:
    now, waits = [100.0], []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    pace = Pace(30, clock=lambda: now[0], sleep=sleep)
    for _ in range(3):
        pace.wait()
    now[0] += 60
    pace.wait()
    assert waits == [0.0, 2.0, 2.0, 0.0]
    Pace(None, sleep=lambda seconds: pytest.fail("it waits")).wait()


def test_waits_double_up_to_a_limit() -> None:
    assert [wait_before(number, jitter=0) for number in (0, 1, 2, 10)] == [1, 2, 4, 60]
    assert wait_before(1, jitter=1) == 1.0
    assert 1.0 <= wait_before(1) <= 2.0


def test_servers_name_seconds_or_a_date() -> None:
    assert wait_before(0, {"retry-after": "12.5"}) == 12.5
    assert wait_before(0, {"retry-after": "-1"}) == 0.0
    assert wait_before(0, {"retry-after": "1e9"}) == 600.0
    moment = datetime.now(UTC) + timedelta(seconds=30)
    assert 25 < wait_before(0, {"retry-after": format_datetime(moment, usegmt=True)}) <= 30
    assert wait_before(0, {"retry-after": "soon"}, jitter=0) == 1.0
