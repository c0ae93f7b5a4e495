"""Iterated preference optimisation inside one fit: the model writes, a reward ranks, and the model learns from its best and worst.

CLaMP-DPO (Wang et al. 2025, NotaGen, arXiv 2502.18008, Algorithm 1) with any reward, any preference
objective and any generative architecture::

    trainer.fit(model, data, callbacks=[PreferenceRounds(rounds=3, steps=10_000)])
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any, TypeVar

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy

from musiczoo.callbacks.preference.files import RoundFiles
from musiczoo.callbacks.preference.prompts import round_prompts, works_by_prompt
from musiczoo.callbacks.preference.sampler import RoundMaker, RoundSettings
from musiczoo.callbacks.preference.selection import check_fraction
from musiczoo.datamodules.pairs import EncodedPair, pair_loader
from musiczoo.datamodules.resumable import ResumableLoader
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.models.adapters import fingerprint
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.models.base.objective import Objective
from musiczoo.models.objectives import DPOP, Likelihood
from musiczoo.models.prompts import Prompt
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels
from musiczoo.rewards import CorpusSimilarity, FunctionReward, Reward, as_reward

_log = logging.getLogger(__name__)
Thing = TypeVar("Thing")


class PreferenceRounds(Callback):
    """Runs a fit as rounds of preference optimisation; an epoch is a round.

    At the start of a round the policy writes ``samples`` pieces for each prompt, the reward scores
    them, the best and worst of each prompt become pairs, and the policy as it is becomes the
    reference, whose log-probabilities of them are computed once. Then the round trains ``steps``
    optimiser steps on pairs drawn at random, with a new optimiser. All that a round makes is kept
    in ``folder``, so that a run that was killed goes on from its last checkpoint and makes nothing
    again; the policy after each round is kept there as a checkpoint folder. The data module gives
    the prompts and their real works, and its own loaders rest for the while, validation included.

    Under DDP the ranks share sampling, scoring and training. Strategies that shard the weights are
    refused: sampling needs them whole.

    Args:
        rounds: K of Algorithm 1.
        steps: Optimiser steps of a round, N of Algorithm 1.
        samples: Pieces a prompt and round ("some 100" of NotaGen's published code).
        reward: What ranks the pieces: a :class:`Reward`, or a function of a list of
            :class:`Generated`; None takes ``CorpusSimilarity(encoder)``.
        encoder: Of the default reward: ``"m3-small"``, which comes with musiczoo, or ``"clamp2"``,
            as in NotaGen.
        prompts: Labels to write for; None takes all with more than ``min_works`` training works.
        min_works: "prompts with more than ten" works (NotaGen's supplement).
        fraction: Part of a prompt's pieces that is chosen, and that is rejected.
        aligned: Choose only pieces whose voices agree in bars, bar-lines and lengths.
        grouped_staves: Choose only pieces in which the staves of one instrument stand together.
        plagiarism: Choose only pieces whose largest similarity with a real work is at most this.
            ``"calibrated"`` takes what 99 % of different real works keep to; None leaves the rule
            out; 0.95 is NotaGen's, for CLaMP 2. It needs a reward that tells it.
        objective: The loss; None takes the module's, or DPOP as NotaGen where that is the
            likelihood.
        batch_size: Pairs of a batch in each process.
        sampling: How tokens are drawn; None leaves it to the module.
        max_length: Longest piece, in the units of the module's ``generate``; None leaves it to the
            module.
        generation: Further options of the module's ``generate``, such as ``{"batch_size": 32}``.
        crops: Crops of a piece that is longer than the context; a pair compares two of them, drawn
            anew for each pair.
        chunk: Pieces that are kept together: what a killed run loses at most.
        seed: Of sampling, crops and pairs.
        folder: Where the rounds are kept; ``preference`` in the run's folder when None. A run that
            is to be resumed needs the same folder.
        keep_policies: Keep the policy after each round as a checkpoint folder.
        examine_last: After the last round write and score the pieces of one more, so that the
            reports show what it brought.
        progress: Show a progress bar while pieces are written.

    Attributes:
        reports: What each round made, by its number from 1: pieces, scores, prompts, and what was
            left out for which reason.
    """

    def __init__(
        self,
        rounds: int = 3,
        steps: int = 10_000,
        *,
        samples: int = 100,
        reward: Reward | Callable[[Sequence[Generated]], Any] | None = None,
        encoder: str = "m3-small",
        prompts: Sequence[Labels] | None = None,
        min_works: int = 10,
        fraction: float = 0.1,
        aligned: bool = True,
        grouped_staves: bool = True,
        plagiarism: float | str | None = "calibrated",
        objective: Objective | None = None,
        batch_size: int = 1,
        sampling: Sampling | None = None,
        max_length: int | None = None,
        generation: Mapping[str, Any] | None = None,
        crops: int = 4,
        chunk: int = 64,
        seed: int = 0,
        folder: str | Path | None = None,
        keep_policies: bool = True,
        examine_last: bool = False,
        progress: bool = True,
    ) -> None:
        if min(rounds, steps, batch_size, crops, chunk) < 1 or samples < 2:
            raise MusicZooError(
                "PreferenceRounds needs two samples a prompt and one of everything else at least."
            )
        if isinstance(plagiarism, str) and plagiarism != "calibrated":
            raise MusicZooError(
                f"plagiarism={plagiarism!r} has no meaning.",
                remedy='Give a number, "calibrated" or None.',
            )
        check_fraction(fraction)
        self.rounds = rounds
        self.steps = steps
        self.reward = CorpusSimilarity(encoder) if reward is None else as_reward(reward)
        if isinstance(self.reward, FunctionReward) and isinstance(plagiarism, int | float):
            raise MusicZooError(
                "A function tells no similarity with real works.",
                where="PreferenceRounds(plagiarism=...)",
                remedy="Leave the rule out with None, or give a Reward with such details.",
            )
        self.prompts = None if prompts is None else tuple(prompts)
        self.min_works = min_works
        self.objective = objective
        self.batch_size = batch_size
        self.folder = None if folder is None else Path(folder)
        self.keep_policies = keep_policies
        self.examine_last = examine_last
        self.progress = progress
        self.settings = RoundSettings(
            samples=samples,
            fraction=fraction,
            aligned=aligned,
            grouped_staves=grouped_staves,
            plagiarism=plagiarism,
            sampling=sampling,
            max_length=max_length,
            generation=dict(generation or {}),
            crops=crops,
            chunk=chunk,
            seed=seed,
        )
        self.reports: dict[int, dict[str, Any]] = {}
        self._pairs_of: dict[str, Any] = {}
        self._known: tuple[Prompt, ...] = ()
        self._maker: RoundMaker | None = None
        self._restore: Callable[[], None] | None = None

    @property
    def state_key(self) -> str:
        """Lasting: the state of a callback is kept under it."""
        return "musiczoo.PreferenceRounds"

    def state_dict(self) -> dict[str, Any]:
        """The round whose pairs are trained on, and their digest."""
        return dict(self._pairs_of)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up what :meth:`state_dict` gave."""
        self._pairs_of = dict(state_dict)

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Puts the rounds in the place of the data module's training batches.

        Raises:
            MusicZooError: No generative module, no data module, a strategy that shards the weights,
                or another length asked of the Trainer.
        """
        if stage != "fit":
            return
        if not isinstance(pl_module, GenerativeModule):
            raise MusicZooError(
                f"A {type(pl_module).__name__} writes no pieces.",
                remedy="Preference rounds need a generative module.",
            )
        if isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy):
            raise MusicZooError(
                "Preference rounds sample from the model, which needs whole weights on each"
                " device.",
                where="Trainer(strategy=...)",
                remedy='Use "ddp" or one device; other stages of run_stages may shard.',
            )
        data: Any = getattr(trainer, "datamodule", None)
        if data is None:
            raise MusicZooError(
                "Preference rounds take the prompts and their real works from a data module.",
                remedy="Call trainer.fit(model, datamodule=ScoreDataModule(..., prompts=True)).",
            )
        # 1000 is what Lightning fills in where nothing was said.
        if trainer.max_epochs not in (None, -1, 1000, self.rounds):
            raise MusicZooError(
                f"The Trainer is to run {trainer.max_epochs} epochs, and there are {self.rounds}"
                " rounds.",
                where="Trainer(max_epochs=...)",
                remedy="Leave it out: an epoch is a round.",
            )
        if trainer.max_steps != -1:
            raise MusicZooError(
                "The length of the training is rounds times steps.",
                where="Trainer(max_steps=...)",
                remedy="Leave it out, and give PreferenceRounds(steps=...).",
            )
        # Another fit of this object knows nothing of the one before; a checkpoint's state comes
        # after this.
        self._pairs_of, self.reports = {}, {}
        # The data module's own prompts join the module's when the fit begins, as if they were
        # trained with.
        self._known = pl_module.prompts
        trainer.fit_loop.max_epochs = self.rounds
        # An attribute that Lightning sets without declaring it.
        vars(trainer)["reload_dataloaders_every_n_epochs"] = 1
        before = pl_module.objective
        if self.objective is not None:
            pl_module.objective = self.objective
        elif isinstance(before, Likelihood):
            pl_module.objective = DPOP()
        self._stand_in(data, trainer, pl_module, before)

    def _stand_in(
        self, data: Any, trainer: lightning.Trainer, module: GenerativeModule, before: Objective
    ) -> None:
        """The loaders of this object under the names of the data module's, until the fit ends."""
        stand_ins: dict[str, Callable[[], Any]] = {
            "train_dataloader": lambda: self._loader(trainer, module, data),
            "val_dataloader": lambda: [],
        }
        held = {name: vars(data).get(name) for name in stand_ins}
        vars(data).update(stand_ins)

        def restore() -> None:
            for name, value in held.items():
                if value is None:
                    vars(data).pop(name, None)
                else:
                    vars(data)[name] = value
            module.objective = before

        self._restore = restore

    def teardown(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Gives the data module its loaders back, and the module its objective."""
        self._give_back()

    def on_exception(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        exception: BaseException,
    ) -> None:
        """As :meth:`teardown`, which Lightning leaves out when a fit fails."""
        self._give_back()

    def _give_back(self) -> None:
        if self._restore is not None:
            self._restore()
            self._restore = None
        self._maker = None

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Names the stage for the checkpoints."""
        assert isinstance(pl_module, GenerativeModule)
        pl_module.stage = "preference"

    def on_train_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Keeps the policy of the last round, and looks at what it brought if asked to."""
        # A fit that was stopped before its end has nothing to show yet.
        if trainer.current_epoch == self.rounds:
            assert isinstance(pl_module, GenerativeModule)
            self._finish(trainer, pl_module, trainer.datamodule)  # type: ignore[attr-defined]  # setup() made sure that there is one

    def _finish(self, trainer: lightning.Trainer, module: GenerativeModule, data: Any) -> None:
        self._keep_policy(trainer, module, self.rounds)
        if self.examine_last:
            number = self.rounds + 1
            files = RoundFiles(self._root(trainer) / f"round-{number:03d}")
            maker = self._ready(trainer, module, data)
            self._claim(trainer, module, maker, number, 0, files)
            self._tell(
                trainer,
                number,
                maker.examine(
                    module, files, number, progress=self.progress and trainer.is_global_zero
                ),
            )

    def _keep_policy(
        self, trainer: lightning.Trainer, module: GenerativeModule, number: int
    ) -> None:
        """Keeps the policy that a round has made.

        Called when what follows begins, for a run that is resumed from a checkpoint of a round's
        end comes by there too, and not by the hooks of an epoch's end.
        """
        # Asked of every rank, for the ranks agree on it.
        root = self._root(trainer)
        if self.keep_policies and trainer.is_global_zero:
            save_checkpoint(module, root / f"round-{number:03d}" / "policy", overwrite=True)

    def _root(self, trainer: lightning.Trainer) -> Path:
        logged = trainer.log_dir
        return self.folder or Path(logged or trainer.default_root_dir) / "preference"

    def _loader(
        self, trainer: lightning.Trainer, module: GenerativeModule, data: Any
    ) -> ResumableLoader:
        """The batches of the round that is about to begin, or that a checkpoint was saved in."""
        # Lightning calls this before it knows that a resumed round was over; then that round is
        # opened, and the next one at the next call.
        number = trainer.current_epoch + 1
        if number > 1 and not self._pairs_of:
            raise MusicZooError(
                f"The checkpoint was saved after {number - 1} epochs of another training.",
                where="trainer.fit(ckpt_path=...)",
                remedy=(
                    "Begin the rounds with the checkpoint's weights (musiczoo.load) instead of"
                    " resuming its fit."
                ),
            )
        count = self.steps * trainer.accumulate_grad_batches * self.batch_size * trainer.world_size
        files = RoundFiles(self._root(trainer) / f"round-{number:03d}")
        resumed = self._pairs_of.get("round") == number
        digest = _from_first(trainer, lambda: files.digest() if files.is_complete() else None)
        if resumed and digest != self._pairs_of["digest"]:
            raise MusicZooError(
                f"The pairs of round {number}, which the checkpoint was saved in, are"
                f" {'gone' if digest is None else 'others'}.",
                path=files.folder,
                remedy=(
                    "Give the folder of that run (folder=), put it back, or resume from a"
                    " checkpoint of the round before."
                ),
            )
        self._recall(trainer, number if resumed else number - 1)
        if not resumed:
            if self._pairs_of:
                self._keep_policy(trainer, module, number - 1)
            self._make(trainer, module, data, number, count, files)
            if self._pairs_of:
                # NotaGen trains each round with an optimiser of its own.
                trainer.strategy.setup_optimizers(trainer)
            self._pairs_of = {"round": number, "digest": _from_first(trainer, files.digest)}
        elif (progress := _epochs(trainer)).processed >= self.rounds:
            # A fit that is resumed when all rounds are over ends after this, without a hook, and
            # without counting the last round.
            progress.completed = progress.processed
            self._finish(trainer, module, data)
        pieces, drawn = _from_first(trainer, files.training)
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
            module.representation.collate,
            batch_size=self.batch_size,
            seed=self.settings.seed,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            identity=[f"{number}:{self._pairs_of['digest']}"],
        )

    def _recall(self, trainer: lightning.Trainer, last: int) -> None:
        """The reports of rounds that were made before this fit was resumed."""
        for number in range(1, last + 1):
            if number not in self.reports:
                report = _from_first(
                    trainer, RoundFiles(self._root(trainer) / f"round-{number:03d}").report
                )
                if report is not None:
                    self.reports[number] = report

    def _make(
        self,
        trainer: lightning.Trainer,
        module: GenerativeModule,
        data: Any,
        number: int,
        count: int,
        files: RoundFiles,
    ) -> None:
        maker = self._ready(trainer, module, data)
        self._claim(trainer, module, maker, number, count, files)
        report = maker.make(
            module, files, number, count, progress=self.progress and trainer.is_global_zero
        )
        trainer.strategy.barrier("preference_round")
        self._tell(trainer, number, report)

    def _ready(self, trainer: lightning.Trainer, module: GenerativeModule, data: Any) -> RoundMaker:
        """What makes the rounds, with the prompts and a reward that knows their real works."""
        if self._maker is None:
            works = works_by_prompt(data)
            prompts = round_prompts(self.prompts, works, self.min_works, self._known)
            self.reward.prepare({labels: works[labels] for labels in prompts if labels in works})
            self._maker = RoundMaker(
                self.settings,
                self.reward,
                prompts,
                rank=trainer.global_rank,
                world_size=trainer.world_size,
            )
        return self._maker

    def _claim(
        self,
        trainer: lightning.Trainer,
        module: GenerativeModule,
        maker: RoundMaker,
        number: int,
        count: int,
        files: RoundFiles,
    ) -> None:
        plan = {
            **self.settings.to_dict(),
            "round": number,
            "reward": self.reward.name,
            "prompts": [list(astuple(labels)) for labels in maker.prompts],
            "pairs": count,
            "policy": fingerprint(module.net.state_dict()),
            "sampling": asdict(self.settings.sampling or module.sampling),
        }
        if trainer.is_global_zero:
            files.claim(plan)
        trainer.strategy.barrier("preference_round")
        # The processes need not share a disk.
        files.claim(plan)

    def _tell(self, trainer: lightning.Trainer, number: int, report: dict[str, Any]) -> None:
        self.reports[number] = report
        left_out = (
            ", ".join(
                f"{times} {reason}" for reason, times in Counter(report["left_out"]).most_common()
            )
            or "none"
        )
        _log.info(
            "Round %d: %d pieces of %d prompts, mean score %.4f. Left out: %s.",
            number,
            report["pieces"],
            report["prompts"],
            report["score"],
            left_out,
        )
        for logger in trainer.loggers:
            logger.log_metrics(
                {f"preference/{name}": report[name] for name in ("score", "scored", "chosen")},
                step=trainer.global_step,
            )


def _epochs(trainer: lightning.Trainer) -> Any:
    """How many epochs are ``processed`` (their batches are over) and ``completed`` (their hooks too; ``current_epoch`` counts these)."""
    return trainer.fit_loop.epoch_progress.current


def _from_first(trainer: lightning.Trainer, make: Callable[[], Thing]) -> Thing:
    """What the first process makes, in all of them; they need not share a disk."""
    return trainer.strategy.broadcast(make() if trainer.is_global_zero else None)  # type: ignore[return-value]
