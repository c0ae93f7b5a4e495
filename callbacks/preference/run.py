"""The rounds of one fit, between the hooks of a callback: their folders, and how one is made."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning

from musiczoo.callbacks.preference.files import RoundFiles
from musiczoo.callbacks.preference.sampler import PreferenceSampler
from musiczoo.callbacks.preference.settings import RoundSettings
from musiczoo.callbacks.prompts.records import prompt_record
from musiczoo.datamodules.pairs import EncodedPair, pair_loader
from musiczoo.datamodules.resumable import ResumableLoader
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.models.adapters import fingerprint
from musiczoo.models.base.generative import GenerativeModule
from musiczoo.models.base.ranks import from_first

_log = logging.getLogger(__name__)


@dataclass
class PreferenceRun:
    """The rounds of one fit.

    Attributes:
        trainer: Of the fit.
        module: The policy.
        root: The folder that holds a folder for each round.
        settings: Of all rounds.
        make_sampler: Makes the sampler, when the first round is made.
        progress: Show progress bars.
        reports: Of the rounds so far, by number.
    """

    trainer: lightning.Trainer
    module: GenerativeModule
    root: Path
    settings: RoundSettings
    make_sampler: Callable[[], PreferenceSampler]
    progress: bool
    reports: dict[int, dict[str, Any]]
    _sampler: PreferenceSampler | None = None

    def files(self, number: int) -> RoundFiles:
        """The folder of a round."""
        return RoundFiles(self.root / f"round-{number:03d}")

    def digest(self, number: int) -> str | None:
        """Of what a round is trained on; None where it is not complete. The same in all ranks."""
        files = self.files(number)
        complete = self.trainer.is_global_zero and files.is_complete()
        return from_first(files.digest() if complete else None, self.trainer.world_size)

    def make(self, number: int, pairs: int) -> None:
        """Makes a round, or the rest of one that a killed run has begun.

        Args:
            number: Of the round, from 1.
            pairs: Pairs to draw.

        Raises:
            MusicZooError: The folder holds another run, or the round has no pair.
        """
        sampler, files = self._claimed(number, pairs)
        report = sampler.make(self.module, files, number, pairs, progress=self._shows)
        self.trainer.strategy.barrier("preference_round")
        self._add(number, report)

    def examine(self, number: int) -> None:
        """Samples and scores the pieces of a round that nothing is trained on."""
        sampler, files = self._claimed(number, 0)
        self._add(number, sampler.examine(self.module, files, number, progress=self._shows))

    def keep_policy(self, number: int) -> None:
        """Keeps the policy that a round has trained.

        Called when the next round begins: a run that is resumed from a checkpoint of the end of a
        round passes there too, and not through the hooks of an epoch's end.
        """
        if self.trainer.is_global_zero:
            save_checkpoint(self.module, self.files(number).folder / "policy", overwrite=True)

    def recall(self, last: int) -> None:
        """Reads the reports of rounds up to ``last`` that were made before the fit was resumed."""
        for number in range(1, last + 1):
            if number not in self.reports:
                kept = self.files(number).report() if self.trainer.is_global_zero else None
                report = from_first(kept, self.trainer.world_size)
                if report is not None:
                    self.reports[number] = report

    def loader(self, number: int, digest: str, batch_size: int) -> ResumableLoader:
        """The batches of a round that has been made.

        Args:
            number: Of the round.
            digest: Of what it is trained on.
            batch_size: Pairs of a batch in each process.
        """
        trainer = self.trainer
        # The processes need not share a disk.
        kept = self.files(number).training() if trainer.is_global_zero else None
        pieces, drawn = from_first(kept, trainer.world_size) or ([], [])
        pairs = [
            EncodedPair(
                pieces[one].tokens,
                pieces[other].tokens,
                pieces[one].reference,
                pieces[other].reference,
            )
            for one, other in drawn
        ]
        return pair_loader(
            pairs,
            self.module.representation.collate,
            batch_size=batch_size,
            seed=self.settings.seed,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            identity=[f"{number}:{digest}"],
        )

    @property
    def _shows(self) -> bool:
        return self.progress and self.trainer.is_global_zero

    def _claimed(self, number: int, pairs: int) -> tuple[PreferenceSampler, RoundFiles]:
        """The sampler, and the folder of a round once it is claimed for this run."""
        if self._sampler is None:
            self._sampler = self.make_sampler()
        files = self.files(number)
        plan = {
            **self.settings.to_dict(),
            "round": number,
            "reward": self._sampler.reward.name,
            "prompts": [prompt_record(prompt) for prompt in self._sampler.prompts(number)],
            "pairs": pairs,
            "policy": fingerprint(self.module.net.state_dict()),
            "sampling": asdict(self.settings.sampling or self.module.sampling),
        }
        files.claim_together(self.trainer, plan)
        return self._sampler, files

    def _add(self, number: int, report: dict[str, Any]) -> None:
        """Adds a report, and logs it."""
        self.reports[number] = report
        counts = Counter(report["left_out"]).most_common()
        left_out = ", ".join(f"{times} {reason}" for reason, times in counts)
        _log.info(
            "Round %d: %d pieces of %d prompts, mean score %.4f. Left out: %s.",
            number,
            report["pieces"],
            report["prompts"],
            report["score"],
            left_out or "nothing",
        )
        numbers = {f"preference/{name}": report[name] for name in ("score", "scored", "chosen")}
        for logger in self.trainer.loggers:
            logger.log_metrics(numbers, step=self.trainer.global_step)
