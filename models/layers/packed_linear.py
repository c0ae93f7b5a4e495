"""Products of a few rows with a weight that is laid out once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# Rows that weights are laid out for. From one row to this many, products were as fast as with a
# layout for 16, and faster than with one for a single row.
_ROWS = 64


def effective_weight(layer: Any) -> Tensor:
    """The weight with which a layer computes in eval mode, in the layout of its base, detached: base and adapter together, in a new tensor.

    Args:
        layer: A layer with ``weight``, with or without an adapter.
    """
    if not hasattr(layer, "base_layer"):
        weight: Tensor = layer.weight.detach()
        return weight
    with torch.no_grad():
        weight = layer.base_layer.weight.detach()
        for adapter in layer.active_adapters:
            weight = weight + layer.get_delta_weight(adapter).to(weight.dtype)
    return weight


def packed_linear(weight: Tensor, bias: Tensor | None = None) -> Callable[[Tensor], Tensor]:
    """A linear layer for the steps of a decoder.

    On a CPU in float32 the weight is laid out for oneDNN once, in a copy, which makes products of 1
    to 64 rows 1.6 to 4 times as fast (docs/benchmarks.md, a SMART iteration). Other devices and
    types multiply as they are.

    Args:
        weight: (out, in), detached.
        bias: (out,), detached.

    Returns:
        A function from (rows, in) to (rows, out).
    """
    if (
        weight.device.type != "cpu"
        or weight.dtype != torch.float32
        or not torch.backends.mkldnn.is_available()
    ):
        return lambda rows: F.linear(rows, weight, bias)
    # The operators behind TorchInductor's frozen linear layers; there is no public name for them.
    stored = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _ROWS)

    def apply(rows: Tensor) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(rows, stored, bias, "none", [], "")
        return out

    return apply
