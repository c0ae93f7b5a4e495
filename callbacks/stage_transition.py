"""Several stages in one fit: what is trained, by which loss and optimiser, and on what, changes at the end of chosen epochs."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import lightning
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor

from musiczoo.models.adapters import LoRA, is_adapter
from musiczoo.models.base.freezing import choose_trainable
from musiczoo.models.base.module import ZooModule
from musiczoo.models.base.objective import Objective, OptimizerFactory
from musiczoo.music.errors import MusicZooError

_log = logging.getLogger(__name__)
_BASE = "stage_transition_base"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What changes when so many epochs are over.

    What is None stays as it is; the optimiser begins anew in any case.

    Attributes:
        epoch: Epochs that are over then; 0 is the beginning of the fit.
        trainable: Patterns of the parameters to train, see
            :func:`musiczoo.models.base.freezing.choose_trainable`; ``("*",)`` trains all.
        merge: Add the adapter to the weights.
        lora: Train an adapter with these settings from now on (after merging, if both are given).
        objective: The loss.
        optimizer: Makes the optimiser from the parameters that are trainable then.
        warmup_steps: Steps of linear warm-up of the new optimiser.
        data: The data module to train and validate on.
    """

    epoch: int
    trainable: Sequence[str] | None = None
    merge: bool = False
    lora: LoRA | None = None
    objective: Objective | None = None
    optimizer: OptimizerFactory | None = None
    warmup_steps: int | None = None
    data: lightning.LightningDataModule | None = None


