"""Scores of completions, computed while others are still being sampled."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from rich.progress import Progress, TaskID

from musiczoo.comparison.measures import Floats
from musiczoo.models.base.generative import Generated
from musiczoo.rewards.audio import renderers
from musiczoo.rewards.base import Reward, checked_scores

_WINDOW = 64
"""Completions that are scored together. The same number of clips is in memory, of 4 MB each where
they last ten seconds."""


class Scorer:
    """Scores completions as they come, some at a time.

    A full window is scored when the next completion comes, not at once: rows of a batch end
    together, and by then the workers have had the time of another batch to render them.

    Args:
        reward: What scores; None scores nothing.
        n: The number of completions.
        timeout: Seconds after which completions that are scored together have no score; None waits
            for ever.
        bar: Shows how many are scored.
        title: Of the bar.

    Attributes:
        rewards: The values under the reward's name, and its details, (n,) each, NaN where there is
            none yet.
        reasons: The number of completions without a reward, by reason.
    """

    def __init__(
        self, reward: Reward | None, n: int, timeout: float | None, bar: Progress, title: str
    ) -> None:
        self.rewards: dict[str, Floats] = (
            {} if reward is None else {reward.name: np.full(n, math.nan)}
        )
        self.reasons: Counter[str] = Counter()
        self._reward = reward
        self._timeout = timeout
        self._renderers = list(renderers(reward))
        self._bar = bar
        self._task: TaskID = bar.add_task(title, total=n, visible=reward is not None)
        self._came: set[int] = set()
        self._waiting: list[tuple[int, Generated]] = []
        self._n = n

    def add(self, index: int, result: Generated) -> None:
        """Accepts a completion; its rendering begins, and those before it may be scored."""
        if self._reward is None or index in self._came:
            return
        self._came.add(index)
        if result.piece is None:
            self.reasons["the piece cannot be read"] += 1
            self._bar.advance(self._task)
            return
        if len(self._waiting) >= _WINDOW:
            self.finish()
        self._waiting.append((index, result))
        for renderer in self._renderers:
            renderer.begin(result.piece)

    def finish(self) -> None:
        """Scores the completions that wait."""
        if self._reward is None or not self._waiting:
            return
        indices = [index for index, _ in self._waiting]
        scores = checked_scores(
            self._reward, [result for _, result in self._waiting], timeout=self._timeout
        )
        self.reasons.update(reason for reason in scores.reasons if reason is not None)
        # The reward's own value last: a detail of the same name must not hide it.
        for name, values in {**scores.details, self._reward.name: scores.values}.items():
            self.rewards.setdefault(name, np.full(self._n, math.nan))[indices] = (
                values.cpu().double().numpy()
            )
        for renderer in self._renderers:
            renderer.forget()
        self._bar.advance(self._task, len(indices))
        self._waiting = []
