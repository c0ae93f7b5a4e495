"""The reference policy of a run of rollouts: the one that it began with."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from musiczoo.models.adapters import fingerprint
from musiczoo.models.base.evaluation import evaluating
from musiczoo.models.base.generative import GenerativeModule
from musiczoo.models.base.objective import TokenLogProbs
from musiczoo.models.base.ranks import from_first
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError

__all__ = [
    "ReferencePolicy",
    "evaluating",
    "read_reference",
    "reference_of_run",
    "write_reference",
]

_REMEDY = (
    "Give the folder of that run (folder=), or begin a new run with the checkpoint's weights;"
    " trained weights are no reference."
)


class ReferencePolicy:
    """The reference of a module: its base without the adapter, or a frozen copy of the net.

    The base costs no memory. The copy is no part of the module, so that neither checkpoints nor
    optimisers see it.

    Args:
        module: The policy as it is now, on its device.
        weights: Those of the reference by name; None takes the present ones.
    """

    def __init__(
        self, module: GenerativeModule, weights: Mapping[str, Tensor] | None = None
    ) -> None:
        self.net: nn.Module | None = None
        if module.lora is None:
            self.net = copy.deepcopy(module.net).requires_grad_(False).eval()
            if weights is not None:
                self.net.load_state_dict(dict(weights))

    def log_probs(
        self, module: GenerativeModule, batch: Mapping[str, Tensor], temperature: float
    ) -> TokenLogProbs:
        """Log-probabilities of a batch under the reference, without gradient, in eval mode.

        Args:
            module: The policy; it is left as it was.
            batch: On its device.
            temperature: Divides the logits.
        """
        with evaluating(module, keep_rng=True), self._replacing_net(module):
            return module.log_probs(batch, temperature)

    @contextmanager
    def _replacing_net(self, module: GenerativeModule) -> Iterator[None]:
        if self.net is None:
            with _without_adapters(module.net):
                yield
            return
        held = module.net
        # How log_probs is computed is up to the module; only its net is replaced meanwhile.
        module.net = self.net
        try:
            yield
        finally:
            module.net = held


@contextmanager
def _without_adapters(net: nn.Module) -> Iterator[None]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [layer for layer in net.modules() if isinstance(layer, BaseTunerLayer)]
    # Switching adapters sets what is trainable too.
    trainable = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
        for parameter, was_trainable in trainable:
            parameter.requires_grad_(was_trainable)


def reference_of_run(
    module: GenerativeModule, path: Path, digest: str, rank: int, world_size: int
) -> ReferencePolicy:
    """The reference of a run that begins or is resumed; the same in all processes.

    Args:
        module: The policy as it is now.
        path: Where the first process keeps the weights of the reference, where there is no adapter.
        digest: :func:`musiczoo.models.adapters.fingerprint` of the policy that the run began with.
            A module that has it is the reference itself, and its weights are written.
        rank: Of this process.
        world_size: Number of processes.

    Raises:
        MusicZooError: The file is gone, damaged, or of another policy.
    """
    if module.lora is not None:
        return ReferencePolicy(module)
    if fingerprint(module.net.state_dict()) == digest:
        if rank == 0:
            write_reference(path, module.net)
        return ReferencePolicy(module)
    weights = from_first(read_reference(path, digest) if rank == 0 else None, world_size)
    return ReferencePolicy(module, weights)


def write_reference(path: Path, net: nn.Module) -> None:
    """Keeps the weights of a net as safetensors, whole or not at all.

    Raises:
        MusicZooError: The file cannot be written.
    """
    # The format refuses tensors that share their memory, such as tied embeddings: each is copied.
    tensors = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in net.state_dict().items()
    }
    write_atomically(path, save(tensors))


def read_reference(path: Path, digest: str) -> dict[str, Tensor]:
    """The weights of :func:`write_reference`.

    Args:
        path: The file.
        digest: :func:`musiczoo.models.adapters.fingerprint` of the reference's weights.

    Raises:
        MusicZooError: The file is gone, damaged, or of another policy.
    """
    try:
        weights: dict[str, Tensor] = load_file(path)
    except FileNotFoundError as error:
        raise MusicZooError(
            "The reference policy of the checkpoint's run is gone.", path=path, remedy=_REMEDY
        ) from error
    except (OSError, SafetensorError) as error:
        raise MusicZooError(
            f"The reference policy cannot be read: {error}.", path=path, remedy=_REMEDY
        ) from error
    if fingerprint(weights) != digest:
        raise MusicZooError(
            "The file holds another policy than the one that the run began with.",
            path=path,
            remedy=_REMEDY,
        )
    return weights