class StageTransition(lightning.Callback):
    """Makes the changes of a plan of stages inside one fit.

    Lightning's own ``BaseFinetuning`` goes wrong in several processes: DDP reduces the gradients of
    those parameters alone that were trainable when it was wrapped around the model, so that the
    ranks' copies of what is unfrozen later drift apart (Lightning issue 20340). Here the model is
    wrapped anew at each change. A fit resumed from any of its checkpoints equals the uninterrupted
    one.

    It works on one device and with DDP, in a fit that is limited by epochs. Strategies that shard
    the parameters restore a checkpoint after the optimiser has been made, and their shards cannot
    be made anew inside a fit; for them :func:`musiczoo.run_stages` gives each stage its own fit,
    which is also the better way wherever the weights between the stages are wanted.

    Args:
        changes: By ascending epoch.

    Raises:
        MusicZooError: No changes, epochs that do not ascend, or data at epoch 0 (which
            ``Trainer.fit`` takes).
    """

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = tuple(changes)
        epochs = [change.epoch for change in self.changes]
        if not epochs or epochs != sorted(set(epochs)) or epochs[0] < 0:
            raise MusicZooError(
                f"The changes come at epochs {epochs}.",
                where="changes",
                remedy="Give ascending numbers from 0.",
            )
        if epochs[0] == 0 and self.changes[0].data is not None:
            raise MusicZooError(
                "At epoch 0 the data is what Trainer.fit gets.",
                where="changes",
                remedy="Leave data out there.",
            )
        self._made = 0
        self._module: Any = None
        self._trainer: Any = None
        # Steps and epochs of the stages that are over.
        self._told = (0, 0)
        self._adapted_here = False

    @property
    def state_key(self) -> str:
        """A name that stays when the class is moved."""
        return "musiczoo.StageTransition"

    def state_dict(self) -> dict[str, Any]:
        """How many changes have been made."""
        return {
            "made": self._made,
            "epochs": [change.epoch for change in self.changes],
            "told": list(self._told),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing is left to do: the changes were made before the weights were read (see :meth:`setup`)."""

    def setup(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Makes the changes of epoch 0, and prepares the data of all of them, so that a missing corpus is found now and not at night.

        Raises:
            MusicZooError: A strategy or module that this cannot work with.
        """
        if stage != "fit":
            return
        _check(trainer, pl_module, self.changes)
        self._trainer, self._module, self._made, self._told, self._adapted_here = (
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
            trainer.reload_dataloaders_every_n_epochs = 1  # type: ignore[attr-defined]  # set where mypy does not look
        if self.changes[0].epoch == 0:
            self._change_module(self.changes[0])
            self._made = 1
        # The weights of a checkpoint are read before the state of callbacks, and an adapter must be
        # there by then.
        pl_module.__dict__.pop("on_load_checkpoint", None)
        pl_module.__dict__["on_load_checkpoint"] = self._before_loading(
            pl_module.on_load_checkpoint
        )

    def on_fit_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Looks at the schedules.

        Raises:
            MusicZooError: One goes by epochs: Lightning would step the next stage's at once when
                its epoch has not begun.
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
        fit_loop: Any = trainer.fit_loop
        epoch_loop = fit_loop.epoch_loop
        made = self._made
        self._catch_up(fit_loop.epoch_progress.current.completed)
        if self._made > made and epoch_loop.restarted_on_train_batch_end:
            # From a checkpoint of an epoch's last batch Lightning goes on counting where it was,
            # unless as many batches have been trained as an epoch has; but the next one may have
            # more.
            epoch_loop.batch_progress.increment_completed()
            epoch_loop.reset_restart_stage()
            fit_loop.reset_restart_stage()
            fit_loop._restarting = epoch_loop.restarting = False

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Makes the change that is due when this epoch is over, before checkpoints are written and before the next loader is made."""
        self._catch_up(trainer.current_epoch + 1)

    def on_save_checkpoint(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Keeps the weights beside an adapter that was added inside this fit: nobody else has them."""
        if self._adapted_here:
            state: dict[str, Tensor] = checkpoint["state_dict"]
            checkpoint[_BASE] = {
                name: value for name, value in state.items() if not is_adapter(name)
            }

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Tells the last stage's own length in the provenance."""
        if self._module.record()["provenance"] != self._module.provenance:
            # A fit that was resumed at its end trains nothing, and nobody has told the module that
            # training is over.
            self._module.on_train_end()
        self._tell(trainer.global_step, trainer.current_epoch)

    def teardown(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str
    ) -> None:
        """Leaves the module as it is, without what :meth:`setup` put on it."""
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
            self._made, self._told = made, (int(state["told"][0]), int(state["told"][1]))
            load(checkpoint)

        return on_load_checkpoint

    def _catch_up(self, epochs: int) -> None:
        """Makes the change that is due after so many epochs, if the fit goes on after them."""
        if 0 <= self._trainer.max_epochs <= epochs:
            return
        due = [change for change in self.changes[self._made :] if change.epoch <= epochs]
        if not due:
            return
        trainer, module = self._trainer, self._module
        # What comes now is told as a fit of its own; the last entry is this stage's, and still to
        # be closed.
        module.on_train_end()
        self._tell(trainer.global_step, epochs)
        self._told = (trainer.global_step, epochs)
        for change in due:
            self._change_module(change)
            self._change_data(change)
        self._made += len(due)
        module.on_fit_start()
        for parameter in module.parameters():
            # Of what is frozen now nobody would take it away.
            parameter.grad = None
        strategy = trainer.strategy
        if isinstance(strategy, DDPStrategy):
            strategy.model = module
            # The old wrapper hangs on the parameters until it is collected.
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
        module = self._module
        if change.merge:
            module.merge_adapter()
            self._adapted_here = False
        if change.lora is not None:
            if base is not None:
                module.load_state_dict(_without_layers(base))
            module.add_lora(change.lora, module.seed)
            self._adapted_here = change.epoch > 0
        if change.trainable is not None:
            choose_trainable(module, change.trainable)
        if change.objective is not None:
            module.objective = change.objective
        if change.optimizer is not None:
            module.optimizer_factory = change.optimizer
        if change.warmup_steps is not None:
            module.warmup_steps = change.warmup_steps

    def _change_data(self, change: Change) -> None:
        if change.data is not None:
            # Lightning has no public way to give a fit other data.
            self._trainer._data_connector.attach_datamodule(self._module, change.data)

    def _tell(self, steps: int, epochs: int) -> None:
        """The module counts steps and epochs of the whole fit.

        Each stage's entry shall have its own.
        """
        training = self._module.provenance["training"]
        last = {**training[-1], "steps": steps - self._told[0], "epochs": epochs - self._told[1]}
        self._module.provenance = {**self._module.provenance, "training": [*training[:-1], last]}


def _without_layers(base: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace(".base_layer.", "."): value for name, value in base.items()}


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
            "StageTransition counts in epochs, and goes on from the ends of them rightly in a fit"
            " that is limited by epochs alone.",
            where="Trainer(max_steps=...)",
            remedy="Give Trainer(max_epochs=...), or take musiczoo.run_stages.",
        )
    if module.cooldown_steps > 0 and any(change.epoch > 0 for change in changes):
        raise MusicZooError(
            "A cool-down aims at the last step of a whole fit.",
            where="cooldown_steps",
            remedy="Leave it out, or take musiczoo.run_stages.",
        )
    if trainer.max_epochs is not None and 0 <= trainer.max_epochs <= changes[-1].epoch:
        _log.warning("The fit ends before the change after epoch %d.", changes[-1].epoch)
