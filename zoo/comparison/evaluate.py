"""Evaluates a model: one completion for each prompt, scored while others are being sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from musiczoo.callbacks.prompts.records import prompt_text
from musiczoo.comparison.evaluation import Evaluation
from musiczoo.comparison.measures import Floats, measured
from musiczoo.comparison.scoring import Scorer
from musiczoo.metrics.divergence import divergence
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards.base import Reward


def evaluate(
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
) -> Evaluation:
    """The evaluation of a model on prompts, one completion each (SMART, arXiv 2504.16839, sec. 4).

    Every prompt has a random seed that depends on ``seed`` and its place alone: models with the
    same prompts and seed draw with the same random numbers. Rewards of audio render meanwhile.

    Args:
        model: Generates the completions; it is left as it was.
        prompts: As its ``generate`` takes them.
        name: Of the model, for tables and pictures.
        reward: Scores the completions; None scores nothing. Clips of its renderer are dropped.
        reference: The model from which the divergence is measured; None measures none.
        max_new_tokens: Tokens of a completion at most; for models without such a limit, the
            ``max_length`` of a piece.
        sampling: How tokens are drawn; the model's own settings when None.
        seed: Of the random numbers.
        batch_size: Completions at once.
        reward_timeout: Seconds after which completions that are scored together have no score.
        progress: Show progress bars.

    Raises:
        MusicZooError: No prompts, one that the model cannot continue, a mixture that is scaled by
            batch, or a reward that gives a wrong number of scores.
    """
    _check(prompts, reward)
    sampling, vocabulary = sampling or model.sampling, model.representation.vocabulary
    with _progress(progress) as bar:
        scorer = Scorer(reward, len(prompts), reward_timeout, bar, f"{_plain(name)}: scoring")
        completions = _completions(model, prompts, sampling, max_new_tokens, seed, batch_size)
        task = bar.add_task(f"{_plain(name)}: sampling", total=len(prompts))
        results = _scored(completions, scorer, lambda: bar.advance(task))
        if reference is not None:
            bar.add_task(f"{_plain(name)}: divergence", total=None)
        apart, estimator = _divergence(model, reference, results, sampling.temperature)
    return Evaluation(
        name=name,
        prompts=tuple(prompt_text(prompt, vocabulary) for prompt in prompts),
        settings={
            **{"seed": seed, "max_new_tokens": max_new_tokens, "sampling": asdict(sampling)},
            **{"reward": None if reward is None else reward.name, "divergence": estimator},
        },
        measures=measured(results),
        rewards=scorer.rewards,
        unscored=dict(scorer.reasons.most_common()),
        divergence=apart,
        results=tuple(results),
    )


portray = evaluate  # the name until 0.1


def _check(prompts: Sequence[Any], reward: Reward | None) -> None:
    if not prompts:
        raise MusicZooError("There are no prompts.", where="prompts", remedy="Give one or more.")
    if getattr(reward, "scale", None) == "batch":
        raise MusicZooError(
            "Scores that are scaled by batch cannot be compared.",
            where="reward",
            remedy='Give a mixture of scale="none".',
        )


def _progress(shown: bool) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True)


def _completions(
    model: GenerativeModule,
    prompts: Sequence[Any],
    sampling: Sampling,
    limit: int | None,
    seed: int,
    batch_size: int,
) -> Iterator[tuple[int, Generated]]:
    """The completions with the places of their prompts, each as soon as it has ended."""
    counts_new = "max_new_tokens" in model.generate_options
    options: dict[str, Any] = {}
    if counts_new and limit is not None:
        options["max_new_tokens"] = limit
    return model.stream(
        prompts,
        sampling,
        None if counts_new else limit,
        torch.Generator().manual_seed(seed),
        batch_size=batch_size,
        **options,
    )


def _scored(
    completions: Iterable[tuple[int, Generated]], scorer: Scorer, came: Callable[[], Any]
) -> list[Generated]:
    """The completions in the order of their prompts; they are scored as they come."""
    found: dict[int, Generated] = {}
    for index, result in completions:
        found[index] = result
        came()
        scorer.add(index, result)
    scorer.finish()
    return [found[index] for index in range(len(found))]


def _divergence(
    model: GenerativeModule,
    reference: GenerativeModule | None,
    results: Sequence[Generated],
    temperature: float,
) -> tuple[Floats | None, str | None]:
    if reference is None:
        return None, None
    found, estimator = divergence(model, reference, results, temperature)
    return found.numpy(), estimator


def _plain(text: str) -> str:
    """Users' names unchanged: square brackets would be read as styles."""
    return text.replace("[", r"\[")
