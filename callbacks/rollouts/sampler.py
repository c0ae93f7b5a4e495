"""Makes rollout steps: prompts, completions, scores, advantages, and the reference's values."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from musiczoo.callbacks.prompts.records import prompt_text
from musiczoo.callbacks.prompts.sources import PromptSource
from musiczoo.callbacks.rollouts.batches import TrainingRollouts
from musiczoo.callbacks.rollouts.completions import Completion, sampled_completion
from musiczoo.callbacks.rollouts.report import divergence, step_report
from musiczoo.callbacks.rollouts.settings import RolloutSettings
from musiczoo.callbacks.seeds import seed_of
from musiczoo.models.base.evaluation import evaluating
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.models.base.ranks import agreed, gathered
from musiczoo.models.objectives.policy import group_advantages
from musiczoo.models.reference import ReferencePolicy
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards import Reward, checked_scores
from musiczoo.rewards.audio import renderers

_log = logging.getLogger(__name__)


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


class RolloutSampler:
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
        self._warned: set[str] = set()

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
            MusicZooError: The source gives another number of prompts, one that the module cannot
                continue, or the reward another number of scores. Under several processes all of
                them raise it.
        """
        began = time.perf_counter()
        completions, results = agreed(lambda: self._sampled(module, step), self.world_size)
        sampled = time.perf_counter()
        completions, reward_seconds = self._all_scored(completions, results)
        scored = time.perf_counter()
        rollouts = TrainingRollouts.of(completions)
        if reference is not None:
            values = self._log_probs(
                module,
                rollouts,
                lambda batch: reference.log_probs(module, batch, self._temperature).values,
            )
            completions = [
                replace(one, kl=divergence(one, there))
                for one, there in zip(completions, values, strict=True)
            ]
            if "reference" in train_on:
                rollouts = replace(rollouts, reference=values)
        if "old" in train_on:
            old = self._log_probs(module, rollouts, lambda batch: self._policy(module, batch))
            rollouts = replace(rollouts, old=old)
        report = {
            "step": step,
            **step_report(completions, self.settings.group_size),
            "seconds": {
                "sample": sampled - began,
                "score": scored - sampled,
                "reference": time.perf_counter() - scored,
            },
            "reward_seconds": reward_seconds,
        }
        self._warn(report)
        return MadeStep(rollouts, completions, results, report)

    @property
    def _temperature(self) -> float:
        return self.settings.drawing.temperature

    def _drawn(self, step: int) -> list[Any]:
        """The prompts of a step, one a group."""
        settings = self.settings
        prompts = self.prompts.draw(settings.groups, random.Random(f"{settings.seed}:{step}"))
        if len(prompts) != settings.groups:
            raise MusicZooError(
                f"The prompt source {self.prompts.name} gave {len(prompts)} prompts instead of"
                f" {settings.groups}.",
                where="prompts",
            )
        return prompts

    def _sampled(
        self, module: GenerativeModule, step: int
    ) -> tuple[list[Completion], dict[int, Generated]]:
        """This process's completions, and their pieces by number."""
        settings = self.settings
        prompts = self._drawn(step)
        first, last = (
            settings.groups * rank // self.world_size for rank in (self.rank, self.rank + 1)
        )
        groups = [group for group in range(first, last) for _ in range(settings.group_size)]
        if not groups:
            return [], {}
        start = first * settings.group_size
        generator = torch.Generator().manual_seed(seed_of(settings.seed, step))
        # Modules draw one number for each piece, its own seed, in order: with those of the
        # processes before this one drawn, any number of processes samples what one would.
        torch.randint(2**62, (start,), generator=generator)
        results = self._generated(module, [prompts[group] for group in groups], generator, step)
        vocabulary = module.representation.vocabulary
        texts = [prompt_text(prompts[group], vocabulary) for group in groups]
        made = [
            sampled_completion(module, start + place, group, text, results[place])
            for place, (group, text) in enumerate(zip(groups, texts, strict=True))
        ]
        return made, {start + place: result for place, result in results.items()}

    def _generated(
        self,
        module: GenerativeModule,
        prompts: Sequence[Any],
        generator: torch.Generator,
        step: int,
    ) -> dict[int, Generated]:
        """A piece for each prompt, by place; each is rendered while others are still sampled."""
        results: dict[int, Generated] = {}
        console = Console(stderr=True)
        with Progress(console=console, disable=not self.progress, transient=True) as bar:
            task = bar.add_task(
                f"step {step}: sampling {len(prompts)} completions", total=len(prompts)
            )
            with evaluating(module, keep_rng=True):
                for place, result in module.stream(
                    prompts,
                    self.settings.drawing,
                    self.settings.max_length,
                    generator,
                    **self._options(module, len(prompts)),
                ):
                    results[place] = result
                    bar.advance(task)
                    if result.piece is not None:
                        for renderer in self.renderers:
                            renderer.begin(result.piece)
        return results

    def _options(self, module: GenerativeModule, pieces: int) -> dict[str, Any]:
        """Of the module's ``stream``: all pieces at once, unless the user wants less."""
        own: dict[str, Any] = {"batch_size": pieces}
        if self.settings.max_new_tokens is not None and "max_new_tokens" in module.generate_options:
            own["max_new_tokens"] = self.settings.max_new_tokens
        return {**own, **self.settings.options}

    def _all_scored(
        self, completions: Sequence[Completion], results: Mapping[int, Generated]
    ) -> tuple[list[Completion], dict[str, float]]:
        """The completions of all processes with rewards and advantages, and the reward's seconds.

        Args:
            completions: This process's.
            results: Their pieces by number.
        """
        own = agreed(lambda: self._scored(completions, results), self.world_size)
        parts = gathered(own, self.world_size)
        everyone = sorted((one for part, _ in parts for one in part), key=lambda one: one.number)
        rewards = torch.tensor([one.reward for one in everyone], dtype=torch.float64)
        advantages = group_advantages(rewards, self.settings.group_size, scale=self.settings.scale)
        everyone = [
            replace(one, advantage=value)
            for one, value in zip(everyone, advantages.tolist(), strict=True)
        ]
        names = dict.fromkeys(name for _, some in parts for name in some)
        return everyone, {name: max(some.get(name, 0.0) for _, some in parts) for name in names}

    def _scored(
        self, completions: Sequence[Completion], results: Mapping[int, Generated]
    ) -> tuple[list[Completion], dict[str, float]]:
        """This process's completions with rewards or reasons, and the seconds of each part."""
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
        score: Callable[[dict[str, Tensor]], Tensor],
    ) -> list[Tensor]:
        """(targets,) float32 a completion, in all processes; in the micro-batches of training.

        Args:
            module: Whose representation and device the batches have.
            rollouts: All of the step.
            score: Gives the (batch, targets) log-probabilities of a batch.
        """
        device = next(module.parameters()).device
        known: dict[int, Tensor] = {}
        with self.precision():
            for indices in rollouts.shares(self.batch_size, self.rank, self.world_size):
                if not indices:
                    continue
                batch = module.representation.collate([rollouts.items[index] for index in indices])
                on_device = {name: value.to(device) for name, value in batch.items()}
                for index, row in zip(indices, score(on_device).float().cpu(), strict=True):
                    known[index] = row[: len(rollouts.completions[index])].clone()
        everything: dict[int, Tensor] = {}
        for part in gathered(known, self.world_size):
            everything.update(part)
        return [everything[index] for index in range(len(rollouts.items))]

    def _policy(self, module: GenerativeModule, batch: dict[str, Tensor]) -> Tensor:
        with evaluating(module, keep_rng=True):
            return module.log_probs(batch, self._temperature).values

    def _warn(self, report: Mapping[str, Any]) -> None:
        """Logs what left completions without a reward, each reason once."""
        for reason, times in report["failed"].items():
            if reason not in self._warned and self.rank == 0:
                _log.warning(
                    "Step %d: %d completions have no reward: %s. Further ones are counted.",
                    report["step"],
                    times,
                    reason,
                )
            self._warned.add(reason)


# The name until 0.1.
RolloutMaker = RolloutSampler
