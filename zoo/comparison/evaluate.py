"""Makes the portrait of a model: one completion for each prompt, rendered and scored while others are still being sampled."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from musiczoo.callbacks.rollouts.prompts import prompt_text
from musiczoo.comparison.evaluation import Floats, Portrait
from musiczoo.metrics.divergence import divergence
from musiczoo.metrics.diversity import DistinctNgrams, PieceDistance, View
from musiczoo.metrics.midi_features import FEATURE_NAMES, midi_features
from musiczoo.metrics.piano_rolls import MeanPianoRoll
from musiczoo.metrics.sounding import music_of
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.models.reference import evaluating
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards.audio import renderers
from musiczoo.rewards.base import Reward, checked_scores

_VIEWS: tuple[View, ...] = ("piano_roll", "onsets")
_WINDOW = 64
"""Completions that are scored together: as many clips are in memory at once, of 4 MB each where they last ten seconds."""


def portray(
    model: GenerativeModule,
    prompts: Sequence[Any],
    *,
    name: str,
    reward: Reward | None = None,
    reference: GenerativeModule | None = None,
    max_new_tokens: int | None = 256,
    sampling: Sampling | None = None,
    seed: int = 0,
    batch_size: int = 64,
    reward_timeout: float | None = None,
    progress: bool = False,
) -> Portrait:
    """What a model makes of prompts, one completion each (SMART, arXiv 2504.16839, section 4: a thousand of each model).

    Every prompt has a random seed of its own that depends on ``seed`` and its place alone, so
    models that are portrayed with the same prompts and seed draw with the same random numbers. A
    reward that listens begins to render a completion as soon as it has ended.

    Args:
        model: What writes; it is left as it was.
        prompts: As its ``generate`` takes them.
        name: Of the model, for tables and pictures.
        reward: What scores the completions, some at a time; None scores nothing. Clips that its
            renderer keeps are dropped.
        reference: The divergence from this model is measured
            (:func:`musiczoo.metrics.divergence.divergence`).
        max_new_tokens: Tokens of a completion at most; of models that know no such limit, the
            ``max_length`` of a piece.
        sampling: How tokens are drawn; the model's own settings when None. Compare models under the
            same settings.
        seed: Of the random numbers.
        batch_size: Completions at once.
        reward_timeout: Seconds after which completions that are scored together have no score; None
            waits for ever.
        progress: Show progress bars.

    Raises:
        MusicZooError: No prompts, one that the model cannot go on from, a mixture that is scaled by
            batch, or a reward that gives another number of scores than there are completions.
    """
    if not prompts:
        raise MusicZooError("There are no prompts.", where="prompts", remedy="Give one or more.")
    if getattr(reward, "scale", None) == "batch":
        raise MusicZooError(
            "Scores that are scaled by batch cannot be compared.",
            where="reward",
            remedy='Give a mixture of scale="none".',
        )
    sampling = sampling or model.sampling
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=Console(stderr=True), disable=not progress, transient=True
    ) as bar:
        scorer = _Scorer(
            reward,
            len(prompts),
            reward_timeout,
            bar,
            bar.add_task(f"{_plain(name)}: scoring", total=len(prompts)),
        )
        task = bar.add_task(f"{_plain(name)}: sampling", total=len(prompts))

        def done(index: int, result: Generated) -> None:
            bar.advance(task)
            scorer.add(index, result)

        with evaluating(model):
            results = model.generate(
                prompts,
                sampling,
                generator=torch.Generator().manual_seed(seed),
                **_options(model, max_new_tokens, batch_size, done),
            )
        for index, result in enumerate(results):
            scorer.add(index, result)  # nothing where it came by itself
        scorer.finish()
        apart, estimator = None, None
        if reference is not None:
            bar.add_task(f"{_plain(name)}: divergence", total=None)
            found, estimator = divergence(model, reference, results, sampling.temperature)
            apart = found.numpy()
    vocabulary = model.representation.vocabulary
    settings = {
        "seed": seed,
        "max_new_tokens": max_new_tokens,
        "sampling": asdict(sampling),
        "reward": None if reward is None else reward.name,
        "divergence": estimator,
    }
    return Portrait(
        name=name,
        prompts=tuple(prompt_text(prompt, vocabulary) for prompt in prompts),
        settings=settings,
        rewards=scorer.rewards,
        unscored=dict(scorer.reasons.most_common()),
        divergence=apart,
        results=tuple(results),
        **_measures(results),
    )


def _options(
    model: GenerativeModule, limit: int | None, batch_size: int, done: Any
) -> dict[str, Any]:
    """What this model's ``generate`` knows of these."""
    known = inspect.signature(model.generate).parameters
    options: dict[str, Any] = {"batch_size": batch_size, "on_done": done}
    options = {option: value for option, value in options.items() if option in known}
    if limit is not None:
        options["max_new_tokens" if "max_new_tokens" in known else "max_length"] = limit
    return options


def _measures(results: Sequence[Generated]) -> dict[str, Any]:
    """What is measured of completions without a reward, by the names of the portrait's fields."""
    features: dict[str, Floats] = {
        feature: np.full(len(results), math.nan) for feature in FEATURE_NAMES
    }
    left_out: Counter[str] = Counter()
    pitches, velocities = np.zeros(128, dtype=np.int64), np.zeros(128, dtype=np.int64)
    for index, result in enumerate(results):
        found = music_of(result, midi_features)
        if found is None or not found.notes:
            left_out["no piece" if found is None else "no notes"] += 1
            continue
        for feature, number in found.numbers().items():
            features[feature][index] = number
        pitches += found.pitches
        velocities += found.velocities
    roll, ngrams = MeanPianoRoll(), DistinctNgrams()
    distances = {view: PieceDistance(view) for view in _VIEWS}
    for metric in (roll, ngrams, *distances.values()):
        metric.update(results)
    diversity: dict[str, float] = {
        str(view): float(distance.compute()) for view, distance in distances.items()
    }
    diversity |= {order: float(share) for order, share in ngrams.compute().items()}
    return {
        "features": features,
        "left_out": dict(left_out),
        "pitches": pitches,
        "velocities": velocities,
        "roll": roll.compute().double().numpy(),
        "diversity": diversity,
        "ended": np.array([result.stop == "end" for result in results]),
        "lengths": np.array([int(result.scored.sum()) for result in results], dtype=np.int64),
    }


class _Scorer:
    """Scores completions as they come, some at a time.

    A full window is scored when the next completion comes, not at once: rows of a batch end
    together, and by then the workers have had the time of another batch to render them.

    Attributes:
        rewards: The values under the reward's name, and its details, (n,) each, NaN where there is
            none yet.
        reasons: Why completions have no reward.
    """

    def __init__(
        self, reward: Reward | None, n: int, timeout: float | None, bar: Progress, task: TaskID
    ) -> None:
        self.rewards: dict[str, Floats] = (
            {} if reward is None else {reward.name: np.full(n, math.nan)}
        )
        self.reasons: Counter[str] = Counter()
        self._reward = reward
        self._timeout = timeout
        self._renderers = renderers(reward)
        self._bar, self._task = bar, task
        self._came: set[int] = set()
        self._waiting: list[tuple[int, Generated]] = []
        self._n = n
        bar.update(task, visible=reward is not None)

    def add(self, index: int, result: Generated) -> None:
        """Takes a completion; its rendering begins, and those before it may be scored."""
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
        """Scores what waits."""
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


def _plain(text: str) -> str:
    """Users' names as they are: square brackets would be taken for styles."""
    return text.replace("[", r"\[")
