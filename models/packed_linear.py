"""Products of a few rows with a weight that is laid out once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

# Rows that weights are laid out for; oneDNN takes the same layout for all larger numbers and most smaller ones.
_ROWS = 64


def packed_linear(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """A linear layer without bias, for the steps of a decoder.

    A plain product rearranges its weight at every call, which costs as much as a few rows of arithmetic; on a CPU in float32 the weight is
    laid out for oneDNN once instead, in a copy. Other devices and types multiply as they are.

    Args:
        weight: (out, in), detached.

    Returns:
        A function from (rows, in) to (rows, out).
    """
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or not torch.backends.mkldnn.is_available():
        return lambda rows: F.linear(rows, weight)
    # The operators behind TorchInductor's frozen linear layers; there is no public name for them.
    stored = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _ROWS)

    def apply(rows: Tensor) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(rows, stored, None, "none", [], "")
        return out

    return apply
