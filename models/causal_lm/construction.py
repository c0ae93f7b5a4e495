"""How modules of token models come to their net."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from musiczoo.models.base.pretrained import set_net
from musiczoo.models.causal_lm.config import DecoderConfig


def give_net(
    module: Any, build: Callable[[Any], nn.Module], sizes: DecoderConfig, pretrained: str | None
) -> None:
    """Sets ``net`` and ``config`` of a module, and its representation where weights bring one.

    Untrained weights are drawn from the seed of the module, and have the vocabulary of its
    representation where the sizes state none.

    Args:
        module: Has ``architecture``, ``representation`` and ``seed``.
        build: The net of sizes.
        sizes: The sizes; of pretrained weights only the dropout counts.
        pretrained: See :func:`musiczoo.models.base.pretrained.read_pretrained`.

    Raises:
        MusicZooError: Weights that cannot be used.
    """
    tokens = len(module.representation.vocabulary)
    sizes = replace(sizes, vocabulary=sizes.vocabulary or tokens)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(module.seed)
        stored = set_net(module, build, sizes, pretrained)
    module.representation = stored or module.representation
