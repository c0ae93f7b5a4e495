"""Iterated preference optimisation inside one fit.

The model generates, a reward ranks, and the model learns from its best and worst pieces. CLaMP-DPO
(Wang et al. 2025, NotaGen, arXiv 2502.18008, Algorithm 1) with any reward, any preference
objective, any source of prompts and any generative architecture::

    trainer.fit(model, data, callbacks=[PreferenceRounds(rounds=3, steps=10_000)])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning

from musiczoo.callbacks.preference.checks import check_length, checked_module, data_of
from musiczoo.callbacks.preference.run import PreferenceRun
from musiczoo.callbacks.preference.sampler import PreferenceSampler
from musiczoo.callbacks.preference.settings import RoundSettings
from musiczoo.callbacks.prompts.sources import PromptSource, as_prompt_source
from musiczoo.callbacks.prompts.works import WorkPrompts, checked_source, real_works
from musiczoo.callbacks.run_folder import folder_of_run
from musiczoo.callbacks.takeover import (
    FitTakeover,
    check_options,
    replaced,
    replaced_hooks,
    replaced_loaders,
)
from musiczoo.datamodules.resumable import ResumableLoader
from musiczoo.models.base.capabilities import TakesLabels
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.models.base.objective import Objective
from musiczoo.models.objectives import DPOP, Likelihood
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards import CorpusSimilarity, Reward, as_reward


class PreferenceRounds(FitTakeover):
    """Runs a fit as rounds of preference optimisation; an epoch is a round.

    At the start of a round the policy samples ``samples`` pieces for each prompt, the reward scores
    them, the best and worst of each prompt become pairs, and the policy as it is becomes the
    reference, whose log-probabilities of them are computed once. Then the round trains ``steps``
    optimiser steps on pairs drawn at random, with a new optimiser. Everything of a round is kept in
    ``folder``, so that a run that was killed resumes from its last checkpoint and makes nothing
    twice; the policy after each round is kept there as a checkpoint folder. The loaders of a data
    module are not used, those of validation included.

    Under DDP the ranks share sampling, scoring and training. Strategies that shard the weights are
    refused, because sampling needs them whole.

    Args:
        rounds: K of Algorithm 1.
        steps: Optimiser steps of a round, N of Algorithm 1.
        reward: What ranks the pieces: a :class:`Reward`, or a function of a list of
            :class:`Generated`; None stands for ``CorpusSimilarity(encoder)``.
        encoder: Of the default reward: ``"m3-small"``, which comes with musiczoo, or ``"clamp2"``,
            as in NotaGen.
        prompts: What the pieces begin with: a list of labels, texts or token ids, or a
            :class:`musiczoo.callbacks.PromptSource`; None stands for all labels with more than
            ``min_works`` training works in the data module.
        min_works: "prompts with more than ten" works (NotaGen's supplement).
        objective: The loss; None stands for the module's, or DPOP as in NotaGen where that is the
            likelihood.
        batch_size: Pairs of a batch in each process.
        folder: Where the rounds are kept; ``preference`` in the run's folder when None. A run that
            is to be resumed needs the same folder.
        keep_policies: Keep the policy after each round as a checkpoint folder.
        examine_last: After the last round sample and score the pieces of one more, so that the
            reports show its effect.
        progress: Show a progress bar while pieces are sampled.
        settings: ``samples``, ``fraction``, ``aligned``, ``grouped_staves``, ``plagiarism``,
            ``sampling``, ``max_length``, ``generation``, ``crops``, ``chunk``, ``seed``,
            ``prompt_count`` and ``rules``: see
            :class:`musiczoo.callbacks.preference.settings.RoundSettings`.

    Attributes:
        reports: The report of each round, by its number from 1: pieces, scores, prompts, and what
            was left out for which reason.

    Raises:
        MusicZooError: A number out of range, or a rule that the reward has no details for.

    Example:
        >>> def short(pieces):
        ...     return [-len(piece.text) for piece in pieces]
        >>> rounds = PreferenceRounds(2, 100, reward=short, prompts=["M:6/8"], samples=8)
        >>> rounds.reward.name, rounds.prompts.prompts, rounds.settings.samples
        ('short', ['M:6/8'], 8)
    """

    _run: PreferenceRun | None

    def __init__(
        self,
        rounds: int = 3,
        steps: int = 10_000,
        *,
        reward: Reward | Callable[[Sequence[Generated]], Any] | None = None,
        encoder: str = "m3-small",
        prompts: PromptSource | Sequence[Any] | None = None,
        min_works: int = 10,
        objective: Objective | None = None,
        batch_size: int = 1,
        folder: str | Path | None = None,
        keep_policies: bool = True,
        examine_last: bool = False,
        progress: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__()
        if min(rounds, steps, batch_size) < 1:
            raise MusicZooError(
                "PreferenceRounds needs two samples a prompt and one of everything else at least."
            )
        self.settings = RoundSettings(**settings)
        self.rounds = rounds
        self.steps = steps
        self.reward = CorpusSimilarity(encoder) if reward is None else as_reward(reward)
        for rule in self.settings.admission():
            rule.check(self.reward)
        self.prompts = None if prompts is None else as_prompt_source(prompts)
        self.min_works = min_works
        self.objective = objective
        self.batch_size = batch_size
        self.folder = None if folder is None else Path(folder)
        self.keep_policies = keep_policies
        self.examine_last = examine_last
        self.progress = progress
        self.reports: dict[int, dict[str, Any]] = {}
        self._pairs_of: dict[str, Any] = {}
        self._known: Sequence[Any] = ()

    @property
    def state_key(self) -> str:
        """The key of the callback's state in checkpoints, which must not change."""
        return "musiczoo.PreferenceRounds"

    def state_dict(self) -> dict[str, Any]:
        """The round whose pairs are trained on, and their digest."""
        return dict(self._pairs_of)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave."""
        self._pairs_of = dict(state_dict)

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Replaces the loaders, the objective and the length of the fit.

        Raises:
            MusicZooError: No generative module, no data module where the prompts come from it, a
                strategy that shards the weights, or another length asked of the Trainer.
        """
        if stage != "fit":
            return
        module = checked_module(trainer, pl_module)
        data = data_of(trainer, needed=self.prompts is None)
        check_length(trainer, self.rounds)
        check_options(module, self.settings.options)
        # Another fit of this object knows nothing of the one before; a checkpoint's state is
        # loaded after this.
        self._pairs_of, self.reports = {}, {}
        # The data module's own prompts join the module's when the fit begins, as if they were
        # trained with.
        self._known = module.prompts if isinstance(module, TakesLabels) else ()
        objective = self.objective
        if objective is None:
            before = module.objective
            objective = DPOP() if isinstance(before, Likelihood) else before
        if data is None:
            self.take_over(replaced_loaders(trainer, train=module, validation=[]))
        hooks = {
            "train_dataloader": lambda: self._loader(trainer, module, data),
            "val_dataloader": lambda: [],
        }
        self.take_over(
            replaced_hooks(module if data is None else data, hooks),
            replaced(module, objective=objective),
            replaced(trainer.fit_loop, max_epochs=self.rounds),
            replaced(trainer, reload_dataloaders_every_n_epochs=1),
        )

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Names the stage for the checkpoints."""
        assert isinstance(pl_module, GenerativeModule)
        pl_module.stage = "preference"

    def on_train_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Keeps the policy of the last round, and examines it if asked to."""
        # A fit that was stopped before its end has nothing to show yet.
        if trainer.current_epoch == self.rounds:
            self._finish()

    def _finish(self) -> None:
        assert self._run is not None
        if self.keep_policies:
            self._run.keep_policy(self.rounds)
        if self.examine_last:
            self._run.examine(self.rounds + 1)

    def _begun(
        self, trainer: lightning.Trainer, module: GenerativeModule, data: Any
    ) -> PreferenceRun:
        """The rounds of this fit, when the first loader is asked for: the data is set up then."""

        def make_sampler() -> PreferenceSampler:
            source = self.prompts or WorkPrompts(data, self.min_works, self._known)
            source = checked_source(source, self._known)
            self.reward.prepare(real_works(source, data))
            return PreferenceSampler(
                self.settings,
                self.reward,
                source,
                rank=trainer.global_rank,
                world_size=trainer.world_size,
            )

        if self._run is None:
            folder = folder_of_run(trainer)
            self._run = PreferenceRun(
                trainer,
                module,
                self.folder or folder / "preference",
                self.settings,
                make_sampler,
                self.progress,
                self.reports,
            )
        return self._run

    def _loader(
        self, trainer: lightning.Trainer, module: GenerativeModule, data: Any
    ) -> ResumableLoader:
        """The batches of the round that is about to begin, or that a checkpoint was saved in."""
        run = self._begun(trainer, module, data)
        # Lightning calls this before it knows that a resumed round was over; then that round is
        # opened, and the next one at the next call.
        number = trainer.current_epoch + 1
        resumed = self._is_resumed(run, number)
        run.recall(number if resumed else number - 1)
        if not resumed:
            is_first = not self._pairs_of
            if not is_first and self.keep_policies:
                run.keep_policy(number - 1)
            batches = self.steps * trainer.accumulate_grad_batches
            run.make(number, batches * self.batch_size * trainer.world_size)
            if not is_first:
                # NotaGen trains each round with an optimiser of its own.
                trainer.strategy.setup_optimizers(trainer)
            self._pairs_of = {"round": number, "digest": run.digest(number)}
        elif self._is_over(trainer):
            self._finish()
        return run.loader(number, self._pairs_of["digest"], self.batch_size)

    def _is_over(self, trainer: lightning.Trainer) -> bool:
        """Whether a fit is resumed when all of its rounds are over."""
        progress: Any = trainer.fit_loop.epoch_progress.current
        over = bool(progress.processed >= self.rounds)
        if over:
            # Such a fit ends after this, without a hook, and without counting the last round: the
            # batches of its epoch are processed, and its hooks (completed) are not.
            progress.completed = progress.processed
        return over

    def _is_resumed(self, run: PreferenceRun, number: int) -> bool:
        """Whether a checkpoint was saved in this round, whose pairs must be there.

        Raises:
            MusicZooError: The checkpoint is of another training, or the pairs are not there.
        """
        if number > 1 and not self._pairs_of:
            raise MusicZooError(
                f"The checkpoint was saved after {number - 1} epochs of another training.",
                where="trainer.fit(ckpt_path=...)",
                remedy=(
                    "Begin the rounds with the checkpoint's weights (musiczoo.load) instead of"
                    " resuming its fit."
                ),
            )
        resumed = bool(self._pairs_of.get("round") == number)
        digest = run.digest(number) if resumed else None
        if resumed and digest != self._pairs_of["digest"]:
            raise MusicZooError(
                f"The pairs of round {number}, which the checkpoint was saved in, are"
                f" {'gone' if digest is None else 'others'}.",
                path=run.files(number).folder,
                remedy=(
                    "Give the folder of that run (folder=), put it back, or resume from a"
                    " checkpoint of the round before."
                ),
            )
        return resumed
