"""Patches of characters as vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def embed_patches(layer: nn.Linear, patches: Tensor) -> Tensor:
    """A linear layer on the flattened one-hot matrix of each patch, which is never built.

    Args:
        layer: Of patch_size * characters inputs; the input of character c at position p is ``p *
            characters + c``.
        patches: (rows, patch_size) character ids.

    Returns:
        (rows, outputs of the layer): the rows of the transposed weight that the characters name,
        summed, and the bias.
    """
    size = patches.shape[1]
    offsets = torch.arange(0, layer.in_features, layer.in_features // size, device=patches.device)
    table = layer.weight.t().contiguous()
    embedded = F.embedding_bag(patches.long() + offsets, table, mode="sum")
    return embedded if layer.bias is None else embedded + layer.bias
