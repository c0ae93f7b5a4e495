"""Makes a preference round: pieces, scores, examples, pairs, and the reference policy's log-probabilities."""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, replace
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.progress import Progress

from musiczoo.callbacks.preference.files import RoundFiles, Sample, TrainedPiece
from musiczoo.callbacks.preference.selection import Selected, select
from musiczoo.datamodules.pairs import reference_sums
from musiczoo.models.base.generative import GenerativeModule
from musiczoo.models.sampling import Sampling
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels
from musiczoo.rewards import CorpusSimilarity, Reward, checked_scores
from musiczoo.rewards.admission import misalignment, ungrouped_staves

Thing = TypeVar("Thing")

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
NOT_ENDED = "the piece did not come to its end"


@dataclass(frozen=True)
class RoundSettings:
    """The settings of a round; :class:`musiczoo.callbacks.PreferenceRounds` describes them."""

    samples: int
    fraction: float
    aligned: bool
    grouped_staves: bool
    plagiarism: float | str | None
    sampling: Sampling | None
    max_length: int | None
    generation: dict[str, Any]
    crops: int
    chunk: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, the same in another process."""
        # Options may be objects, which are named by what they say of themselves, but for where they
        # lie in memory.
        generation = {
            name: _ADDRESS.sub("", repr(value)) for name, value in self.generation.items()
        }
        return {**asdict(replace(self, generation={})), "generation": generation}


class RoundMaker:
    """Makes the rounds of one fit.

    Args:
        settings: Of all rounds.
        reward: Prepared for the prompts.
        prompts: Labels to write for.
        rank: Of this process.
        world_size: Number of processes; they share sampling, scoring and the reference's
            log-probabilities.

    Raises:
        MusicZooError: The plagiarism rule cannot be calibrated.
    """

    def __init__(
        self,
        settings: RoundSettings,
        reward: Reward,
        prompts: Sequence[Labels],
        *,
        rank: int,
        world_size: int,
    ) -> None:
        self.settings = settings
        self.reward = reward
        self.prompts = list(prompts)
        self.rank = rank
        self.world_size = world_size
        self.threshold = self._threshold()

    def _threshold(self) -> float | None:
        rule = self.settings.plagiarism
        if rule == "calibrated":
            # Other rewards know nothing of real works.
            return (
                self.reward.copy_threshold() if isinstance(self.reward, CorpusSimilarity) else None
            )
        return None if rule is None else float(rule)

    def make(
        self,
        module: GenerativeModule,
        files: RoundFiles,
        number: int,
        pairs: int,
        progress: bool = False,
    ) -> dict[str, Any]:
        """Makes a round, or what a killed run left to be made of it.

        Args:
            module: The policy.
            files: Where all is kept.
            number: Of the round, from 1.
            pairs: Pairs to draw.
            progress: Show a progress bar.

        Returns:
            A report: ``pieces``, ``prompts``, ``scored``, mean ``score``, ``chosen``, ``rejected``,
            ``left_out`` (reasons counted), and ``by_prompt``.

        Raises:
            MusicZooError: No prompt has a chosen and a rejected piece.
        """
        if not self._from_first(files.is_complete()):
            samples, chosen = self._selected(
                self._scored(module, self._sampled(module, files, number, progress))
            )
            trained, drawn = self._training(module, samples, chosen, number, pairs)
            if self.rank == 0:
                files.write_samples(samples)
                files.write_training(trained, drawn)
        return self._told(files)

    def examine(
        self, module: GenerativeModule, files: RoundFiles, number: int, progress: bool = False
    ) -> dict[str, Any]:
        """Writes and scores the pieces of a round that nothing is trained on; see :meth:`make`."""
        samples = self._scored(module, self._sampled(module, files, number, progress))
        if self.rank == 0:
            files.write_samples(samples)
        return self._told(files)

    def _told(self, files: RoundFiles) -> dict[str, Any]:
        """The report on a round whose samples are kept."""
        report: dict[str, Any] = {}
        if self.rank == 0:
            report = _report(files.samples(), self.threshold)
            files.write_report(report)
        return self._from_first(report)

    def _sampled(
        self, module: GenerativeModule, files: RoundFiles, number: int, progress: bool
    ) -> list[Sample]:
        settings = self.settings
        tasks = [labels for labels in self.prompts for _ in range(settings.samples)]
        starts = range(0, len(tasks), settings.chunk)
        mine = {
            index: chunk
            for index in range(len(starts))
            if (chunk := files.chunk(index)) is not None
        }
        there = {index for indices in self._gathered(sorted(mine)) for index in indices}
        missing = [index for index in range(len(starts)) if index not in there]
        console = Console(stderr=True)
        with Progress(console=console, disable=not progress, transient=True) as bar:
            task = bar.add_task(f"round {number}: writing {len(tasks)} pieces", total=len(tasks))
            bar.advance(
                task,
                len(tasks)
                - sum(min(settings.chunk, len(tasks) - starts[index]) for index in missing),
            )
            for index in missing[self.rank :: self.world_size]:
                start = starts[index]
                some = tasks[start : start + settings.chunk]
                results = module.generate(
                    some,
                    settings.sampling,
                    settings.max_length,
                    torch.Generator().manual_seed(_seed(settings.seed, number, index)),
                    **settings.generation,
                )
                files.write_chunk(
                    index, [Sample(start + place, result) for place, result in enumerate(results)]
                )
                # What goes on is what a resumed run would find, no more and no less.
                mine[index] = files.chunk(index) or []
                bar.advance(task, len(some) * self.world_size)
        everything: dict[int, list[Sample]] = {}
        for part in self._gathered(mine):
            everything.update(part)
        return [sample for index in sorted(everything) for sample in everything[index]]

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
            nearest = scores.details.get("nearest")
            if nearest is None and self.threshold is not None:
                raise MusicZooError(
                    f"The reward {self.reward.name} does not tell how near a piece comes to real"
                    " works.",
                    where="PreferenceRounds(plagiarism=...)",
                    remedy="Leave the rule out with None.",
                )
            nears = [math.nan] * len(good) if nearest is None else nearest.tolist()
            for sample, value, reason, near in zip(
                good, scores.values.tolist(), scores.reasons, nears, strict=True
            ):
                found[sample.number] = replace(sample, score=value, reason=reason, nearest=near)
        everything = {
            number: sample for part in self._gathered(found) for number, sample in part.items()
        }
        return [everything[sample.number] for sample in samples]

    def _selected(self, samples: list[Sample]) -> tuple[list[Sample], dict[Labels, Selected]]:
        """The samples with roles and reasons, and the examples of each prompt that has both kinds, as sample numbers."""
        by_number = {sample.number: sample for sample in samples}
        examples: dict[Labels, Selected] = {}
        alike = 0
        for labels in self.prompts:
            mine = [sample for sample in samples if sample.result.labels == labels]

            def refusal(place: int, mine: list[Sample] = mine) -> str | None:
                return self._refusal(mine[place])

            found = select([sample.score for sample in mine], refusal, self.settings.fraction)
            for role, places in (("chosen", found.chosen), ("rejected", found.rejected)):
                for place in places:
                    by_number[mine[place].number] = replace(mine[place], role=role)
            for place, reason in found.refused.items():
                by_number[mine[place].number] = replace(mine[place], reason=reason)
            texts = {mine[place].result.text for place in found.chosen} - {
                mine[place].result.text for place in found.rejected
            }
            if texts and found.rejected:
                numbers = [
                    [mine[place].number for place in places]
                    for places in (found.chosen, found.rejected)
                ]
                examples[labels] = Selected(numbers[0], numbers[1], {})
            elif found.chosen:
                alike += 1
        if not examples:
            reasons = Counter(
                sample.reason.partition(":")[0] for sample in by_number.values() if sample.reason
            )
            told = [f"{times}: {reason}" for reason, times in reasons.most_common(5)]
            told += [f"in {alike} prompts the best and the worst are the same text"] * (alike > 0)
            raise MusicZooError(
                f"No prompt of the round has a chosen and a rejected piece: of {len(samples)}"
                f" pieces {'; '.join(told) or 'too few of each prompt could be compared'}.",
                where="PreferenceRounds",
                remedy=(
                    "Sample more pieces or more cautiously, or loosen the rules (aligned=,"
                    " grouped_staves=, plagiarism=)."
                ),
            )
        return [by_number[sample.number] for sample in samples], examples

    def _refusal(self, sample: Sample) -> str | None:
        if self.threshold is not None and sample.nearest > self.threshold:
            return f"too near to a real work: similarity {sample.nearest:.4f}"
        piece = sample.result.piece
        if not isinstance(piece, Tune):
            # The rules are of notation: performed music has no bar-lines and staves to agree.
            return None
        if self.settings.aligned and (reason := misalignment(piece)) is not None:
            return f"misaligned: {reason}"
        if self.settings.grouped_staves and (reason := ungrouped_staves(piece)) is not None:
            return f"ungrouped staves: {reason}"
        return None

    def _training(
        self,
        module: GenerativeModule,
        samples: Sequence[Sample],
        examples: dict[Labels, Selected],
        number: int,
        pairs: int,
    ) -> tuple[list[TrainedPiece], list[tuple[int, int]]]:
        """The crops of the examples with the reference's log-probabilities, and the pairs drawn of them."""
        by_number = {sample.number: sample for sample in samples}
        crops: list[TrainedPiece] = []
        places: dict[int, list[int]] = {}
        for selected in examples.values():
            for which in (*selected.chosen, *selected.rejected):
                places[which] = []
                for crop in range(self.settings.crops):
                    rng = random.Random(f"{self.settings.seed}:{number}:{which}:{crop}")
                    tokens = module.training_item(by_number[which].result, rng)
                    if crop and torch.equal(tokens, crops[places[which][0]].tokens):
                        # It fits the context whole: there is one crop only.
                        break
                    places[which].append(len(crops))
                    crops.append(TrainedPiece(which, crop, tokens, 0.0))
        share = crops[self.rank :: self.world_size]
        sums = reference_sums(
            module, [piece.tokens for piece in share], module.representation.collate
        ).tolist()
        known = {
            (piece.number, piece.crop): value for piece, value in zip(share, sums, strict=True)
        }
        everything = {name: value for part in self._gathered(known) for name, value in part.items()}
        rng = random.Random(f"{self.settings.seed}:{number}:pairs")
        prompts = list(examples.values())
        drawn: list[tuple[int, int]] = []
        while len(drawn) < pairs:
            selected = rng.choice(prompts)
            chosen, rejected = rng.choice(selected.chosen), rng.choice(selected.rejected)
            one, other = rng.choice(places[chosen]), rng.choice(places[rejected])
            # Equal pieces tell nothing; a prompt that has no others is no example.
            if by_number[chosen].result.text != by_number[rejected].result.text:
                drawn.append((one, other))
        return [
            replace(piece, reference=everything[piece.number, piece.crop]) for piece in crops
        ], drawn

    def _gathered(self, thing: Thing) -> list[Thing]:
        """What each process has, in all of them."""
        if self.world_size == 1:
            return [thing]
        parts: list[Any] = [None] * self.world_size
        torch.distributed.all_gather_object(parts, thing)
        return parts

    def _from_first(self, thing: Thing) -> Thing:
        return self._gathered(thing)[0]


