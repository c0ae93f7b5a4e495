"""What the hub asks of a module, as a protocol, for the hub imports no model.

:class:`musiczoo.models.base.ZooModule` provides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from torch import Tensor, nn


class Settings(Protocol):
    """A representation, as far as a checkpoint is concerned."""

    def to_config(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        ...

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The representation with these settings."""
        ...


@runtime_checkable
class Publishable(Protocol):
    """A module that can be saved as a checkpoint folder; the class documents each member."""

    architecture: ClassVar[str]
    net: nn.Module
    representation: Settings
    loaded_from: dict[str, Any] | None
    source: str | None
    lora: Any

    def to_config(self) -> dict[str, Any]:
        """The sizes of the net as plain JSON values."""
        ...

    @classmethod
    def from_config(cls, config: Mapping[str, Any], representation: Any, **settings: Any) -> Self:
        """A module of these sizes with untrained weights."""
        ...

    def reference_batch(self) -> dict[str, Tensor]:
        """A small batch, always the same."""
        ...

    def reference_outputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the model computes for it."""
        ...

    def record(self) -> dict[str, Any]:
        """Stage, conditioning and provenance as plain JSON values."""
        ...

    def load_record(self, record: Mapping[str, Any]) -> None:
        """Loads what :meth:`record` gave."""
        ...

    def adapter_record(self) -> dict[str, Any]:
        """Settings of the adapter, its layers and the digest of the base."""
        ...

    def adapter_tensors(self) -> dict[str, Tensor]:
        """The tensors of the adapter alone."""
        ...

    def load_adapter_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Loads what :meth:`adapter_tensors` gave."""
        ...

    def add_lora(self, lora: Any, seed: int = 0) -> Self:
        """Puts an adapter beside the weights."""
        ...

    def eval(self) -> Self:
        """Inference mode."""
        ...
