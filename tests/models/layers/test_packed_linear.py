"""Packed linear layers against plain products."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from musiczoo.models.layers.packed_linear import packed_linear


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
