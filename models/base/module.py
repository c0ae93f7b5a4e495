"""The base of all modules: what a checkpoint keeps, adapters, and training by an objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import lightning
import torch
from torch import Tensor

from musiczoo.hub.format import upgraded
from musiczoo.models import adapters
from musiczoo.models.adapters import LoRA
from musiczoo.models.base.capabilities import PromptKind, Writes
from musiczoo.models.base.config import ModelConfig
from musiczoo.models.base.lightning_internals import begin_next_epoch, trainer_of
from musiczoo.models.base.objective import Batch, Objective, OptimizerFactory
from musiczoo.models.base.provenance import data_record, fit_entries
from musiczoo.models.base.training import (
    NOMINAL_TARGETS,
    Accumulation,
    Cooldown,
    ValidationLoss,
    mixed_seed,
    scheduled,
)
from musiczoo.music.errors import MusicZooError


class ZooModule(lightning.LightningModule):
    """A module of the zoo: it trains by an objective, carries an adapter, and can be published.

    The loss is normalised by the scored units of all ranks and accumulation steps. Dropout is
    seeded for each batch from (seed, epoch, batch, rank), so that a run resumed at any step equals
    the uninterrupted one. With an adapter the adapter alone is trained, and Lightning's checkpoints
    hold it alone.

    Attributes:
        architecture: Name of the row in :mod:`musiczoo.hub.registry`.
        config_type: Class of the sizes.
        representation_type: Class of the representation.
        writes: What the model generates or gives; None for an encoder.
        prompt_kinds: What :meth:`GenerativeModule.generate` takes as prompts.
        length_unit: What lengths of pieces count.
        unit: What a target is, where it is not what objectives call it: ``"token"``.
        lora_targets: The layers that may have an adapter (:func:`adapters.add_adapter`).
        unused_parameters: Parameters of the published layout that nothing reads.
        net: The plain net, whose tensors are what a checkpoint holds.
        config: Its sizes.
        representation: Turns pieces into tensors; a checkpoint stores its settings.
        lora: The settings of the adapter, None without one.
        source: Where the weights come from, as the constructor's ``pretrained`` takes it; an
            adapter's checkpoint finds its base by it.
        stage: ``"pretrain"``, ``"finetune"`` or the name of another stage.
        provenance: Where the weights come from, as plain JSON values: ``"base"`` (name and revision
            that training started from) and ``"training"`` (a list with one entry for each fit).
        loaded_from: Name, revision and licence of the checkpoint these weights were loaded from,
            unchanged since.
        fitting: Whether a fit is under way.

    Args:
        objective: The loss; without one the module cannot be trained.
        optimizer: Makes the optimiser from the trainable parameters; AdamW at 1e-4 when None.
        warmup_steps: Optimiser steps of linear warm-up to a constant learning rate; below 1 a part
            of ``Trainer(max_steps=...)``.
        cooldown_steps: Optimiser steps at the end of ``Trainer(max_steps=...)`` in which the rate
            falls to zero; likewise.
        cooldown: How it falls, ``"linear"`` or ``"cosine"``.
        seed: Seed of the dropout.
    """

    architecture: ClassVar[str]
    config_type: ClassVar[type[ModelConfig]]
    representation_type: ClassVar[type]
    writes: ClassVar[Writes | None] = None
    prompt_kinds: ClassVar[tuple[PromptKind, ...]] = ()
    length_unit: ClassVar[str] = "token"
    unit: ClassVar[str | None] = None
    lora_targets: ClassVar[tuple[str, ...]] = ()
    unused_parameters: ClassVar[tuple[str, ...]] = ()
    net: torch.nn.Module
    config: Any
    representation: Any

    def __init__(
        self,
        *,
        objective: Objective | None = None,
        optimizer: OptimizerFactory | None = None,
        warmup_steps: float = 0,
        cooldown_steps: float = 0,
        cooldown: Cooldown = "linear",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.objective = objective
        self.optimizer_factory = optimizer
        self.warmup_steps = warmup_steps
        self.cooldown_steps = cooldown_steps
        self.cooldown: Cooldown = cooldown
        self.seed = seed
        self.lora: LoRA | None = None
        self.source: str | None = None
        self.stage = "pretrain"
        self.provenance: dict[str, Any] = {}
        self.loaded_from: dict[str, Any] | None = None
        self._base_digest: str | None = None
        self._trainable: frozenset[str] = frozenset()
        self._accumulation = Accumulation()
        self.fitting = False

    # What a checkpoint keeps.
    def to_config(self) -> dict[str, Any]:
        """The sizes of the net as plain JSON values."""
        sizes: dict[str, Any] = self.config.to_dict()
        return sizes

    @classmethod
    def from_config(cls, config: Mapping[str, Any], representation: Any, **settings: Any) -> Self:
        """A module with untrained weights.

        Args:
            config: What :meth:`to_config` gave.
            representation: The representation of the checkpoint.
            settings: Of the constructor, such as ``dropout=0.0`` or ``seed=1``; they win over
                ``config``.

        Raises:
            MusicZooError: The representation does not fit the sizes.
        """
        if not isinstance(representation, cls.representation_type | None):
            raise MusicZooError(
                "The representation does not fit the net.",
                remedy=f"It must be a {cls.representation_type.__name__}.",
            )
        sizes: Any = cls.config_type.from_dict(config)
        made: Any = cls
        return made(sizes, representation=representation, **settings)  # type: ignore[no-any-return]

    def reference_batch(self) -> dict[str, Tensor]:
        """A small batch, always the same, that a download is checked with."""
        raise NotImplementedError

    def reference_outputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the model computes for a :meth:`reference_batch`, as float32 tensors by name."""
        raise NotImplementedError

    def conditioning(self) -> dict[str, Any]:
        """What the weights were conditioned on, as plain JSON values; the architecture owns it."""
        return {}

    def load_conditioning(self, record: Mapping[str, Any]) -> None:
        """Loads a record of :meth:`conditioning`."""

    def add_conditioning(self, record: Mapping[str, Any]) -> None:
        """Adds what the data of a fit is conditioned on."""

    def record(self) -> dict[str, Any]:
        """Stage, conditioning and provenance as JSON values; of a fit under way, as it is now."""
        training = [*self.provenance.get("training", []), *fit_entries(self)]
        return {
            "stage": self.stage,
            "conditioning": self.conditioning(),
            "provenance": {**self.provenance, "training": training},
        }

    def load_record(self, record: Mapping[str, Any]) -> None:
        """Loads what :meth:`record` gave."""
        self.stage = str(record["stage"])
        self.load_conditioning(record["conditioning"])
        self.provenance = dict(record["provenance"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the record to Lightning's checkpoints; with an adapter, leaves the base out."""
        if self.lora is not None:
            checkpoint["hyper_parameters"]["pretrained"] = self.source
            adapters.keep_adapter_alone(checkpoint, self._base_digest)
        own = {
            "architecture": self.architecture,
            "representation": self.representation.to_config(),
        }
        checkpoint["musiczoo"] = {**own, **self.record()}
        if (accumulated := self._accumulation.state(self)) is not None:
            checkpoint["accumulated"] = accumulated

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Loads what :meth:`on_save_checkpoint` added.

        Raises:
            MusicZooError: One of checkpoint and model has an adapter and the other has not, or the
                adapter belongs to another base.
        """
        adapters.complete_with_base(checkpoint, self.state_dict, self._base_digest)
        self._accumulation.kept = checkpoint.get("accumulated")
        kept = checkpoint.get("musiczoo")
        if kept is None:
            return
        self.load_record(upgraded(kept))
        if "representation" in kept:
            self.representation = type(self.representation).from_config(kept["representation"])
        trainer = trainer_of(self)
        if trainer is not None and trainer.state.fn == "fit":
            # A resumed fit is one fit: the entry of its first part is written again when it ends.
            self.provenance["training"] = self.provenance["training"][:-1]
            self.loaded_from = None

    def _keep_settings(self, **own: Any) -> None:
        """Keeps sizes and settings in Lightning's checkpoints, as plain values.

        So a checkpoint opens without executing anything and without the file of before.
        """
        names = ("warmup_steps", "cooldown_steps", "cooldown", "seed")
        training = {name: getattr(self, name) for name in names}
        self.save_hyperparameters({**self.config.to_dict(), **training, **own})

    # Adapters.
    def add_lora(self, lora: LoRA | Mapping[str, Any], seed: int = 0) -> Self:
        """Puts an adapter beside the weights that the net has now, and freezes these.

        Args:
            lora: The settings, or :meth:`LoRA.to_dict` of them.
            seed: Of the adapter's random half.

        Raises:
            MusicZooError: There is an adapter already, or a target that the architecture does not
                offer.
        """
        lora = lora if isinstance(lora, LoRA) else LoRA.from_dict(lora)
        trainable = {name for name, value in self.net.named_parameters() if value.requires_grad}
        adapters.add_adapter(self.net, lora, self.lora_targets, seed)
        # peft's layers come in training mode, and their dropout must follow the net.
        self.net.train(self.net.training)
        self.lora, self._trainable = lora, frozenset(trainable)
        # Computed now, for a Trainer may change the type of the weights later.
        self._base_digest = adapters.fingerprint(adapters.base_state_dict(self.net))
        self.save_hyperparameters({"lora": lora.to_dict()})
        return self

    def merge_adapter(self) -> Self:
        """Adds the adapter to the weights and removes it, in place: a model like any other.

        Raises:
            MusicZooError: There is no adapter, or it has diverged.
        """
        adapters.merge(self.net)
        for name, parameter in self.net.named_parameters():
            parameter.requires_grad_(name in self._trainable)
        self.lora = self.source = self._base_digest = None
        self.hparams.pop("lora", None)
        return self

    def adapter_record(self) -> dict[str, Any]:
        """The adapter's settings, the layers that have one, and the digest of the base."""
        assert self.lora is not None
        targets = list(self.lora.targets or self.lora_targets)
        return {"lora": self.lora.to_dict(), "targets": targets, "base_sha256": self._base_digest}

    def adapter_tensors(self) -> dict[str, Tensor]:
        """The tensors of the adapter alone, by the names that they have in the net."""
        return adapters.adapter_state_dict(self.net)

    def load_adapter_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Copies :meth:`adapter_tensors` into the adapter.

        Raises:
            MusicZooError: A missing, surplus or misshapen tensor.
        """
        adapters.load_adapter(self.net, tensors)

    # Training.
    def on_fit_start(self) -> None:
        """Notes what this fit starts from and what its data is conditioned on."""
        if self.loaded_from is not None:
            self.provenance = {**self.provenance, "base": self.loaded_from}
            self.stage = "finetune"
            self.loaded_from = None
        self.add_conditioning(data_record(self.trainer)["conditioning"])
        self.fitting = True
        # A net that was opened from a file is in eval mode, and Lightning would keep it so.
        self.net.train()

    def on_train_start(self) -> None:
        """Repairs what Lightning resumes wrongly, and restores an interrupted accumulation."""
        begin_next_epoch(self.trainer)
        self._accumulation.restore(self)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seeds dropout for this batch alone: a checkpoint needs no random state."""
        torch.manual_seed(mixed_seed(self.seed, self.current_epoch, batch_idx, self.global_rank))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Calls the objective; see the class for the normalisation."""
        result = self._objective()(self, batch)
        count = result.count.detach().to(torch.float64)
        self._accumulation.add(count)
        logs = {f"train/{name}": value for name, value in result.logs.items()}
        loss = result.total.detach() / count.clamp(min=1)
        self.log_dict({"train/loss": loss, **logs}, prog_bar=True, batch_size=1)
        return result.total / NOMINAL_TARGETS

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Normalises the gradient."""
        self._accumulation.scale(self.trainer, optimizer)

    def on_train_end(self) -> None:
        """Adds this fit to the provenance."""
        self.provenance = self.record()["provenance"]
        self.fitting = False

    def on_validation_epoch_start(self) -> None:
        """Starts the sums of the validation loss."""
        self._validation = ValidationLoss(self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds the batch to the validation loss."""
        self._validation.add(self._objective()(self, batch))

    def on_validation_epoch_end(self) -> None:
        """Logs the mean over all scored units of all ranks; for a likelihood also in bits."""
        # The objective states what is scored; the architecture what a target is, where it is no
        # character.
        unit = getattr(self.objective, "unit", None)
        logs = self._validation.logs(self.trainer, unit and (self.unit or unit))
        self.log_dict(logs, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """The optimiser and its schedule; see :func:`musiczoo.models.base.training.scheduled`."""
        return scheduled(
            self.parameters(),
            self.optimizer_factory,
            warmup=self.warmup_steps,
            cooldown=self.cooldown_steps,
            last=self.trainer.max_steps,
            shape=self.cooldown,
        )

    def _objective(self) -> Objective:
        if self.objective is None:
            raise MusicZooError(
                f"A {type(self).__name__} has no objective to train with.",
                where="objective",
                remedy="Give the module one, or use it as it is.",
            )
        return self.objective


TrainedModule = ZooModule  # the name, in musiczoo.models.trained, until version 0.1
