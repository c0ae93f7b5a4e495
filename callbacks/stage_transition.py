"""Several stages in one fit, with changes at the end of chosen epochs."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from typing import Any

import lightning
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor

from musiczoo.callbacks.changes import Change, check_changes
from musiczoo.models.adapters import is_adapter
from musiczoo.models.base.lightning_internals import attach_data, finish_epoch
from musiczoo.models.base.module import ZooModule
from musiczoo.music.errors import MusicZooError

__all__ = ["Change", "StageTransition"]

_log = logging.getLogger(__name__)
_BASE = "stage_transition_base"


class StageTransition(lightning.Callback):
    """Makes the changes of a plan of stages inside one fit.

    Lightning's own ``BaseFinetuning`` is wrong in several processes: DDP reduces the gradients of
    only those parameters that were trainable when it was wrapped around the model, so that the
    ranks' copies of what is unfrozen later drift apart (Lightning issue 20340). Here the model is
    wrapped again at each change. A fit resumed from any of its checkpoints equals the uninterrupted
    one.

    It works on one device and with DDP, in a fit that is limited by epochs. Strategies that shard
    the parameters restore a checkpoint after the optimiser has been made, and cannot shard again
    inside a fit; for them :func:`musiczoo.run_stages` gives each stage its own fit, which is also
    the better way wherever the weights between the stages are wanted.

    Args:
        changes: By ascending epoch.

    Raises:
        MusicZooError: No changes, epochs that do not ascend, or data at epoch 0 (which
            ``Trainer.fit`` is given).

    Example:
        >>> decoder = Change(epoch=0, trainable=["char_level_decoder.*"])
        >>> plan = StageTransition([decoder, Change(epoch=2, trainable=["*"], warmup_steps=10)])
        >>> [change.epoch for change in plan.changes]
        [0, 2]
    """

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = tuple(changes)
        check_changes(self.changes)
        self._made = 0
        self._module: Any = None
        self._running: Any = None
        # Steps and epochs of the stages that are over.
        self._over = (0, 0)
        self._adapted_here = False

    @property
    def state_key(self) -> str:
        """The key of the callback's state in checkpoints, which must not change."""
        return "musiczoo.StageTransition"

    def state_dict(self) -> dict[str, Any]:
        """How many changes have been made."""
        return {
            "made": self._made,
            "epochs": [change.epoch for change in self.changes],
            "told": list(self._over),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Does nothing: the changes were made before the weights were loaded (:meth:`setup`)."""

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Makes the changes of epoch 0, and prepares the data of all changes.

        So a missing corpus is found now and not at night.

        Raises:
            MusicZooError: A strategy or module that this cannot work with.
        """
        if stage != "fit":
            return
        _check(trainer, pl_module, self.changes)
        self._running, self._module, self._made, self._over, self._adapted_here = (
            trainer,
            pl_module,
            0,
            (0, 0),
            False,
        )
        sources = [change.data for change in self.changes if change.data is not None]
        for source in sources:
            source.trainer = trainer
            if trainer.local_rank == 0 and (source.prepare_data_per_node or trainer.node_rank == 0):
                source.prepare_data()
        trainer.strategy.barrier()
        for source in sources:
            source.setup("fit")
        if sources:
            # Otherwise the loaders of the first epoch would serve the whole fit.
            trainer.reload_dataloaders_every_n_epochs = 1  # type: ignore[attr-defined]  # set where mypy does not see it
        if self.changes[0].epoch == 0:
            self._change_module(self.changes[0])
            self._made = 1
        # The weights of a checkpoint are loaded before the state of callbacks, and an adapter must
        # be there by then.
        pl_module.__dict__.pop("on_load_checkpoint", None)
        pl_module.__dict__["on_load_checkpoint"] = self._before_loading(
            pl_module.on_load_checkpoint
        )

    def on_fit_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Checks the schedules.

        Raises:
            MusicZooError: One counts epochs: Lightning would step the next stage's at once, before
                its epoch has begun.
        """
        if any(config.interval != "step" for config in trainer.lr_scheduler_configs):
            raise MusicZooError(
                "A schedule by epochs does not survive a change.",
                remedy='Give it {"interval": "step"}.',
            )

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Makes a change that a checkpoint was saved just before."""
        made = self._made
        self._catch_up(trainer.fit_loop.epoch_progress.current.completed)
        if self._made > made:
            finish_epoch(trainer)

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Makes the change that is due when this epoch is over.

        Checkpoints are written, and the next loader is made, after it.
        """
        self._catch_up(trainer.current_epoch + 1)

    def on_save_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Keeps the weights beside an adapter of this fit, which are kept nowhere else."""
        if self._adapted_here:
            state: dict[str, Tensor] = checkpoint["state_dict"]
            checkpoint[_BASE] = {
                name: value for name, value in state.items() if not is_adapter(name)
            }

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Records the last stage's own length in the provenance."""
        if self._module.record()["provenance"] != self._module.provenance:
            # Lightning does not end the training of a fit that was resumed at its very end.
            self._module.on_train_end()
        self._record_length(trainer.global_step, trainer.current_epoch)

    def teardown(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Removes what :meth:`setup` put on the module; the changes stay."""
        if stage == "fit":
            pl_module.__dict__.pop("on_load_checkpoint", None)
            for change in self.changes:
                if change.data is not None and change.data is not trainer.datamodule:  # type: ignore[attr-defined]
                    change.data.teardown("fit")

    def _before_loading(
        self, load: Callable[[dict[str, Any]], None]
    ) -> Callable[[dict[str, Any]], None]:
        def on_load_checkpoint(checkpoint: dict[str, Any]) -> None:
            state = checkpoint.get("callbacks", {}).get(self.state_key)
            if state is None:
                raise MusicZooError(
                    "The checkpoint is of a fit without StageTransition.",
                    remedy="Start from its weights instead (pretrained=).",
                )
            made = int(state["made"])
            if state["epochs"][:made] != [change.epoch for change in self.changes[:made]]:
                raise MusicZooError(
                    f"The checkpoint's fit made its changes after epochs {state['epochs'][:made]}.",
                    remedy="Resume with the same changes.",
                )
            for change in self.changes[self._made : made]:
                self._change_module(change, checkpoint.get(_BASE))
                self._change_data(change)
            self._made, self._over = made, (int(state["told"][0]), int(state["told"][1]))
            load(checkpoint)

        return on_load_checkpoint

    def _catch_up(self, epochs: int) -> None:
        """Makes the changes that are due after a number of epochs, unless the fit ends there."""
        if 0 <= self._running.max_epochs <= epochs:
            return
        due = [change for change in self.changes[self._made :] if change.epoch <= epochs]
        if not due:
            return
        trainer, module = self._running, self._module
        # The next stage is recorded as a fit of its own; the last entry is that of the stage that
        # ends here.
        module.on_train_end()
        self._record_length(trainer.global_step, epochs)
        self._over = (trainer.global_step, epochs)
        for change in due:
            self._change_module(change)
            self._change_data(change)
        self._made += len(due)
        module.on_fit_start()
        for parameter in module.parameters():
            # The new optimiser does not clear the gradients of what is frozen now.
            parameter.grad = None
        strategy = trainer.strategy
        if isinstance(strategy, DDPStrategy):
            strategy.model = module
            # The old wrapper holds its hooks on the parameters until it is collected.
            gc.collect()
        strategy.model = strategy.precision_plugin.convert_module(module)
        strategy.model_to_device()
        if isinstance(strategy, DDPStrategy):
            strategy.configure_ddp()
        strategy.setup_optimizers(trainer)
        strategy.setup_precision_plugin()
        trained = sum(
            parameter.numel() for parameter in module.parameters() if parameter.requires_grad
        )
        _log.info(
            "After epoch %d: %s trains %d numbers.",
            epochs,
            type(module.objective).__name__,
            trained,
        )

    def _change_module(self, change: Change, base: dict[str, Tensor] | None = None) -> None:
        change.apply(self._module, base)
        if change.lora is not None:
            self._adapted_here = change.epoch > 0
        elif change.merge:
            self._adapted_here = False

    def _change_data(self, change: Change) -> None:
        if change.data is not None:
            attach_data(self._running, self._module, change.data)

    def _record_length(self, steps: int, epochs: int) -> None:
        """Corrects the last entry of the provenance, which counts steps of the whole fit."""
        training = self._module.provenance["training"]
        last = {**training[-1], "steps": steps - self._over[0], "epochs": epochs - self._over[1]}
        self._module.provenance = {**self._module.provenance, "training": [*training[:-1], last]}


def _check(trainer: lightning.Trainer, module: object, changes: Sequence[Change]) -> None:
    if not isinstance(module, ZooModule):
        raise MusicZooError(
            f"A {type(module).__name__} has no objective that could change.",
            where="StageTransition",
        )
    strategy = trainer.strategy
    # DeepSpeed and XLA have subclasses of these two.
    if type(strategy) not in (SingleDeviceStrategy, DDPStrategy):
        raise MusicZooError(
            f"StageTransition does not work with {type(strategy).__name__}: what is sharded cannot"
            " be changed inside a fit, and its checkpoints are restored after the optimiser has"
            " been made.",
            remedy="Give each stage a fit of its own: musiczoo.run_stages does.",
        )
    if trainer.max_steps != -1:
        raise MusicZooError(
            "StageTransition counts in epochs, and resumes correctly from their ends only in a fit"
            " that is limited by epochs alone.",
            where="Trainer(max_steps=...)",
            remedy="Give Trainer(max_epochs=...), or use musiczoo.run_stages.",
        )
    if module.cooldown_steps > 0 and any(change.epoch > 0 for change in changes):
        raise MusicZooError(
            "A cool-down aims at the last step of a whole fit.",
            where="cooldown_steps",
            remedy="Leave it out, or use musiczoo.run_stages.",
        )
    if trainer.max_epochs is not None and 0 <= trainer.max_epochs <= changes[-1].epoch:
        _log.warning("The fit ends before the change after epoch %d.", changes[-1].epoch)
