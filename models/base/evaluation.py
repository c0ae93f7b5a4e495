"""Evaluation mode of a module for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn


@contextmanager
def evaluating(module: nn.Module, *, keep_rng: bool = False) -> Iterator[None]:
    """Evaluation mode without gradient; the mode of each submodule is restored afterwards.

    Args:
        module: The module, whatever the modes of its parts are.
        keep_rng: Restore the random state of PyTorch as well (of the processor and of the module's
            CUDA devices). False lets draws inside advance it.
    """
    modes = [(part, part.training) for part in module.modules()]
    devices = {
        parameter.device for parameter in module.parameters() if parameter.device.type == "cuda"
    }
    state = torch.random.fork_rng(devices) if keep_rng else nullcontext()
    with state, torch.no_grad():
        module.eval()
        try:
            yield
        finally:
            for part, training in modes:
                part.training = training
