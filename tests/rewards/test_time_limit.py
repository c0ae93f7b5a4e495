"""Rewards that hang: the run goes on, threads do not pile up, and the process ends."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import pytest
import torch

from musiczoo.models.base.generative import Generated
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards import FunctionReward, ScoresError, checked_scores
from tests.rewards.test_base import pieces


class Hanging:
    """A function that waits until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.calls = 0

    def __call__(self, some: Sequence[Generated]) -> list[float]:
        self.calls += 1
        assert self.released.wait(20)
        return [1.0] * len(some)


def threads() -> int:
    return sum(thread.name == "reward hanging" for thread in threading.enumerate())


def test_a_reward_that_hangs_is_not_called_again_before_it_has_come_back():
    function = Hanging()
    reward = FunctionReward(function, "hanging")
    begin = time.perf_counter()
    found = checked_scores(reward, pieces("a", "b"), timeout=0.1)
    assert found.values.isnan().all()
    assert found.reasons == ("hanging gave no score within 0.1 s",) * 2
    assert found.seconds["hanging"] == pytest.approx(0.1, abs=0.3)
    for timeout in (0.1, None, 5.0):
        again = checked_scores(reward, pieces("a"), timeout=timeout)
        assert again.reasons == (
            "hanging is still at an earlier call, which gave no score within 0.1 s",
        )
    assert time.perf_counter() - begin < 4
    assert function.calls == threads() == 1
    # Another reward has nothing to do with it.
    assert checked_scores(
        FunctionReward(lambda some: [2.0], "other"), pieces("a"), timeout=5.0
    ).values.tolist() == [2.0]
    function.released.set()
    deadline = time.perf_counter() + 10
    while threads() and time.perf_counter() < deadline:
        time.sleep(0.01)
    assert checked_scores(reward, pieces("a"), timeout=5.0).values.tolist() == [1.0]
    assert function.calls == 2


def test_in_time_nothing_changes():
    def picky(some: Sequence[Generated]) -> list[float]:
        if any(piece.text == "b" for piece in some):
            raise ValueError("no b")
        return [1.0] * len(some)

    for reward in (
        FunctionReward(picky),
        FunctionReward(lambda some: [1.0, float("nan"), 2.0], "odd"),
    ):
        ours, theirs = (
            checked_scores(reward, pieces("a", "b", "c"), timeout=timeout)
            for timeout in (5.0, None)
        )
        assert torch.equal(ours.values.nan_to_num(9.0), theirs.values.nan_to_num(9.0))
        assert ours.reasons == theirs.reasons
    with pytest.raises(ScoresError, match="gave 1 scores for 2 pieces"):
        checked_scores(FunctionReward(lambda some: [1.0]), pieces("a", "b"), timeout=5.0)


def test_the_callers_context_holds_in_the_thread():
    seen = []

    def look(some: Sequence[Generated]) -> list[float]:
        seen.append((torch.is_grad_enabled(), threading.current_thread().daemon))
        return [0.0] * len(some)

    with torch.no_grad():
        checked_scores(FunctionReward(look), pieces("a"), timeout=5.0)
    checked_scores(FunctionReward(look), pieces("a"), timeout=5.0)
    checked_scores(FunctionReward(look), pieces("a"))
    assert seen == [(False, True), (True, True), (True, False)]


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan")])
def test_a_limit_of_no_time_is_an_error(timeout):
    with pytest.raises(MusicZooError, match="cannot be"):
        checked_scores(FunctionReward(lambda some: [1.0]), pieces("a"), timeout=timeout)


@pytest.mark.slow
def test_a_process_with_a_hanging_reward_ends():
    program = (
        "import time; from musiczoo.rewards import FunctionReward, checked_scores\n"
        "found = checked_scores(FunctionReward(lambda some: time.sleep(600), 'sleeper'), [None], timeout=0.2)\n"
        "assert found.reasons == ('sleeper gave no score within 0.2 s',), found\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=300, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
