"""A run of rollouts between the hooks of a callback: its state, and how a step is made and kept."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from musiczoo.callbacks.rollouts.batches import TrainingRollouts
from musiczoo.callbacks.rollouts.files import RolloutFiles
from musiczoo.callbacks.rollouts.media import write_completions, write_preview
from musiczoo.callbacks.rollouts.sampler import MadeStep, RolloutSampler
from musiczoo.models.base.generative import GenerativeModule
from musiczoo.models.reference import ReferencePolicy
from musiczoo.music.errors import MusicZooError

# After this number of steps in a row without a single reward something is broken for good.
_BARREN_STEPS = 10
_log = logging.getLogger(__name__)


@dataclass
class RunState:
    """What a checkpoint keeps of a run.

    Attributes:
        policy: Digest of the weights that the run began with; empty before it begins.
        reports: Of the steps so far.
        barren: Steps in a row without a reward.
        rollouts: Those of the step under way; None between two steps.
    """

    policy: str = ""
    reports: list[dict[str, Any]] = field(default_factory=list)
    barren: int = 0
    rollouts: TrainingRollouts | None = None

    def to_dict(self, batches: int) -> dict[str, Any]:
        """Tensors and plain containers.

        Args:
            batches: Micro-batches a step, which a resumed run must have too.
        """
        return {
            "policy": self.policy,
            "reports": self.reports,
            "barren": self.barren,
            "batches": batches,
            "rollouts": None if self.rollouts is None else self.rollouts.to_state(),
        }

    def resume(self, kept: Mapping[str, Any], batches: int, place: int) -> None:
        """Restores what :meth:`to_dict` gave.

        Args:
            kept: From a checkpoint.
            batches: Micro-batches a step now.
            place: Micro-batches of the run that are over.

        Raises:
            MusicZooError: Another number of batches a step.
        """
        if kept["batches"] != batches:
            raise MusicZooError(
                f"The checkpoint was made with {kept['batches']} batches a step, and now there are"
                f" {batches}.",
                where="trainer.fit(ckpt_path=...)",
                remedy=(
                    "Resume with the same groups, group_size, iterations, and batch_size times"
                    " processes."
                ),
            )
        self.policy, self.barren = kept["policy"], kept["barren"]
        # In a checkpoint that another callback saved before the step was closed, the rollouts are
        # there and used up.
        if kept["rollouts"] is not None and place % batches:
            self.rollouts = TrainingRollouts.from_state(kept["rollouts"])

    def add(self, report: dict[str, Any]) -> None:
        """Adds the report of a step.

        Raises:
            MusicZooError: No completion of many steps in a row has a reward.
        """
        self.reports.append(report)
        self.barren = 0 if report["scored"] else self.barren + 1
        if not self.barren:
            return
        reasons = "; ".join(f"{times}: {reason}" for reason, times in report["failed"].items())
        if self.barren >= _BARREN_STEPS:
            raise MusicZooError(
                f"No completion of {self.barren} steps in a row has a reward. Of the last step's:"
                f" {reasons}.",
                where="GroupRollouts(reward=...)",
                remedy="Try the reward on a few pieces of model.generate first.",
            )
        _log.warning(
            "No completion of step %d has a reward; nothing is learnt of it. %s.",
            report["step"],
            reasons,
        )


@dataclass(frozen=True)
class RolloutRun:
    """The steps of one fit.

    Attributes:
        sampler: Makes the steps.
        files: Keeps them.
        reference: The reference policy; None where nothing needs it.
        needs_reference: Whether the objective needs its log-probabilities.
        log_kl: Every how many steps the divergence is reported where the objective does not need
            the reference; 0 for never.
        keep: What is kept: ``"scores"``, ``"midi"``, ``"audio"``.
        preview_every: Every how many steps a preview is written; 0 for never.
    """

    sampler: RolloutSampler
    files: RolloutFiles
    reference: ReferencePolicy | None
    needs_reference: bool
    log_kl: int
    keep: Collection[str]
    preview_every: int

    def make(self, module: GenerativeModule, step: int) -> MadeStep:
        """Samples and scores a step, and writes what is to be kept of it.

        Args:
            module: The policy.
            step: Number of the step, from 1.
        """
        measures = self.needs_reference or bool(self.log_kl and (step - 1) % self.log_kl == 0)
        train_on = ["reference"] * self.needs_reference
        train_on += ["old"] * (self.sampler.settings.iterations > 1)
        made = self.sampler.make(
            module, step, self.reference if measures else None, train_on=" ".join(train_on)
        )
        if "scores" in self.keep and self.sampler.rank == 0:
            self.files.write_step(step, made.completions)
        renderers = self.sampler.renderers
        if kinds := {*self.keep} & {"midi", "audio"}:
            folder = self.files.media(step)
            write_completions(folder, made.completions, made.results, renderers, kinds)
        if self.preview_every and (step == 1 or step % self.preview_every == 0):
            folder = self.files.media(step, preview=True)
            write_preview(folder, made.completions, made.results, renderers)
        for renderer in renderers:
            renderer.forget()
        return made
