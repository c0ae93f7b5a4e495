"""Group-relative policy optimisation inside one fit: the model writes several pieces for each prompt, and learns from the better ones.

SMART (Jonason, Casini and Sturm 2025, arXiv 2504.16839) with any reward, any source of prompts and
any generative architecture::

    rollouts = GroupRollouts(steps=200, prompts=prompts, reward=reward, folder="rollouts")
    lightning.Trainer(gradient_clip_val=1.0, callbacks=[rollouts]).fit(model)
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor

from musiczoo.callbacks.preference.prompts import works_by_prompt
from musiczoo.callbacks.rollouts.batches import RolloutLoader, TrainingRollouts, micro_batches
from musiczoo.callbacks.rollouts.files import RolloutFiles
from musiczoo.callbacks.rollouts.media import write_completions, write_preview
from musiczoo.callbacks.rollouts.prompts import PromptSource, as_prompt_source
from musiczoo.callbacks.rollouts.sampler import RolloutMaker, RolloutSettings
from musiczoo.models.adapters import fingerprint
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.models.base.objective import Objective
from musiczoo.models.objectives import GRPO, Scale
from musiczoo.models.reference import ReferencePolicy, read_reference, write_reference
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards import Reward, as_reward

Thing = TypeVar("Thing")
KEPT = ("midi", "audio", "scores")
# After so many steps in a row without a single reward something is broken that goes on being
# broken.
_BARREN_STEPS = 10
_log = logging.getLogger(__name__)


class GroupRollouts(Callback):
    """Runs a fit as steps of group-relative policy optimisation (GRPO, Shao et al. 2024, arXiv 2402.03300).

    A step draws ``groups`` prompts, samples ``group_size`` completions of each in one batch, scores
    them, and takes ``iterations`` optimiser steps on all of them. Where the reward listens, a
    completion is rendered by worker processes as soon as it has ended, while others are still
    sampled. What a completion earned over the mean of its group is its advantage; one without a
    reward has none and takes no part in the mean.

    The fit needs no data. Where there is a data module its loaders rest, validation included. The
    length of the fit is set here: Lightning's ``max_steps`` becomes ``steps * iterations``, so that
    with a module made with ``cooldown_steps=steps * iterations`` (``musiczoo.load(...,
    cooldown_steps=200)``) the learning rate falls linearly to zero from the first step on, as
    SMART's does; without it the rate stays.

    A run that was killed goes on from its last Lightning checkpoint and ends as if it had not been,
    to the bit on one CPU. The reference of the divergence is the policy that the run began with:
    with an adapter the base beside it, otherwise a frozen copy, which is kept in ``folder`` and not
    in checkpoints. Under DDP the ranks share sampling, scoring and training. Strategies that shard
    the weights are refused: sampling needs them whole.

    The defaults are SMART's, but for the size of a micro-batch, which changes nothing but memory
    and speed.

    Args:
        steps: Rollout steps.
        prompts: Where prompts come from: an object with ``name`` and ``draw``
            (:class:`PromptSource`), or a list of prompts as the module's ``generate`` takes them.
        groups: Prompts a step, over all processes.
        group_size: Completions a prompt.
        reward: What scores the completions: a :class:`Reward`, or a function of a list of
            :class:`Generated`.
        max_new_tokens: Longest completion, for modules whose ``generate`` counts in tokens.
        max_length: Longest piece in the units of the module's ``generate``, prompt included, for
            those that count otherwise.
        objective: The loss; None takes :class:`GRPO` with ``beta``, the mean over all targets, and
            no bias correction.
        beta: Weight of the divergence from the reference, where ``objective`` is None.
        batch_size: Completions of a micro-batch in each process. Micro-batches are accumulated to
            one optimiser step.
        sampling: How tokens are drawn; None takes the full softmax at temperature 1. A cut makes
            the policy that samples another than the one that is trained.
        scale: What advantages are divided by: the deviation of the ``"group"``, of the ``"batch"``,
            or nothing (``"none"``).
        iterations: Optimiser steps a rollout step; more than one makes the ratio of policies
            matter.
        log_kl: With a beta of 0 the divergence is looked at every so many steps alone; 0 for never.
        reward_timeout: Seconds that the reward may take for a step; None for any time.
        folder: Where the run is kept; ``rollouts`` in the run's folder when None. A run that is to
            be resumed needs the same folder.
        keep: What is kept of each step's completions: ``"scores"`` (a Parquet file with prompt,
            tokens, reward, details and reason), ``"midi"``, ``"audio"``.
        preview_every: Every how many steps the best, the middle and the worst completion are
            written as MIDI and sound; 0 for never.
        seed: Of prompts and sampling.
        progress: Show a progress bar while pieces are sampled and scored.
        generation: Further options of the module's ``generate``, such as ``{"guard": "grammar"}``.

    Attributes:
        reports: What came of each step: ``step``, mean ``reward``, its ``reward_std``, the
            ``details`` of the reward, ``kl`` (nats a sampled target, of the policy that sampled
            from the reference), ``entropy`` (nats), ``length`` in sampled targets, the share that
            ``ended``, the share of ``flat_groups`` (equal rewards teach nothing), ``completions``,
            ``scored``, ``failed`` (reasons counted), ``seconds`` (sample, score, reference, update)
            and ``reward_seconds`` of each part of the reward.

    Raises:
        MusicZooError: A number out of range, or things to keep that there are not.
    """

    def __init__(
        self,
        steps: int = 200,
        *,
        prompts: PromptSource | Sequence[Any],
        reward: Reward | Callable[[Sequence[Generated]], Any],
        groups: int = 8,
        group_size: int = 8,
        max_new_tokens: int | None = 256,
        max_length: int | None = None,
        objective: Objective | None = None,
        beta: float = 0.04,
        batch_size: int = 16,
        sampling: Sampling | None = None,
        scale: Scale = "group",
        iterations: int = 1,
        log_kl: int = 10,
        reward_timeout: float | None = 120.0,
        folder: str | Path | None = None,
        keep: Sequence[str] = ("scores",),
        preview_every: int = 0,
        seed: int = 0,
        progress: bool = True,
        generation: Mapping[str, Any] | None = None,
    ) -> None:
        if min(steps, groups, iterations, batch_size) < 1 or min(log_kl, preview_every) < 0:
            raise MusicZooError(
                "GroupRollouts needs one step, group, iteration and completion of a batch at least."
            )
        if group_size < 2:
            raise MusicZooError(
                "A completion is compared with the others of its prompt, and there are none.",
                where="group_size",
                remedy="Give 2 or more; 8 is common.",
            )
        if reward_timeout is not None and reward_timeout <= 0:
            raise MusicZooError(
                "A reward needs time.",
                where="reward_timeout",
                remedy="Give seconds, or None for any time.",
            )
        if unknown := sorted({*([keep] if isinstance(keep, str) else keep)} - {*KEPT}):
            raise MusicZooError(
                f"There is no {', '.join(unknown)} to keep.",
                where="keep",
                remedy=f"Choose of {', '.join(KEPT)}.",
            )
        sampling = sampling or Sampling(top_k=0, top_p=1.0, min_p=0.0, temperature=1.0)
        if sampling.temperature == 0:
            raise MusicZooError(
                "Without randomness all completions of a prompt are the same.",
                where="sampling",
                remedy="Give a temperature above 0.",
            )
        self.steps = steps
        self.prompts = as_prompt_source(prompts)
        self.reward = as_reward(reward)
        self.objective: Objective = objective or GRPO(
            beta=beta, aggregation="bnpo", bias_correction=False, temperature=sampling.temperature
        )
        if (
            temperature := getattr(self.objective, "temperature", sampling.temperature)
        ) != sampling.temperature:
            raise MusicZooError(
                f"The completions are sampled at temperature {sampling.temperature} and trained on"
                f" at {temperature}.",
                where="objective",
                remedy="Give the objective the temperature of the sampling.",
            )
        if not sampling.uncut:
            _log.warning(
                "The rollouts are sampled with cuts, which the loss knows nothing of:"
                " Sampling(top_k=0, top_p=1) has none."
            )
        self.batch_size = batch_size
        self.iterations = iterations
        self.log_kl = int(log_kl)
        self.folder = None if folder is None else Path(folder)
        self.keep = frozenset([keep] if isinstance(keep, str) else keep)
        self.preview_every = preview_every
        self.progress = progress
        self.settings = RolloutSettings(
            groups=groups,
            group_size=group_size,
            max_new_tokens=max_new_tokens,
            max_length=max_length,
            sampling=sampling,
            scale=scale,
            reward_timeout=reward_timeout,
            seed=seed,
            generation=dict(generation or {}),
        )
        self.reports: list[dict[str, Any]] = []
        self._forget()

    def _forget(self) -> None:
        """What a fit knows beyond its settings."""
        self.reports = []
        self._policy = ""
        self._barren = 0
        self._rollouts: TrainingRollouts | None = None
        self._began = 0.0
        self._resumed: dict[str, Any] | None = None
        self._reference: ReferencePolicy | None = None
        self._maker: RolloutMaker | None = None
        self._files: RolloutFiles | None = None
        self._micro = 0
        self._restore: Callable[[], None] | None = None

    @property
    def state_key(self) -> str:
        """Lasting: the state of a callback is kept under it."""
        return "musiczoo.GroupRollouts"

    def state_dict(self) -> dict[str, Any]:
        """The reports so far, the digest of the policy that the run began with, and the rollouts of a step that is under way."""
        return {
            "policy": self._policy,
            "reports": self.reports,
            "barren": self._barren,
            "batches": self._batches_a_step,
            "rollouts": None if self._rollouts is None else self._rollouts.to_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up what :meth:`state_dict` gave."""
        self._resumed = dict(state_dict)
        # Here already: a run that is resumed at its very end begins no step.
        self.reports = list(state_dict["reports"])

    def on_load_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Looks at a checkpoint before it is taken up.

        Raises:
            MusicZooError: It is of another training, whose batches and epochs Lightning would take
                for ours.
        """
        if trainer.state.fn == "fit" and self.state_key not in checkpoint["callbacks"]:
            raise MusicZooError(
                "The checkpoint is of a fit without GroupRollouts.",
                where="trainer.fit(ckpt_path=...)",
                remedy=(
                    "Begin the rollouts with the checkpoint's weights (musiczoo.load) instead of"
                    " resuming its fit."
                ),
            )

    @property
    def _batches_a_step(self) -> int:
        return self._micro * self.iterations

    @property
    def _needs_reference(self) -> bool:
        """Whether the loss asks for it."""
        return getattr(self.objective, "beta", 0.0) != 0

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Puts the rollouts in the place of the training batches.

        Raises:
            MusicZooError: No generative module, nothing to train, a strategy that shards the
                weights, or settings of the Trainer that do not go with rollouts.
        """
        if stage != "fit":
            return
        module = _checked(trainer, pl_module, self.steps * self.iterations)
        _check_length(module, self.settings)
        # Another fit of this object knows nothing of the one before; a checkpoint's state comes
        # after this.
        self._forget()
        self._micro = micro_batches(
            self.settings.groups * self.settings.group_size, self.batch_size, trainer.world_size
        )
        self._stand_in(trainer, module)

    def _stand_in(self, trainer: lightning.Trainer, module: GenerativeModule) -> None:
        """The loader, the objective and the length of this object in the place of others, until the fit ends."""
        fit_loop: Any = trainer.fit_loop
        loader = RolloutLoader(
            self.steps * self._batches_a_step,
            lambda: self._begin(trainer),
            lambda place: self._batch(trainer, module, place),
        )
        # Lightning has no public way to give a fit other loaders.
        sources = [fit_loop._data_source, fit_loop.epoch_loop.val_loop._data_source]
        held = [(source, source.instance, source.name) for source in sources]
        objective, accumulated = module.objective, trainer.accumulate_grad_batches
        lengths = fit_loop.max_epochs, fit_loop.epoch_loop.max_steps
        sources[0].instance = loader
        if sources[1].is_defined():
            sources[1].instance = []
        module.objective = self.objective
        trainer.accumulate_grad_batches = self._micro
        fit_loop.max_epochs = 1
        fit_loop.epoch_loop.max_steps = self.steps * self.iterations

        def restore() -> None:
            for source, instance, name in held:
                source.instance, source.name = instance, name
            module.objective, trainer.accumulate_grad_batches = objective, accumulated
            fit_loop.max_epochs, fit_loop.epoch_loop.max_steps = lengths

        self._restore = restore

    def teardown(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Gives the module its objective back, and the Trainer its settings."""
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
        self._maker = self._reference = None

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Makes sure of folder and reference before the first step, and takes up the run that a checkpoint was saved in.

        Raises:
            MusicZooError: The folder holds another run, the reference is gone, or the checkpoint is
                of another training.
        """
        assert isinstance(pl_module, GenerativeModule)
        pl_module.stage = "rollouts"
        # Asked of every rank once, for the ranks agree on it.
        logged = trainer.log_dir
        files = self._files = RolloutFiles(
            self.folder or Path(logged or trainer.default_root_dir) / "rollouts"
        )
        place = self._take_up(trainer)
        if not self._policy:
            self._policy = fingerprint(pl_module.net.state_dict())
        self._claim(
            trainer,
            pl_module,
            files,
            place // self._batches_a_step + (place % self._batches_a_step > 0),
        )
        if self._needs_reference or self.log_kl:
            self._reference = self._made_reference(trainer, pl_module, files)
        references = works_by_prompt(getattr(trainer, "datamodule", None))
        if references:
            self.reward.prepare(references)
        self._maker = RolloutMaker(
            self.settings,
            self.prompts,
            self.reward,
            batch_size=self.batch_size,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            progress=self.progress and trainer.is_global_zero,
            precision=trainer.precision_plugin.forward_context,
        )

    def _take_up(self, trainer: lightning.Trainer) -> int:
        """What a checkpoint kept; the batches of the run that are over."""
        progress: Any = trainer.fit_loop.epoch_loop.batch_progress
        state, self._resumed = self._resumed, None
        if state is None:
            return 0
        if state["batches"] != self._batches_a_step:
            raise MusicZooError(
                f"The checkpoint was made with {state['batches']} batches a step, and now there are"
                f" {self._batches_a_step}.",
                where="trainer.fit(ckpt_path=...)",
                remedy=(
                    "Resume with the same groups, group_size, iterations, and batch_size times"
                    " processes."
                ),
            )
        self._policy, self._barren = state["policy"], state["barren"]
        # A checkpoint of the end of a batch does not count it as completed yet.
        place = int(max(progress.current.completed, progress.current.processed))
        # Of a callback that saves before this one has closed the step, the rollouts are there and
        # used up.
        if state["rollouts"] is not None and place % self._batches_a_step:
            self._rollouts = TrainingRollouts.from_state(state["rollouts"])
        return place

    def _claim(
        self, trainer: lightning.Trainer, module: GenerativeModule, files: RolloutFiles, step: int
    ) -> None:
        plan = {
            **self.settings.to_dict(),
            "iterations": self.iterations,
            "prompts": self.prompts.name,
            "reward": self.reward.name,
            "objective": {"class": type(self.objective).__name__, **_plain(vars(self.objective))},
            "policy": self._policy,
        }

        def claim() -> None:
            files.claim(plan)
            files.forget_after(step)

        if trainer.is_global_zero:
            claim()
        trainer.strategy.barrier("rollouts")
        # The processes need not share a disk.
        files.claim(plan)

    def _made_reference(
        self, trainer: lightning.Trainer, module: GenerativeModule, files: RolloutFiles
    ) -> ReferencePolicy:
        if module.lora is not None:
            return ReferencePolicy(module)
        if fingerprint(module.net.state_dict()) == self._policy:
            if trainer.is_global_zero:
                write_reference(files.reference, module.net)
            return ReferencePolicy(module)
        weights = _from_first(trainer, lambda: read_reference(files.reference, self._policy))
        return ReferencePolicy(module, weights)

    def _begin(self, trainer: lightning.Trainer) -> int:
        """The place of the first batch of this fit, by Lightning's own counting."""
        return int(trainer.fit_loop.epoch_loop.batch_progress.current.ready)

    def _batch(
        self, trainer: lightning.Trainer, module: GenerativeModule, place: int
    ) -> dict[str, Tensor]:
        step, batch = divmod(place, self._batches_a_step)
        if self._rollouts is None:
            if batch:
                raise MusicZooError(
                    f"The rollouts of step {step + 1}, which the checkpoint was saved in, are not"
                    " in it.",
                    where="trainer.fit(ckpt_path=...)",
                    remedy="Resume from a checkpoint of the end of a batch.",
                )
            self._rollouts = self._make(trainer, module, step + 1)
            self._began = time.perf_counter()
        shares = self._rollouts.shares(self.batch_size, trainer.global_rank, trainer.world_size)
        return self._rollouts.batch(shares[batch % self._micro], module.representation.collate)

    def _make(
        self, trainer: lightning.Trainer, module: GenerativeModule, step: int
    ) -> TrainingRollouts:
        assert self._maker is not None
        assert self._files is not None
        looks = self._needs_reference or bool(self.log_kl and (step - 1) % self.log_kl == 0)
        train_on = ["reference"] * self._needs_reference + ["old"] * (self.iterations > 1)
        made = self._maker.make(
            module, step, self._reference if looks else None, train_on=" ".join(train_on)
        )
        files = self._files
        if "scores" in self.keep and trainer.is_global_zero:
            files.write_step(step, made.completions)
        wanted = self.keep & {"midi", "audio"}
        if wanted:
            write_completions(
                files.media(step), made.completions, made.results, self._maker.renderers, wanted
            )
        if self.preview_every and (step == 1 or step % self.preview_every == 0):
            write_preview(
                files.media(step, preview=True),
                made.completions,
                made.results,
                self._maker.renderers,
            )
        for renderer in self._maker.renderers:
            renderer.forget()
        self.reports.append(made.report)
        self._judge(made.report)
        return made.rollouts

    def _judge(self, report: Mapping[str, Any]) -> None:
        """Goes on over a step without a reward, but not for ever."""
        self._barren = 0 if report["scored"] else self._barren + 1
        if not self._barren:
            return
        reasons = "; ".join(f"{times}: {reason}" for reason, times in report["failed"].items())
        if self._barren >= _BARREN_STEPS:
            raise MusicZooError(
                f"No completion of {self._barren} steps in a row has a reward. Of the last step's:"
                f" {reasons}.",
                where="GroupRollouts(reward=...)",
                remedy="Try the reward on a few pieces of model.generate first.",
            )
        _log.warning(
            "No completion of step %d has a reward; nothing is learnt of it. %s.",
            report["step"],
            reasons,
        )

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Closes a step that is over."""
        if (batch_idx + 1) % self._batches_a_step or not self.reports:
            return
        self._rollouts = None
        report = self.reports[-1]
        # Of a resumed step what came before is not known.
        report["seconds"]["update"] = (
            time.perf_counter() - self._began if self._began else float("nan")
        )
        self._began = 0.0
        if trainer.is_global_zero and self._files is not None:
            self._files.write_reports(self.reports)
        numbers = {
            f"rollouts/{name}": value for name, value in flat(report).items() if name != "step"
        }
        for logger in trainer.loggers:
            logger.log_metrics(numbers, step=trainer.global_step)
        # Where callbacks such as ModelCheckpoint look.
        told = {f"rollouts/{name}": report[name] for name in ("reward", "kl")}
        self.log_dict(told, prog_bar=True, logger=False, batch_size=1)  # type: ignore[attr-defined]  # the module's, which Lightning lends

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Tells in the provenance what the fit was of."""
        assert isinstance(pl_module, GenerativeModule)
        if pl_module.record()["provenance"] != pl_module.provenance:
            # A run that was resumed at its very end trains nothing, and nobody has told the module
            # that training is over.
            pl_module.on_train_end()
        told = {
            "reward": self.reward.name,
            "prompts": self.prompts.name,
            **{
                name: getattr(self.settings, name)
                for name in ("groups", "group_size", "max_new_tokens", "max_length", "seed")
            },
            "iterations": self.iterations,
            "objective": {"class": type(self.objective).__name__, **_plain(vars(self.objective))},
            "sampling": asdict(self.settings.sampling),
        }
        *before, last = pl_module.provenance["training"]
        pl_module.provenance = {
            **pl_module.provenance,
            "training": [*before, {**last, "rollouts": told}],
        }


def flat(report: Mapping[str, Any], above: str = "") -> dict[str, float]:
    """The numbers of a report by name, ``"details/CE"`` those of a part."""
    numbers: dict[str, float] = {}
    for name, value in report.items():
        if isinstance(value, Mapping):
            numbers.update(flat(value, f"{above}{name}/"))
        else:
            numbers[f"{above}{name}"] = float(value)
    return numbers


def _checked(
    trainer: lightning.Trainer, module: lightning.LightningModule, optimizer_steps: int
) -> GenerativeModule:
    if not isinstance(module, GenerativeModule):
        raise MusicZooError(
            f"A {type(module).__name__} writes no pieces.",
            remedy="Rollouts need a generative module.",
        )
    # DeepSpeed and XLA have subclasses of these two.
    if type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy):
        raise MusicZooError(
            "Rollouts sample from the model, which needs whole weights on each device.",
            where="Trainer(strategy=...)",
            remedy='Use "ddp" or one device; a large model is tuned with an adapter (lora=).',
        )
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise MusicZooError(
            "No parameter is trainable.",
            remedy="Unfreeze some part of the model before Trainer.fit.",
        )
    if trainer.accumulate_grad_batches != 1:
        raise MusicZooError(
            "All completions of a step are accumulated to one optimiser step.",
            where="Trainer(accumulate_grad_batches=...)",
            remedy=(
                "Leave it out; GroupRollouts(batch_size=...) says how many completions a"
                " micro-batch holds."
            ),
        )
    # 1000 is what Lightning fills in where nothing was said.
    if trainer.max_epochs not in (None, -1, 1, 1000) or trainer.max_steps not in (
        -1,
        optimizer_steps,
    ):
        raise MusicZooError(
            f"The length of the training is {optimizer_steps} optimiser steps.",
            where="Trainer(max_epochs=..., max_steps=...)",
            remedy="Leave both out, and give GroupRollouts(steps=...).",
        )
    if (
        trainer.limit_train_batches != 1.0
        or trainer.overfit_batches
        or trainer.reload_dataloaders_every_n_epochs
    ):  # type: ignore[attr-defined]  # set where mypy does not look
        raise MusicZooError(
            "Rollouts bring batches of their own, all of which are trained on.",
            where="Trainer",
            remedy=(
                "Leave out fast_dev_run, limit_train_batches, overfit_batches and"
                " reload_dataloaders_every_n_epochs."
            ),
        )
    return module


def _check_length(module: GenerativeModule, settings: RolloutSettings) -> None:
    counts_tokens = "max_new_tokens" in inspect.signature(module.generate).parameters
    if settings.max_length is None and not (counts_tokens and settings.max_new_tokens is not None):
        raise MusicZooError(
            f"Nothing says how long the pieces of a {type(module).__name__} may become.",
            where="GroupRollouts",
            remedy=(
                "Give max_new_tokens."
                if counts_tokens
                else "Its generate does not count in tokens: give max_length in its units."
            ),
        )


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in settings.items()
        if value is None or isinstance(value, bool | int | float | str)
    }


def _from_first(trainer: lightning.Trainer, make: Callable[[], Thing]) -> Thing:
    """What the first process makes, in all of them; they need not share a disk."""
    return trainer.strategy.broadcast(make() if trainer.is_global_zero else None)  # type: ignore[return-value]
