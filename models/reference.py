"""The policy that a run of rollouts began with, which the trained one shall not leave too far behind."""

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
from musiczoo.models.base.generative import GenerativeModule
from musiczoo.models.base.objective import TokenLogProbs
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError

_REMEDY = (
    "Give the folder of that run (folder=), or begin a new run with the checkpoint's weights;"
    " trained weights are no reference."
)


class ReferencePolicy:
    """The reference of a module: with an adapter the base beside it, which costs no memory.

    Otherwise a frozen copy of the net.

    The copy is no part of the module, so that neither checkpoints nor optimisers see it.

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
        with evaluating(module), self._in_place_of(module):
            return module.log_probs(batch, temperature)

    @contextmanager
    def _in_place_of(self, module: GenerativeModule) -> Iterator[None]:
        if self.net is None:
            with _without_adapters(module.net):
                yield
            return
        held = module.net
        # How log_probs is computed is the module's own business; only the net is another one for
        # the while.
        module.net = self.net
        try:
            yield
        finally:
            module.net = held


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode without gradient.

    The mode of each part and the random state are put back afterwards.
    """
    modes = [(part, part.training) for part in module.modules()]
    devices = {
        parameter.device for parameter in module.parameters() if parameter.device.type == "cuda"
    }
    with torch.random.fork_rng(devices), torch.no_grad():
        module.eval()
        try:
            yield
        finally:
            for part, training in modes:
                part.training = training


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


def write_reference(path: Path, net: nn.Module) -> None:
    """Keeps the weights of a net as safetensors, whole or not at all.

    Raises:
        MusicZooError: The file cannot be written.
    """
    # Tensors that share their memory, such as tied embeddings, are refused by the format: each is
    # written for itself.
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
