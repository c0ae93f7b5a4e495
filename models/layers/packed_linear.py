"""Products of a few rows with a weight that is brought into a kernel's layout once.

A step of a decoder multiplies every weight with few rows, so that reading the weights, or
rearranging them at each call, is what takes the time. Three kernels of a processor have layouts of
their own; docs/benchmarks.md has their figures at the sizes of bar-stream and of Phi-3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from musiczoo.music.errors import MusicZooError

Kernel = Literal["onednn", "mkl", "float16"]
Linear = Callable[[Tensor], Tensor]

# Rows that oneDNN's layout is made for. From one row to this many, products were as fast as with a
# layout for 16, and faster than with one for a single row.
_ROWS = 64


def effective_weight(layer: Any) -> Tensor:
    """The weight with which a layer computes in eval mode: base and adapter together, detached.

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


def packed_linear(
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    kernel: Kernel = "onednn",
    rows: tuple[int, ...] = (),
) -> Linear:
    """A linear layer for the steps of a decoder.

    On a CPU in float32 the weight is copied into the layout of a kernel. Other devices and types
    multiply as they are.

    Args:
        weight: (out, in), detached; a transposed view will do.
        bias: (out,), detached.
        kernel: ``"onednn"`` takes any number of rows; ``"mkl"`` is made for each number in
            ``rows``, and rounds as MKL does in training; ``"float16"`` keeps half of the bytes,
            with float32 inputs, sums and outputs (FBGEMM; x86 only).
        rows: Numbers of rows that inputs may have, for ``"mkl"``.

    Returns:
        A function from (rows, in) to (rows, out).

    Raises:
        MusicZooError: Float16 weights where there is no kernel for them, or too large ones.
    """
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        if kernel == "float16":
            raise MusicZooError(
                "Float16 weights need a float32 model on the CPU.", remedy="Leave half_weights off."
            )
        return lambda x: F.linear(x, weight, bias)
    weight = weight.contiguous()
    if kernel == "float16":
        return _float16(weight, bias)
    if kernel == "mkl" and torch.backends.mkl.is_available():
        return _mkl(weight, bias, rows)
    if kernel == "onednn" and torch.backends.mkldnn.is_available():
        return _onednn(weight, bias)
    return lambda x: F.linear(x, weight, bias)


# The operators below are those behind TorchInductor's frozen linear layers and quantised modules;
# there are no public names for them.


def _onednn(weight: Tensor, bias: Tensor | None) -> Linear:
    stored = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)

    def apply(x: Tensor) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, stored, bias, "none", [], "")
        return out

    return apply


def _mkl(weight: Tensor, bias: Tensor | None, rows: tuple[int, ...]) -> Linear:
    reorder = torch.ops.mkl._mkl_reorder_linear_weight
    # One row is a matrix-vector product, which needs no packing.
    stores = {count: reorder(weight, count) for count in rows if count > 1}

    def apply(x: Tensor) -> Tensor:
        count = len(x)
        if count == 1:
            return F.linear(x, weight, bias)
        out: Tensor = torch.ops.mkl._mkl_linear(x, stores[count], weight, bias, count)
        return out

    return apply


def _float16(weight: Tensor, bias: Tensor | None) -> Linear:
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        raise MusicZooError(
            "This processor has no kernels for float16 weights.", remedy="Leave half_weights off."
        )
    if weight.abs().amax() > torch.finfo(torch.float16).max:
        raise MusicZooError("A weight is too large for float16.", remedy="Leave half_weights off.")
    stored = torch.ops.quantized.linear_prepack_fp16(weight, bias)

    def apply(x: Tensor) -> Tensor:
        out: Tensor = torch.ops.quantized.linear_dynamic_fp16(x, stored)
        return out

    return apply
