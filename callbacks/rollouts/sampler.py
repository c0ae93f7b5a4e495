"""Makes a rollout step: prompts, completions, scores, advantages, and what the reference says of them."""

from __future__ import annotations

import hashlib
import inspect
import logging
import math
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from musiczoo.callbacks.rollouts.batches import TrainingRollouts
from musiczoo.callbacks.rollouts.files import Completion
from musiczoo.callbacks.rollouts.prompts import PromptSource, prompt_text
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.models.objectives.policy import Scale, group_advantages
from musiczoo.models.reference import ReferencePolicy, evaluating
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards import Reward, checked_scores
from musiczoo.rewards.audio import renderers

Thing = TypeVar("Thing")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RolloutSettings:
    """The settings of a run's steps; :class:`musiczoo.callbacks.GroupRollouts` describes them."""

    groups: int
    group_size: int
    max_new_tokens: int | None
    max_length: int | None
    sampling: Sampling
    scale: Scale
    reward_timeout: float | None
    seed: int
    generation: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """What decides the rollouts, as plain JSON values, the same in another process."""
        # Options may be objects, which are named by what they say of themselves, but for where they
        # lie in memory.
        generation = {
            name: _ADDRESS.sub("", repr(value)) for name, value in self.generation.items()
        }
        plain = asdict(replace(self, generation={}))
        # How long one waits for a reward decides nothing.
        plain.pop("reward_timeout")
        return {**plain, "generation": generation}


@dataclass(frozen=True)
class MadeStep:
    """A rollout step.

    Attributes:
        rollouts: What is trained on.
        completions: All of them, with rewards and reasons.
        results: The pieces that this process has sampled, by number of the completion.
        report: Counts, means and seconds; see :class:`musiczoo.callbacks.GroupRollouts`.
    """

    rollouts: TrainingRollouts
    completions: list[Completion]
    results: dict[int, Generated]
    report: dict[str, Any]


