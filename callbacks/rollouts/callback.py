"""Group-relative policy optimisation inside one fit.

The model generates several pieces for each prompt, and learns from the better ones. SMART (Jonason,
Casini and Sturm 2025, arXiv 2504.16839) with any reward, any source of prompts and any generative
architecture::

    rollouts = GroupRollouts(steps=200, prompts=prompts, reward=reward, folder="rollouts")
    lightning.Trainer(gradient_clip_val=1.0, callbacks=[rollouts]).fit(model)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
from torch import Tensor

from musiczoo.callbacks.prompts.sources import PromptSource, as_prompt_source
from musiczoo.callbacks.rollouts.batches import RolloutLoader, micro_batches
from musiczoo.callbacks.rollouts.checks import (
    check_checkpoint,
    check_generation,
    check_trainer,
    checked_module,
)
from musiczoo.callbacks.rollouts.files import RolloutFiles
from musiczoo.callbacks.rollouts.media import kept_kinds
from musiczoo.callbacks.rollouts.objective import described, rollout_objective
from musiczoo.callbacks.rollouts.report import log_report
from musiczoo.callbacks.rollouts.run import RolloutRun, RunState
from musiczoo.callbacks.rollouts.sampler import RolloutSampler
from musiczoo.callbacks.rollouts.settings import RolloutSettings
from musiczoo.callbacks.run_folder import folder_of_run
from musiczoo.callbacks.takeover import FitTakeover, replaced, replaced_loaders
from musiczoo.datamodules.works import works_by_prompt
from musiczoo.models.adapters import fingerprint
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.models.base.objective import Objective
from musiczoo.models.reference import reference_of_run
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards import Reward, as_reward


class GroupRollouts(FitTakeover):
    """Runs a fit as steps of group-relative policy optimisation (GRPO; Shao et al. 2024).

    A step draws ``groups`` prompts, samples ``group_size`` completions of each in one batch, scores
    them, and takes ``iterations`` optimiser steps on all of them (arXiv 2402.03300). Where the
    reward listens, worker processes render a completion as soon as it has ended, while others are
    still sampled. The advantage of a completion is its reward over the mean of its group; one
    without a reward has no advantage and does not count in the mean.

    The fit needs no data. Loaders of a data module are not used, those of validation included. The
    length of the fit is set here: Lightning's ``max_steps`` becomes ``steps * iterations``. With a
    module of as many ``cooldown_steps`` the learning rate falls linearly to zero from the first
    step on, as in SMART; otherwise the rate stays.

    A run that was killed resumes from its last Lightning checkpoint and ends as if it had not been,
    to the bit on one CPU. The reference of the divergence is the policy that the run began with:
    with an adapter the base beside it, otherwise a frozen copy, which is kept in ``folder`` and not
    in checkpoints. Under DDP the ranks share sampling, scoring and training. Strategies that shard
    the weights are refused, because sampling needs them whole.

    The defaults are SMART's, except the size of a micro-batch, which changes only memory and speed.

    Args:
        steps: Rollout steps.
        prompts: Where prompts come from: an object with ``name`` and ``draw``
            (:class:`musiczoo.callbacks.PromptSource`), or a list of prompts as the module's
            ``generate`` takes them.
        reward: What scores the completions: a :class:`Reward`, or a function of a list of
            :class:`Generated`.
        objective: The loss; None stands for :class:`GRPO` with ``beta``, the mean over all targets,
            and no bias correction.
        beta: Weight of the divergence from the reference, where ``objective`` is None.
        batch_size: Completions of a micro-batch in each process. Micro-batches are accumulated to
            one optimiser step.
        log_kl: Every how many steps the divergence is computed at a beta of 0; 0 for never.
        folder: Where the run is kept; ``rollouts`` in the run's folder when None. A run that is to
            be resumed needs the same folder.
        keep: What is kept of each step's completions: ``"scores"`` (a Parquet file with prompt,
            tokens, reward, details and reason), ``"midi"``, ``"audio"``.
        preview_every: Every how many steps the best, the middle and the worst completion are
            written as MIDI and sound; 0 for never.
        progress: Show a progress bar while pieces are sampled and scored.
        settings: ``groups``, ``group_size``, ``max_new_tokens``, ``max_length``, ``sampling``,
            ``scale``, ``iterations``, ``reward_timeout``, ``seed`` and ``generation``: see
            :class:`musiczoo.callbacks.rollouts.settings.RolloutSettings`.

    Attributes:
        reports: The report of each step: ``step``, mean ``reward``, its ``reward_std``, the
            ``details`` of the reward, ``kl`` (nats a sampled target, of the policy that sampled
            from the reference), ``entropy`` (nats), ``length`` in sampled targets, the share that
            ``ended``, the share of ``flat_groups`` (equal rewards teach nothing), ``completions``,
            ``scored``, ``failed`` (reasons counted), ``seconds`` and ``reward_seconds``.

    Raises:
        MusicZooError: A number out of range, or unknown things to keep.

    Example:
        >>> def short(pieces):
        ...     return [-len(piece.text) for piece in pieces]
        >>> rollouts = GroupRollouts(2, prompts=[""], reward=short, groups=1, group_size=4)
        >>> rollouts.reward.name, rollouts.settings.group_size
        ('short', 4)
    """

    _run: RolloutRun | None

    def __init__(
        self,
        steps: int = 200,
        *,
        prompts: PromptSource | Sequence[Any],
        reward: Reward | Callable[[Sequence[Generated]], Any],
        objective: Objective | None = None,
        beta: float = 0.04,
        batch_size: int = 16,
        log_kl: int = 10,
        folder: str | Path | None = None,
        keep: Sequence[str] = ("scores",),
        preview_every: int = 0,
        progress: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__()
        if min(steps, batch_size) < 1 or min(log_kl, preview_every) < 0:
            raise MusicZooError(
                "GroupRollouts needs one step, group, iteration and completion of a batch at least."
            )
        self.keep = kept_kinds(keep)
        self.settings = RolloutSettings(**settings)
        self.steps = steps
        self.prompts = as_prompt_source(prompts)
        self.reward = as_reward(reward)
        self.objective = rollout_objective(objective, beta, self.settings.drawing)
        self.batch_size = batch_size
        self.log_kl = int(log_kl)
        self.folder = None if folder is None else Path(folder)
        self.preview_every = preview_every
        self.progress = progress
        self._forget()

    def _forget(self) -> None:
        """Forgets a fit; only the settings stay."""
        self._state = RunState()
        self._resumed: dict[str, Any] | None = None
        self._began = 0.0
        self._micro = 0

    @property
    def reports(self) -> list[dict[str, Any]]:
        """The report of each step so far."""
        return self._state.reports

    @property
    def state_key(self) -> str:
        """The key of the callback's state in checkpoints, which must not change."""
        return "musiczoo.GroupRollouts"

    def state_dict(self) -> dict[str, Any]:
        """Reports, the digest of the first policy, and the rollouts of a step under way."""
        return self._state.to_dict(self._batches_a_step)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave, when the training begins."""
        self._resumed = dict(state_dict)
        # A run that is resumed at its very end begins no step.
        self._state.reports = list(state_dict["reports"])

    def on_load_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Refuses the checkpoint of another training."""
        if trainer.state.fn == "fit":
            check_checkpoint(checkpoint, self.state_key)

    @property
    def _batches_a_step(self) -> int:
        return self._micro * self.settings.iterations

    @property
    def _needs_reference(self) -> bool:
        """Whether the loss needs it."""
        return getattr(self.objective, "beta", 0.0) != 0

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Replaces the loaders, the objective and the length of the fit.

        Raises:
            MusicZooError: The module or the Trainer does not go with rollouts.
        """
        if stage != "fit":
            return
        module = checked_module(trainer, pl_module)
        optimizer_steps = self.steps * self.settings.iterations
        check_trainer(trainer, optimizer_steps)
        check_generation(module, self.settings)
        # Before the state of a checkpoint is loaded.
        self._forget()
        self._micro = micro_batches(
            self.settings.groups * self.settings.group_size, self.batch_size, trainer.world_size
        )
        loader = RolloutLoader(
            self.steps * self._batches_a_step,
            # The place of the first batch of this fit, by Lightning's own counting.
            lambda: int(trainer.fit_loop.epoch_loop.batch_progress.current.ready),
            lambda place: self._batch(trainer, module, place),
        )
        self.take_over(
            replaced_loaders(trainer, train=loader, validation=[]),
            replaced(module, objective=self.objective),
            replaced(trainer, accumulate_grad_batches=self._micro),
            replaced(trainer.fit_loop, max_epochs=1),
            replaced(trainer.fit_loop.epoch_loop, max_steps=optimizer_steps),
        )

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Prepares folder and reference before the first step, and resumes a checkpoint's run.

        Raises:
            MusicZooError: The folder holds another run, the reference is gone, or the checkpoint is
                of another training.
        """
        assert isinstance(pl_module, GenerativeModule)
        pl_module.stage = "rollouts"
        folder = folder_of_run(trainer)
        files = RolloutFiles(self.folder or folder / "rollouts")
        place = 0
        if self._resumed is not None:
            progress: Any = trainer.fit_loop.epoch_loop.batch_progress.current
            # A checkpoint of the end of a batch does not count it as completed yet.
            place = int(max(progress.completed, progress.processed))
            self._state.resume(self._resumed, self._batches_a_step, place)
        policy = self._state.policy = self._state.policy or fingerprint(pl_module.net.state_dict())
        plan = {
            **self.settings.to_dict(),
            "prompts": self.prompts.name,
            "reward": self.reward.name,
            "objective": described(self.objective),
            "policy": policy,
        }
        files.claim_together(trainer, plan)
        rank, world_size = trainer.global_rank, trainer.world_size
        if trainer.is_global_zero:
            files.forget_after(-(-place // self._batches_a_step))
        if references := works_by_prompt(getattr(trainer, "datamodule", None)):
            self.reward.prepare(references)
        sampler = RolloutSampler(
            self.settings,
            self.prompts,
            self.reward,
            batch_size=self.batch_size,
            rank=rank,
            world_size=world_size,
            progress=self.progress and trainer.is_global_zero,
            precision=trainer.precision_plugin.forward_context,
        )
        reference = None
        if self._needs_reference or self.log_kl:
            reference = reference_of_run(pl_module, files.reference, policy, rank, world_size)
        self._run = RolloutRun(
            sampler,
            files,
            reference,
            needs_reference=self._needs_reference,
            log_kl=self.log_kl,
            keep=self.keep,
            preview_every=self.preview_every,
        )

    def _batch(
        self, trainer: lightning.Trainer, module: GenerativeModule, place: int
    ) -> dict[str, Tensor]:
        """The micro-batch of a place; the first of a step samples its rollouts."""
        assert self._run is not None
        step, batch = divmod(place, self._batches_a_step)
        if self._state.rollouts is None:
            if batch:
                raise MusicZooError(
                    f"The rollouts of step {step + 1}, which the checkpoint was saved in, are not"
                    " in it.",
                    where="trainer.fit(ckpt_path=...)",
                    remedy="Resume from a checkpoint of the end of a batch.",
                )
            made = self._run.make(module, step + 1)
            self._state.add(made.report)
            self._state.rollouts = made.rollouts
            self._began = time.perf_counter()
        rollouts = self._state.rollouts
        shares = rollouts.shares(self.batch_size, trainer.global_rank, trainer.world_size)
        return rollouts.batch(shares[batch % self._micro], module.representation.collate)

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Closes a step that is over: frees its rollouts, and logs its report."""
        if (batch_idx + 1) % self._batches_a_step or not self.reports:
            return
        self._state.rollouts = None
        report = self.reports[-1]
        # The time before a step was resumed is not known.
        report["seconds"]["update"] = (
            time.perf_counter() - self._began if self._began else float("nan")
        )
        self._began = 0.0
        if trainer.is_global_zero and self._run is not None:
            self._run.files.write_reports(self.reports)
        log_report(report, trainer.loggers, trainer.global_step)
        # Where callbacks such as ModelCheckpoint find it.
        monitored = {f"rollouts/{name}": report[name] for name in ("reward", "kl")}
        self.log_dict(monitored, prog_bar=True, logger=False, batch_size=1)  # type: ignore[attr-defined]  # the module's, which Lightning lends

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Adds the settings of the rollouts to the provenance."""
        assert isinstance(pl_module, GenerativeModule)
        if pl_module.record()["provenance"] != pl_module.provenance:
            # Lightning does not end the training of a run that was resumed at its very end.
            pl_module.on_train_end()
        entry = {
            "reward": self.reward.name,
            "prompts": self.prompts.name,
            **self.settings.numbers(),
            "objective": described(self.objective),
            "sampling": asdict(self.settings.drawing),
        }
        *before, last = pl_module.provenance["training"]
        pl_module.provenance = {
            **pl_module.provenance,
            "training": [*before, {**last, "rollouts": entry}],
        }
