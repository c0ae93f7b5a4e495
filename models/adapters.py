"""LoRA adapters (Hu et al. 2021, arXiv 2106.09685) for the nets of any architecture.

Small trainable matrices stand beside frozen layers: ``y = W x + (alpha / rank) B A x``. The base is
never written to, so that one base serves many adapters, and a fine-tuned model is a file of some
per cent of its size. peft puts the adapters in; the net stays a plain ``nn.Module`` of the same
class.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from musiczoo.hub.tensors import check_fit
from musiczoo.models.layers.packed_linear import effective_weight
from musiczoo.music.errors import MusicZooError

_ADAPTER = re.compile(r"(?:^|\.)lora_[A-Za-z_]+\.")
_BASE_LAYER = ".base_layer."
_NAME = "default"


@dataclass(frozen=True)
class LoRA:
    """Settings of an adapter.

    Attributes:
        rank: Width of the small matrices.
        alpha: Their product is scaled by ``alpha / rank``.
        dropout: Dropout of what goes into them.
        targets: Ends of the names of the layers that get one, such as ``"attn.c_attn"``; empty for
            all that the architecture offers.

    The defaults are common practice and no paper's: Hu et al. tune rank and alpha for each task and
    adapt attention alone.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.05
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # Settings from YAML and from checkpoints come as lists.
        object.__setattr__(self, "targets", tuple(self.targets))
        for name, good in (
            ("rank", self.rank >= 1),
            ("alpha", self.alpha > 0),
            ("dropout", 0.0 <= self.dropout < 1.0),
        ):
            if not good:
                raise MusicZooError(
                    f"The LoRA setting {name}={getattr(self, name)} is out of range.",
                    remedy="See models.adapters.LoRA.",
                )

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> LoRA:
        """The settings of :meth:`to_dict`.

        Raises:
            MusicZooError: An unknown setting, or a value out of range.
        """
        if unknown := sorted(set(settings) - set(cls.__dataclass_fields__)):
            raise MusicZooError(
                f"LoRA has no setting {', '.join(map(str, unknown))}.",
                remedy=f"It has {', '.join(cls.__dataclass_fields__)}.",
            )
        return cls(**settings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints."""
        return {**asdict(self), "targets": list(self.targets)}


def add_adapter(net: nn.Module, lora: LoRA, offered: Sequence[str], seed: int = 0) -> None:
    """Puts adapters beside layers of a net, in place, and freezes everything else.

    Right after it the net computes what it did before.

    Args:
        net: The net.
        lora: The settings.
        offered: Ends of the names of the layers that the architecture calls (and does not read the
            weights of) in all its ways.
        seed: Seed of the adapters' random halves; torch's random state is left alone.

    Raises:
        MusicZooError: There is an adapter already, or a target that the architecture does not
            offer.
    """
    if has_adapter(net):
        raise MusicZooError(
            "The model has an adapter already.",
            remedy="Merge it first (merge_adapter()), or load the model again.",
        )
    if unknown := [target for target in lora.targets if target not in offered]:
        raise MusicZooError(
            f"There is no layer {', '.join(unknown)} for an adapter.",
            where="lora.targets",
            remedy=(
                f"Choose of {', '.join(offered)}."
                if offered
                else "This architecture takes no adapters."
            ),
        )
    from peft import LoraConfig, inject_adapter_in_model

    targets = list(lora.targets or offered)
    alpha: Any = lora.alpha  # declared as a whole number there, and only ever divided by the rank
    config = LoraConfig(
        r=lora.rank, lora_alpha=alpha, lora_dropout=lora.dropout, target_modules=targets
    )
    devices = {p.device for p in net.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices), warnings.catch_warnings():
        # transformers' Conv1D stores its weight transposed; peft finds that out and warns that it
        # did.
        warnings.filterwarnings("ignore", message="fan_in_fan_out")
        torch.manual_seed(seed)
        inject_adapter_in_model(config, net, _NAME)


def has_adapter(net: nn.Module) -> bool:
    """Whether the net carries adapters."""
    return any(_ADAPTER.search(name) for name, _ in net.named_parameters())


def is_adapter(name: str) -> bool:
    """Whether a parameter's name is one of an adapter."""
    return _ADAPTER.search(name) is not None


def base_state_dict(net: nn.Module) -> dict[str, Tensor]:
    """The tensors of the base under the names that they have without an adapter."""
    return {
        name.replace(_BASE_LAYER, "."): value
        for name, value in net.state_dict().items()
        if not is_adapter(name)
    }


def adapter_state_dict(net: nn.Module) -> dict[str, Tensor]:
    """The tensors of the adapter alone."""
    return {name: value for name, value in net.state_dict().items() if is_adapter(name)}


def load_adapter(net: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copies the tensors of :func:`adapter_state_dict` into a net with an adapter like theirs.

    Raises:
        MusicZooError: A missing, surplus or misshapen tensor.
    """
    expected = adapter_state_dict(net)
    remedy = "Give the LoRA settings that the adapter was trained with."
    check_fit(expected, tensors, part="adapter", remedy=remedy)
    with torch.no_grad():
        for name, value in expected.items():
            value.copy_(tensors[name])


def merge(net: nn.Module) -> None:
    """Adds the adapters to the weights of their layers and removes them, in place.

    A plain net is left, frozen as it is.

    Raises:
        MusicZooError: There is no adapter, or it has diverged.
    """
    from peft.tuners.lora import LoraLayer

    if not has_adapter(net):
        raise MusicZooError("The model has no adapter to merge.")
    # Two rounds, so that a diverged adapter is found before the first layer is changed.
    layers = [(name, layer) for name, layer in net.named_modules() if isinstance(layer, LoraLayer)]
    weights = [effective_weight(layer) for _, layer in layers]
    if broken := [
        name
        for (name, _), weight in zip(layers, weights, strict=True)
        if not bool(weight.isfinite().all())
    ]:
        raise MusicZooError(
            f"The adapter of {broken[0]} holds values that are not finite.",
            remedy="Train it again with a lower learning rate.",
        )
    for (name, layer), weight in zip(layers, weights, strict=True):
        base = layer.get_base_layer()
        base.weight.data = weight
        parent, _, attribute = name.rpartition(".")
        setattr(net.get_submodule(parent), attribute, base)


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """A digest of names, types, shapes and bytes; by it an adapter knows its base."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def keep_adapter_alone(checkpoint: dict[str, Any], base: str | None) -> None:
    """Leaves the base out of a Lightning checkpoint; a digest names the one that it was.

    Args:
        checkpoint: Of a module with an adapter.
        base: Digest of the base.
    """
    tensors: dict[str, Tensor] = checkpoint["state_dict"]
    checkpoint["state_dict"] = {n: value for n, value in tensors.items() if is_adapter(n)}
    checkpoint["base_sha256"] = base


def complete_with_base(
    checkpoint: dict[str, Any], state_dict: Callable[[], dict[str, Tensor]], own: str | None
) -> None:
    """Completes the checkpoint of an adapter with the base, so that strict loading finds all.

    Args:
        checkpoint: A Lightning checkpoint.
        state_dict: Gives the module's tensors.
        own: Digest of the module's base, None without an adapter.

    Raises:
        MusicZooError: One of checkpoint and model has an adapter and the other has not, or the
            adapter belongs to another base.
    """
    base = checkpoint.get("base_sha256")
    if base == own:
        if base is not None:
            frozen = {name: value for name, value in state_dict().items() if not is_adapter(name)}
            checkpoint["state_dict"] = {**frozen, **checkpoint["state_dict"]}
        return
    if base is None:
        problem = "The checkpoint is of a whole model, not of an adapter."
        remedy = "Give it as pretrained=, beside lora=."
    elif own is None:
        problem = "The checkpoint holds an adapter alone."
        remedy = "Give the settings (lora=) and the base (pretrained=) it has."
    else:
        problem = "The adapter belongs to another base."
        remedy = "Give the weights that it was trained on as pretrained=."
    raise MusicZooError(problem, remedy=remedy)