class RolloutMaker:
    """Makes the steps of one fit.

    The processes share sampling, scoring and the reference's log-probabilities.

    Args:
        settings: Of all steps.
        prompts: Where the prompts come from.
        reward: What scores the completions.
        batch_size: Completions of a micro-batch in each process.
        rank: Of this process.
        world_size: Number of processes.
        progress: Show a progress bar.
        precision: Gives the context in which the policy computes in training, such as that of
            autocast.
    """

    def __init__(
        self,
        settings: RolloutSettings,
        prompts: PromptSource,
        reward: Reward,
        *,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        progress: bool = False,
        precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.settings = settings
        self.prompts = prompts
        self.reward = reward
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.progress = progress
        self.precision = precision
        self.renderers = renderers(reward)
        self._told: set[str] = set()

    def make(
        self,
        module: GenerativeModule,
        step: int,
        reference: ReferencePolicy | None = None,
        *,
        train_on: str = "",
    ) -> MadeStep:
        """Makes a step.

        Args:
            module: The policy; it samples in eval mode and is left as it was.
            step: Number of the step, from 1; with the seed it decides prompts and random numbers.
            reference: Whose log-probabilities of the completions are wanted, for the objective or
                for the report.
            train_on: ``"reference"`` puts them into the batches, ``"old"`` those of the policy as
                it is, ``"reference old"`` both.

        Raises:
            MusicZooError: The source gives another number of prompts, one that the module cannot go
                on from, or the reward another number of scores. Under several processes all of them
                raise it.
        """
        began = time.perf_counter()
        completions, results = self._agreed(lambda: self._sampled(module, step))
        sampled = time.perf_counter()
        completions, reward_seconds = self._agreed(lambda: self._scored(completions, results))
        parts = self._gathered((completions, reward_seconds))
        completions = sorted((one for part, _ in parts for one in part), key=lambda one: one.number)
        rewards = torch.tensor([one.reward for one in completions], dtype=torch.float64)
        advantages = group_advantages(rewards, self.settings.group_size, scale=self.settings.scale)
        completions = [
            replace(one, advantage=value)
            for one, value in zip(completions, advantages.tolist(), strict=True)
        ]
        scored = time.perf_counter()
        rollouts = _training(completions)
        if reference is not None:
            said = self._log_probs(
                module,
                rollouts,
                lambda batch: (
                    reference.log_probs(module, batch, self.settings.sampling.temperature).values
                ),
            )
            completions = [
                replace(one, kl=_divergence(one, there))
                for one, there in zip(completions, said, strict=True)
            ]
            if "reference" in train_on:
                rollouts = replace(rollouts, reference=said)
        if "old" in train_on:
            rollouts = replace(
                rollouts,
                old=self._log_probs(module, rollouts, lambda batch: self._policy(module, batch)),
            )
        seconds = {
            "sample": sampled - began,
            "score": scored - sampled,
            "reference": time.perf_counter() - scored,
        }
        parts_seconds = {
            name: max(some.get(name, 0.0) for _, some in parts)
            for _, some in parts
            for name in some
        }
        report = {
            "step": step,
            **_report(completions, self.settings.group_size),
            "seconds": seconds,
            "reward_seconds": parts_seconds,
        }
        self._tell(report)
        return MadeStep(rollouts, completions, results, report)

    def _sampled(
        self, module: GenerativeModule, step: int
    ) -> tuple[list[Completion], dict[int, Generated]]:
        """This process's completions, and their pieces by number."""
        settings = self.settings
        prompts = self.prompts.draw(settings.groups, random.Random(f"{settings.seed}:{step}"))
        if len(prompts) != settings.groups:
            raise MusicZooError(
                f"The prompt source {self.prompts.name} gave {len(prompts)} prompts instead of"
                f" {settings.groups}.",
                where="prompts",
            )
        first, last = (
            settings.groups * rank // self.world_size for rank in (self.rank, self.rank + 1)
        )
        groups = [group for group in range(first, last) for _ in range(settings.group_size)]
        if not groups:
            return [], {}
        generator = torch.Generator().manual_seed(_seed(settings.seed, step))
        # Modules draw one number for each piece, its own seed, in order: with those of the
        # processes before this one drawn, as many processes as you like sample what one would.
        torch.randint(2**62, (first * settings.group_size,), generator=generator)
        with Progress(
            console=Console(stderr=True), disable=not self.progress, transient=True
        ) as bar:
            task = bar.add_task(
                f"step {step}: sampling {len(groups)} completions", total=len(groups)
            )

            def done(index: int, result: Generated) -> None:
                bar.advance(task)
                self._begin_rendering(result)

            options = self._options(module, len(groups), done)
            with evaluating(module):
                results = module.generate(
                    [prompts[group] for group in groups],
                    settings.sampling,
                    settings.max_length,
                    generator,
                    **options,
                )
        for result in results:
            # Nothing where it has begun.
            self._begin_rendering(result)
        vocabulary = module.representation.vocabulary
        texts = [prompt_text(prompts[group], vocabulary) for group in groups]
        start = first * settings.group_size
        made = [
            _completion(module, start + place, group, text, result)
            for place, (group, text, result) in enumerate(zip(groups, texts, results, strict=True))
        ]
        return made, {start + place: result for place, result in enumerate(results)}

    def _options(
        self, module: GenerativeModule, pieces: int, done: Callable[[int, Generated], None]
    ) -> dict[str, Any]:
        """Of the module's ``generate``: all pieces at once, unless the user wants less."""
        known = inspect.signature(module.generate).parameters
        own: dict[str, Any] = {"batch_size": pieces} if "batch_size" in known else {}
        if "on_done" in known:
            own["on_done"] = done
        if self.settings.max_new_tokens is not None and "max_new_tokens" in known:
            own["max_new_tokens"] = self.settings.max_new_tokens
        return {**own, **self.settings.generation}

    def _begin_rendering(self, result: Generated) -> None:
        if result.piece is not None:
            for renderer in self.renderers:
                renderer.begin(result.piece)

    def _scored(
        self, completions: Sequence[Completion], results: Mapping[int, Generated]
    ) -> tuple[list[Completion], dict[str, float]]:
        """This process's completions with rewards or reasons, and the seconds that each part of the reward took."""
        good = [one for one in completions if one.reason is None]
        found = {one.number: one for one in completions}
        seconds: dict[str, float] = {}
        if good:
            scores = checked_scores(
                self.reward,
                [results[one.number] for one in good],
                timeout=self.settings.reward_timeout,
            )
            seconds = {name: float(value) for name, value in scores.seconds.items()}
            details = {name: detail.tolist() for name, detail in scores.details.items()}
            for place, (one, value, reason) in enumerate(
                zip(good, scores.values.tolist(), scores.reasons, strict=True)
            ):
                found[one.number] = replace(
                    one,
                    reward=value,
                    reason=reason,
                    details={name: float(detail[place]) for name, detail in details.items()},
                )
        return [found[one.number] for one in completions], seconds

    def _log_probs(
        self,
        module: GenerativeModule,
        rollouts: TrainingRollouts,
        say: Callable[[dict[str, Tensor]], Tensor],
    ) -> list[Tensor]:
        """(targets,) float32 a completion, in all processes, computed in the micro-batches of the training."""
        device = next(module.parameters()).device
        known: dict[int, Tensor] = {}
        with self.precision():
            for indices in rollouts.shares(self.batch_size, self.rank, self.world_size):
                if not indices:
                    continue
                batch = module.representation.collate([rollouts.items[index] for index in indices])
                values = (
                    say({name: value.to(device) for name, value in batch.items()}).float().cpu()
                )
                known.update(
                    {
                        index: row[: len(rollouts.completions[index])].clone()
                        for index, row in zip(indices, values, strict=True)
                    }
                )
        everything = {
            index: values for part in self._gathered(known) for index, values in part.items()
        }
        return [everything[index] for index in range(len(rollouts.items))]

    def _policy(self, module: GenerativeModule, batch: dict[str, Tensor]) -> Tensor:
        with evaluating(module):
            return module.log_probs(batch, self.settings.sampling.temperature).values

    def _tell(self, report: Mapping[str, Any]) -> None:
        """Warns of what left completions without a reward, of each reason once."""
        for reason, times in report["failed"].items():
            if reason not in self._told and self.rank == 0:
                _log.warning(
                    "Step %d: %d completions have no reward: %s. Further ones are counted.",
                    report["step"],
                    times,
                    reason,
                )
            self._told.add(reason)

    def _agreed(self, act: Callable[[], Thing]) -> Thing:
        """What this process makes.

        An error of one is an error of all, for the others would wait for it in vain.
        """
        made: Thing | None = None
        problem: MusicZooError | None = None
        try:
            made = act()
        except MusicZooError as error:
            problem = error
        if problem is not None and self.world_size == 1:
            raise problem
        for other in self._gathered(problem):
            if other is not None:
                raise other
        return made  # type: ignore[return-value]  # made, for there was no error

    def _gathered(self, thing: Thing) -> list[Thing]:
        """What each process has, in all of them."""
        if self.world_size == 1:
            return [thing]
        parts: list[Any] = [None] * self.world_size
        torch.distributed.all_gather_object(parts, thing)
        return parts


def _completion(
    module: GenerativeModule, number: int, group: int, prompt: str, result: Generated
) -> Completion:
    """A sampled piece before it is scored."""
    reason = None if result.piece is not None else f"the piece cannot be read: {result.error}"
    try:
        tokens, scored = module.rollout_item(result)
    except MusicZooError as error:
        # One step of it keeps its place in the batches, without a target.
        tokens, scored = result.tokens[:1], torch.zeros(0, dtype=torch.bool)
        reason = f"the completion cannot be trained on: {error.message}"
        log_probs = torch.zeros(0)
    else:
        log_probs = result.log_probs[1:].flatten().float()
    # Clones: what is made in inference mode cannot be trained on.
    tokens, scored, log_probs = (
        tensor.detach().cpu().clone() for tensor in (tokens, scored, log_probs)
    )
    return Completion(
        number,
        group,
        prompt,
        result.text,
        tokens,
        result.stop,
        scored,
        log_probs.masked_fill(~scored, 0.0),
        reason=reason,
    )


def _training(completions: Sequence[Completion]) -> TrainingRollouts:
    masks = [one.completion for one in completions]
    if all(math.isnan(one.reward) for one in completions):
        # Nothing was learnt of this policy, and a step towards the reference alone was not asked
        # for.
        masks = [torch.zeros_like(mask) for mask in masks]
    advantages = torch.tensor([one.advantage for one in completions], dtype=torch.float64)
    return TrainingRollouts([one.tokens for one in completions], masks, advantages)


def _divergence(completion: Completion, reference: Tensor) -> float:
    """Schulman's "k3" estimate a sampled target, in nats; both policies in eval mode."""
    apart = (reference - completion.log_probs)[completion.completion].double()
    return float((torch.expm1(apart) - apart).mean()) if len(apart) else math.nan


def _seed(*numbers: int) -> int:
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=7).digest())


