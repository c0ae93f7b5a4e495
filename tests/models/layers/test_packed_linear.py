"""Packed linear layers against plain products."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from musiczoo.models.layers.packed_linear import packed_linear
from musiczoo.music.errors import MusicZooError


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 2, 7, 16, 63, 64, 65, 200])
def test_every_number_of_rows_and_type_multiplies(rows: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(rows)
    weight, x = torch.randn(48, 33, generator=generator), torch.randn(rows, 33, generator=generator)
    linear = packed_linear(weight.to(dtype))
    # Rows of a wider matrix too, as halves of a product are.
    wider = torch.cat([x, x], dim=1).to(dtype)[:, 33:]
    expected = F.linear(wider.double(), weight.to(dtype).double())
    tolerance = 0.05 if dtype == torch.bfloat16 else 1e-4
    for given in (x.to(dtype), wider):
        torch.testing.assert_close(linear(given).double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kernel", ["onednn", "mkl", "float16"])
@pytest.mark.parametrize("rows", [1, 8, 16])
def test_every_kernel_multiplies_and_adds_the_bias(kernel: str, rows: int) -> None:
    if kernel == "float16" and "fbgemm" not in torch.backends.quantized.supported_engines:
        pytest.skip("this processor has no kernels for float16 weights")
    generator = torch.Generator().manual_seed(rows)
    # As transformers' Conv1D keeps it: a transposed view.
    weight = torch.randn(32, 64, generator=generator).t()
    bias, x = torch.randn(64, generator=generator), torch.randn(rows, 32, generator=generator)
    linear = packed_linear(weight, bias, kernel=kernel, rows=(1, 8, 16))
    tolerance = 0.05 if kernel == "float16" else 1e-4
    expected = F.linear(x.double(), weight.double(), bias.double())
    torch.testing.assert_close(linear(x).double(), expected, rtol=tolerance, atol=tolerance)


def test_float16_weights_are_refused_where_they_do_not_fit() -> None:
    with pytest.raises(MusicZooError, match="need a float32 model"):
        packed_linear(torch.zeros(2, 2, dtype=torch.float64), kernel="float16")
    with pytest.raises(MusicZooError, match=r"too large|no kernels"):
        packed_linear(torch.full((8, 8), 1e6), kernel="float16")
