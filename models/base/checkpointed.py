"""What a checkpoint folder needs to know of a module, whatever its architecture and whether or not it generates."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from musiczoo.models.adapters import AdaptedModule, adapter_state_dict, load_adapter


@dataclass(frozen=True, slots=True)
class Prompt:
    """Labels that a checkpoint was trained with (the "period-composer-instrumentation" prompt of NotaGen, section 3.3).

    Attributes:
        period: Such as ``"Baroque"``.
        composer: As listed on IMSLP, or the collection for folk tunes.
        instrumentation: Such as ``"Choral"``, or the rhythm for folk tunes.
        count: Training works with these labels.
    """

    period: str
    composer: str
    instrumentation: str
    count: int


class ZooModule(AdaptedModule):
    """A module that can be saved as a checkpoint folder, loaded and published (:mod:`musiczoo.hub`).

    Attributes:
        architecture: Name in the hub's table of architectures.
        net: The plain net, whose tensors are what a checkpoint holds.
        representation: Turns pieces into tensors; a checkpoint stores its settings.
        prompts: The conditioning labels the weights were trained with; empty when there are none or
            they are not known.
        stage: ``"pretrain"``, ``"finetune"`` or the name of another stage.
        provenance: Where the weights come from, as plain JSON values: ``"base"`` (name and revision
            that training started from) and ``"training"`` (a list with one entry for each fit).
        loaded_from: Name, revision and licence of the checkpoint these weights were loaded from,
            unchanged since.
    """

    architecture: ClassVar[str]
    net: torch.nn.Module
    representation: Any

    def __init__(self) -> None:
        super().__init__()
        self.prompts: tuple[Prompt, ...] = ()
        self.stage = "pretrain"
        self.provenance: dict[str, Any] = {}
        self.loaded_from: dict[str, Any] | None = None
        self._fitting = False

    @abstractmethod
    def to_config(self) -> dict[str, Any]:
        """The sizes of the net as plain JSON values."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Mapping[str, Any], representation: Any, **settings: Any) -> Self:
        """A module with untrained weights.

        Args:
            config: What :meth:`to_config` gave.
            representation: The representation of the checkpoint.
            settings: Of the module's constructor, such as ``dropout=0.0`` or ``seed=1``.

        Raises:
            MusicZooError: The representation does not fit the sizes.
        """

    @abstractmethod
    def reference_batch(self) -> dict[str, Tensor]:
        """A small batch, always the same, that a download is checked with."""

    @abstractmethod
    def reference_outputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the model makes of a :meth:`reference_batch`, as float32 tensors by name."""

    def record(self) -> dict[str, Any]:
        """Stage, prompts and provenance as plain JSON values.

        Of a fit under way, as it stands now.
        """
        training = [*self.provenance.get("training", []), *self._this_fit()]
        return {
            "stage": self.stage,
            "prompts": [list(astuple(prompt)) for prompt in self.prompts],
            "provenance": {**self.provenance, "training": training},
        }

    def take_record(self, record: Mapping[str, Any]) -> None:
        """Takes up what :meth:`record` gave."""
        self.stage = str(record["stage"])
        rows = record["prompts"]
        self.prompts = tuple(
            Prompt(str(period), str(composer), str(kind), int(count))
            for period, composer, kind, count in rows
        )
        self.provenance = dict(record["provenance"])

    def adapter_record(self) -> dict[str, Any]:
        """The adapter's settings, the layers that have one, and the digest of the base, as plain JSON values."""
        assert self.lora is not None
        targets = list(self.lora.targets or self.lora_targets)
        return {"lora": self.lora.to_dict(), "targets": targets, "base_sha256": self._base_digest}

    def adapter_tensors(self) -> dict[str, Tensor]:
        """The tensors of the adapter alone, by the names that they have in the net."""
        return adapter_state_dict(self.net)

    def take_adapter(self, tensors: Mapping[str, Tensor]) -> None:
        """Copies :meth:`adapter_tensors` into the adapter.

        Raises:
            MusicZooError: A missing, surplus or misshapen tensor.
        """
        load_adapter(self.net, tensors)

    def on_fit_start(self) -> None:
        """Notes what this fit starts from.

        The data module's ``provenance()``, where it has one, tells the prompts.
        """
        if self.loaded_from is not None:
            self.provenance = {**self.provenance, "base": self.loaded_from}
            self.stage = "finetune"
            self.loaded_from = None
        self.prompts = _merged(self.prompts, self._data().get("prompts", []))
        self._fitting = True

    def on_train_end(self) -> None:
        """Adds this fit to the provenance."""
        self.provenance = self.record()["provenance"]
        self._fitting = False

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps architecture, representation, stage, prompts and provenance in Lightning's checkpoints too, as plain values."""
        super().on_save_checkpoint(checkpoint)
        own = {"architecture": self.architecture, "representation": self.representation.to_config()}
        checkpoint["musiczoo"] = {**own, **self.record()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes up what :meth:`on_save_checkpoint` kept."""
        super().on_load_checkpoint(checkpoint)
        if "musiczoo" not in checkpoint:
            return
        kept = checkpoint["musiczoo"]
        self.take_record(kept)
        if "representation" in kept:
            self.representation = type(self.representation).from_config(kept["representation"])
        if self._trainer is not None and self.trainer.state.fn == "fit":
            # A resumed fit is one fit: the entry of its first part is written anew when it ends.
            self.provenance["training"] = self.provenance["training"][:-1]
            self.loaded_from = None

    def _this_fit(self) -> list[dict[str, Any]]:
        """The entry of a fit under way; no entry when none is."""
        if not self._fitting or self._trainer is None:
            return []
        trainer = self.trainer
        rates = [
            f"{type(optimizer).__name__}, rate {optimizer.param_groups[0]['lr']:g}"
            for optimizer in trainer.optimizers
        ]
        data = {name: value for name, value in self._data().items() if name != "prompts"}
        return [
            {
                "steps": trainer.global_step,
                "epochs": trainer.current_epoch,
                "optimizer": "; ".join(rates),
                **data,
            }
        ]

    def _data(self) -> dict[str, Any]:
        tell = getattr(getattr(self.trainer, "datamodule", None), "provenance", None)
        return dict(tell()) if tell is not None else {}


def _merged(known: tuple[Prompt, ...], found: Sequence[Sequence[Any]]) -> tuple[Prompt, ...]:
    """Prompts known and found, each triple of labels once.

    Of a triple in both, the larger count.
    """
    counts = {
        (prompt.period, prompt.composer, prompt.instrumentation): prompt.count for prompt in known
    }
    for period, composer, instrumentation, count in found:
        labels = (str(period), str(composer), str(instrumentation))
        counts[labels] = max(int(count), counts.get(labels, 0))
    return tuple(Prompt(*labels, count) for labels, count in counts.items())