def _report(completions: Sequence[Completion], group_size: int) -> dict[str, Any]:
    rewards = torch.tensor([one.reward for one in completions], dtype=torch.float64)
    scored = rewards[~rewards.isnan()]
    lengths = torch.tensor([int(one.completion.sum()) for one in completions], dtype=torch.float64)
    targets = float(lengths.sum())
    said = float(sum(one.log_probs.double().sum() for one in completions))
    known = [
        (one.kl, length)
        for one, length in zip(completions, lengths.tolist(), strict=True)
        if not math.isnan(one.kl)
    ]
    weight = sum(length for _, length in known)
    groups = rewards.reshape(-1, group_size)
    names = dict.fromkeys(name for one in completions for name in one.details)
    return {
        "reward": float(scored.mean()) if len(scored) else math.nan,
        "reward_std": float(scored.std()) if len(scored) > 1 else math.nan,
        "details": {
            name: _mean([one.details[name] for one in completions if name in one.details])
            for name in names
        },
        "kl": sum(kl * length for kl, length in known) / weight if weight else math.nan,
        # The mean of -log p of what was sampled estimates the entropy of the policy a target.
        "entropy": -said / targets if targets else math.nan,
        "length": float(lengths.mean()),
        "ended": sum(one.stop == "end" for one in completions) / len(completions),
        # Groups that teach nothing, for their rewards are all the same.
        "flat_groups": float(
            (groups.nan_to_num(-torch.inf).amax(dim=1) <= groups.nan_to_num(torch.inf).amin(dim=1))
            .double()
            .mean()
        ),
        "completions": len(completions),
        "scored": len(scored),
        "failed": dict(Counter(one.reason.partition(":")[0] for one in completions if one.reason)),
    }


def _mean(values: Sequence[float]) -> float:
    good = [value for value in values if math.isfinite(value)]
    return sum(good) / len(good) if good else math.nan