def with_piece(module: GenerativeModule, sample: Sample) -> Sample:
    """The sample with its piece, which is not kept in files."""
    if sample.result.piece is not None or sample.result.error is not None:
        return sample
    try:
        return replace(
            sample,
            result=replace(sample.result, piece=module.representation.decode(sample.result.tokens)),
        )
    except MusicZooError as error:
        return replace(sample, result=replace(sample.result, error=error))


def _unfit(module: GenerativeModule, sample: Sample) -> str | None:
    """Why a piece is neither scored nor trained on, or None."""
    if sample.result.stop != "end":
        return NOT_ENDED
    if sample.result.piece is None:
        return f"the piece cannot be read: {sample.result.error}"
    try:
        module.training_item(sample.result, random.Random(0))
    except MusicZooError as error:
        return f"the piece cannot be trained on: {error}"
    return None


def _seed(*numbers: int) -> int:
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=7).digest())


def _report(samples: Sequence[Sample], threshold: float | None) -> dict[str, Any]:
    by_prompt: dict[str, list[Sample]] = {}
    for sample in samples:
        by_prompt.setdefault(
            " / ".join(astuple(sample.result.labels)) if sample.result.labels else "", []
        ).append(sample)
    rows = {name: _counts(some) for name, some in by_prompt.items()}
    means = [row["score"] for row in rows.values() if row["scored"]]
    return {
        **_counts(samples),
        "prompts": len(rows),
        # The mean over prompts, as NotaGen reports it.
        "score": sum(means) / len(means) if means else float("nan"),
        "left_out": dict(
            Counter(sample.reason.partition(":")[0] for sample in samples if sample.reason)
        ),
        "copy_threshold": threshold,
        "by_prompt": rows,
    }


def _counts(samples: Sequence[Sample]) -> dict[str, Any]:
    scores = [sample.score for sample in samples if sample.score == sample.score]
    return {
        "pieces": len(samples),
        "scored": len(scores),
        "score": sum(scores) / len(scores) if scores else float("nan"),
        "chosen": sum(sample.role == "chosen" for sample in samples),
        "rejected": sum(sample.role == "rejected" for sample in samples),
    }
