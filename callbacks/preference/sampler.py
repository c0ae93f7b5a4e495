"""Makes preference rounds: pieces, scores, examples, and pairs with their references."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from musiczoo.callbacks.preference.files import RoundFiles, Sample
from musiczoo.callbacks.preference.report import counted_reasons, round_report
from musiczoo.callbacks.preference.selection import Selected, select
from musiczoo.callbacks.preference.settings import RoundSettings
from musiczoo.callbacks.preference.training_pairs import (
    cropped_examples,
    drawn_pairs,
    with_references,
)
from musiczoo.callbacks.prompts.records import prompt_record
from musiczoo.callbacks.prompts.sources import PromptSource, as_prompt_source
from musiczoo.callbacks.seeds import seed_of
from musiczoo.models.base.generative import GenerativeModule
from musiczoo.models.base.ranks import from_first, gathered
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards import Reward, checked_scores
from musiczoo.rewards.admission import AdmissionRule

NOT_ENDED = "the piece did not come to its end"


class PreferenceSampler:
    """Makes the rounds of one fit.

    Args:
        settings: Of all rounds.
        reward: Prepared for the prompts.
        prompts: Where the prompts come from: a source, or a list.
        rank: Of this process.
        world_size: Number of processes; they share sampling, scoring and the reference's
            log-probabilities.
        rules: Rules of admission; those of the settings when None. They are prepared here.

    Raises:
        MusicZooError: A rule cannot be calibrated.
    """

    def __init__(
        self,
        settings: RoundSettings,
        reward: Reward,
        prompts: PromptSource | Sequence[Any],
        *,
        rank: int,
        world_size: int,
        rules: Sequence[AdmissionRule] | None = None,
    ) -> None:
        self.settings = settings
        self.reward = reward
        self.source = as_prompt_source(prompts)
        self.rank = rank
        self.world_size = world_size
        self.rules = list(settings.admission() if rules is None else rules)
        for rule in self.rules:
            rule.prepare(reward)

    def prompts(self, number: int) -> list[Any]:
        """The prompts of a round, each once.

        Args:
            number: Of the round, from 1.

        Raises:
            MusicZooError: The source lists no prompts, and no number of them is given.
        """
        count = self.settings.prompt_count
        found: Sequence[Any] | None
        if count is not None:
            rng = random.Random(f"{self.settings.seed}:{number}:prompts")
            found = self.source.draw(count, rng)
        else:
            found = getattr(self.source, "prompts", None)
        if found is None:
            raise MusicZooError(
                f"The prompt source {self.source.name} has no list of its prompts.",
                where="PreferenceRounds(prompts=...)",
                remedy="Give prompt_count=, the number of prompts of a round.",
            )
        # A prompt need not be hashable, its record is.
        return list({json.dumps(prompt_record(prompt)): prompt for prompt in found}.values())

    def make(
        self,
        module: GenerativeModule,
        files: RoundFiles,
        number: int,
        pairs: int,
        progress: bool = False,
    ) -> dict[str, Any]:
        """Makes a round, or the rest of one that a killed run has begun.

        Args:
            module: The policy.
            files: Where everything is kept.
            number: Of the round, from 1.
            pairs: Pairs to draw.
            progress: Show a progress bar.

        Returns:
            A report: ``pieces``, ``prompts``, ``scored``, mean ``score``, ``chosen``, ``rejected``,
            ``left_out`` (reasons counted), and ``by_prompt``.

        Raises:
            MusicZooError: No prompt has a chosen and a rejected piece.
        """
        if not from_first(files.is_complete(), self.world_size):
            scored = self._scored(module, self._sampled(module, files, number, progress))
            samples, examples = self._selected(scored)
            by_number = {sample.number: sample for sample in samples}
            crops = cropped_examples(module, by_number, examples, self.settings, number)
            crops = with_references(module, crops, self.rank, self.world_size)
            rng = random.Random(f"{self.settings.seed}:{number}:pairs")
            drawn = drawn_pairs(by_number, crops, examples, pairs, rng)
            if self.rank == 0:
                files.write_samples(samples)
                files.write_training(crops, drawn)
        return self._reported(module, files)

    def examine(
        self, module: GenerativeModule, files: RoundFiles, number: int, progress: bool = False
    ) -> dict[str, Any]:
        """Samples and scores a round that nothing is trained on; see :meth:`make`."""
        samples = self._scored(module, self._sampled(module, files, number, progress))
        if self.rank == 0:
            files.write_samples(samples)
        return self._reported(module, files)

    def _reported(self, module: GenerativeModule, files: RoundFiles) -> dict[str, Any]:
        """The report on a round whose samples are kept."""
        report: dict[str, Any] = {}
        if self.rank == 0:
            rules = {name: value for rule in self.rules for name, value in rule.record().items()}
            # A round without the rule reports no threshold.
            report = round_report(
                files.samples(),
                {"copy_threshold": None, **rules},
                module.representation.vocabulary,
            )
            files.write_report(report)
        return from_first(report, self.world_size)

    def _sampled(
        self, module: GenerativeModule, files: RoundFiles, number: int, progress: bool
    ) -> list[Sample]:
        """All pieces of a round; chunks that are kept already are not sampled again."""
        settings, prompts = self.settings, self.prompts(number)
        tasks = [prompt for prompt in prompts for _ in range(settings.samples)]
        starts = range(0, len(tasks), settings.chunk)
        mine = {
            index: chunk
            for index in range(len(starts))
            if (chunk := files.chunk(index)) is not None
        }
        there = {index for part in gathered(sorted(mine), self.world_size) for index in part}
        missing = [index for index in range(len(starts)) if index not in there]
        sizes = [min(settings.chunk, len(tasks) - starts[index]) for index in missing]
        console = Console(stderr=True)
        with Progress(console=console, disable=not progress, transient=True) as bar:
            task = bar.add_task(f"round {number}: sampling {len(tasks)} pieces", total=len(tasks))
            bar.advance(task, len(tasks) - sum(sizes))
            for index in missing[self.rank :: self.world_size]:
                start = starts[index]
                some = tasks[start : start + settings.chunk]
                results = module.generate(
                    some,
                    settings.sampling,
                    settings.max_length,
                    torch.Generator().manual_seed(seed_of(settings.seed, number, index)),
                    **settings.options,
                )
                samples = [
                    Sample(start + place, replace(result, prompt=some[place]))
                    for place, result in enumerate(results)
                ]
                files.write_chunk(index, samples)
                # What is scored is what a resumed run would find, no more and no less.
                mine[index] = files.chunk(index) or []
                bar.advance(task, len(some) * self.world_size)
        found: dict[int, list[Sample]] = {}
        for part in gathered(mine, self.world_size):
            found.update(part)
        # Prompts of kinds that files do not hold are those that were drawn.
        return [
            replace(sample, result=replace(sample.result, prompt=tasks[sample.number]))
            for index in sorted(found)
            for sample in found[index]
        ]

    def _scored(self, module: GenerativeModule, samples: Sequence[Sample]) -> list[Sample]:
        """The samples with scores or reasons, each scored by one of the processes."""
        share = [with_piece(module, sample) for sample in samples[self.rank :: self.world_size]]
        found: dict[int, Sample] = {}
        good: list[Sample] = []
        for sample in share:
            reason = _unfit(module, sample)
            if reason is None:
                good.append(sample)
            else:
                found[sample.number] = replace(sample, reason=reason)
        if good:
            scores = checked_scores(self.reward, [sample.result for sample in good])
            details = {name: detail.tolist() for name, detail in scores.details.items()}
            for place, sample in enumerate(good):
                own = {name: float(detail[place]) for name, detail in details.items()}
                found[sample.number] = replace(
                    sample,
                    score=float(scores.values[place]),
                    reason=scores.reasons[place],
                    nearest=own.get("nearest", math.nan),
                    details=own,
                )
        everything = {
            number: sample
            for part in gathered(found, self.world_size)
            for number, sample in part.items()
        }
        return [everything[sample.number] for sample in samples]

    def _selected(self, samples: list[Sample]) -> tuple[list[Sample], list[Selected]]:
        """The samples with roles and reasons, and the examples of each prompt that has both kinds.

        Examples are sample numbers. Samples of a prompt stand next to each other.
        """
        chosen_ones = list(samples)
        examples: list[Selected] = []
        alike = 0
        for start in range(0, len(samples), self.settings.samples):
            mine = samples[start : start + self.settings.samples]
            found = select(
                [sample.score for sample in mine],
                lambda place, mine=mine: self._refusal(mine[place]),  # type: ignore[misc]
                self.settings.fraction,
            )
            for role, places in (("chosen", found.chosen), ("rejected", found.rejected)):
                for place in places:
                    chosen_ones[start + place] = replace(mine[place], role=role)
            for place, reason in found.refused.items():
                chosen_ones[start + place] = replace(mine[place], reason=reason)
            best, worst = (
                {mine[place].result.text for place in places}
                for places in (found.chosen, found.rejected)
            )
            if best - worst and worst:
                numbers = [
                    [mine[place].number for place in places]
                    for places in (found.chosen, found.rejected)
                ]
                examples.append(Selected(numbers[0], numbers[1], {}))
            elif found.chosen:
                alike += 1
        if not examples:
            raise _nothing_to_compare(chosen_ones, alike)
        return chosen_ones, examples

    def _refusal(self, sample: Sample) -> str | None:
        """The first reason of a rule of admission; None where all admit the piece."""
        reasons = (rule.refusal(sample.result, sample.details) for rule in self.rules)
        return next((reason for reason in reasons if reason is not None), None)


# The name until 0.1.
RoundMaker = PreferenceSampler


def with_piece(module: GenerativeModule, sample: Sample) -> Sample:
    """The sample with its piece, which is not kept in files."""
    result = sample.result
    if result.piece is not None or result.error is not None or module.writes == "text":
        return sample
    try:
        decoded = replace(result, piece=module.representation.decode(result.tokens))
    except MusicZooError as error:
        decoded = replace(result, error=error)
    return replace(sample, result=decoded)


def _unfit(module: GenerativeModule, sample: Sample) -> str | None:
    """Why a piece is neither scored nor trained on, or None."""
    if sample.result.stop != "end":
        return NOT_ENDED
    if sample.result.piece is None and module.writes != "text":
        return f"the piece cannot be read: {sample.result.error}"
    try:
        module.training_item(sample.result, random.Random(0))
    except MusicZooError as error:
        return f"the piece cannot be trained on: {error}"
    return None


def _nothing_to_compare(samples: Sequence[Sample], alike: int) -> MusicZooError:
    """The error of a round without a pair.

    Args:
        samples: All pieces, with reasons.
        alike: Prompts in which the best and the worst are the same text.
    """
    found = [f"{times}: {reason}" for reason, times in counted_reasons(samples).most_common(5)]
    found += [f"in {alike} prompts the best and the worst are the same text"] * (alike > 0)
    return MusicZooError(
        f"No prompt of the round has a chosen and a rejected piece: of {len(samples)}"
        f" pieces {'; '.join(found) or 'too few of each prompt could be compared'}.",
        where="PreferenceRounds",
        remedy=(
            "Sample more pieces or more cautiously, or loosen the rules (aligned=,"
            " grouped_staves=, plagiarism=)."
        ),
    )
