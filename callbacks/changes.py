"""A change inside a fit: what is trained, by which loss and optimiser, and on what data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightning
from torch import Tensor

from musiczoo.models.adapters import LoRA
from musiczoo.models.base.freezing import choose_trainable
from musiczoo.models.base.objective import Objective, OptimizerFactory
from musiczoo.music.errors import MusicZooError


@dataclass(frozen=True, kw_only=True)
class Change:
    """What changes after a number of epochs.

    What is None stays as it is; the optimiser starts again in any case.

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
    warmup_steps: float | None = None
    data: lightning.LightningDataModule | None = None

    def apply(self, module: Any, base: Mapping[str, Tensor] | None = None) -> None:
        """Changes a module; the data is changed by the callback.

        Args:
            module: What is trained.
            base: Weights to load before an adapter is added, by their names in a module that has
                one; None keeps the module's.
        """
        if self.merge:
            module.merge_adapter()
        if self.lora is not None:
            if base is not None:
                plain = {name.replace(".base_layer.", "."): value for name, value in base.items()}
                module.load_state_dict(plain)
            module.add_lora(self.lora, module.seed)
        if self.trainable is not None:
            choose_trainable(module, self.trainable)
        if self.objective is not None:
            module.objective = self.objective
        if self.optimizer is not None:
            module.optimizer_factory = self.optimizer
        if self.warmup_steps is not None:
            module.warmup_steps = self.warmup_steps


def check_changes(changes: Sequence[Change]) -> None:
    """Checks the epochs of a plan.

    Raises:
        MusicZooError: No changes, epochs that do not ascend, or data at epoch 0 (which
            ``Trainer.fit`` is given).
    """
    epochs = [change.epoch for change in changes]
    if not epochs or epochs != sorted(set(epochs)) or epochs[0] < 0:
        raise MusicZooError(
            f"The changes come at epochs {epochs}.",
            where="changes",
            remedy="Give ascending numbers from 0.",
        )
    if epochs[0] == 0 and changes[0].data is not None:
        raise MusicZooError(
            "At epoch 0 the data is what Trainer.fit gets.",
            where="changes",
            remedy="Leave data out there.",
        )
