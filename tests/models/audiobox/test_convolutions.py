"""Convolutions by matrices and spectra against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from musiczoo.models.audiobox.convolutions import (
    gelu_in_place,
    halving_convolution,
    kernel_spectra,
    normed_convolution,
    tap_matrices,
    wide_convolution,
)


@pytest.mark.parametrize("frames", [3, 4, 5, 64, 101])
@pytest.mark.parametrize("kernel", [2, 3])
def test_halving_convolution(frames: int, kernel: int):
    torch.manual_seed(frames)
    rows, weight = torch.randn(frames, 6), torch.randn(5, 6, kernel)
    wanted = functional.conv1d(rows.T[None], weight, stride=2)[0].T
    torch.testing.assert_close(halving_convolution(rows, *tap_matrices(weight)), wanted)


@pytest.mark.parametrize("frames", [1, 2, 128, 129, 130, 499])
@pytest.mark.parametrize("kernel", [1, 127, 128, 255])
def test_wide_convolution(frames: int, kernel: int):
    torch.manual_seed(frames)
    hidden, weight = torch.randn(2, frames, 12), torch.randn(12, 3, kernel) / kernel
    wanted = functional.conv1d(hidden.transpose(1, 2), weight, padding=kernel // 2, groups=4)[
        ..., :frames
    ].transpose(1, 2)
    torch.testing.assert_close(
        wide_convolution(hidden, kernel_spectra(weight, 4), kernel), wanted, rtol=1e-4, atol=1e-5
    )


def test_normed_convolution_counts_outputs_of_silence():
    torch.manual_seed(0)
    layer = nn.Module()
    layer.conv, layer.layer_norm = nn.Conv1d(1, 6, 10, stride=5, bias=False), nn.GroupNorm(6, 6)
    nn.init.normal_(layer.layer_norm.weight)
    nn.init.normal_(layer.layer_norm.bias)
    samples = torch.randn(1, 1, 1000) + 0.5
    samples[..., 300:] = 0
    taps = samples[0, 0, :310].unfold(0, 10, 5)
    with torch.no_grad():
        wanted = layer.layer_norm(layer.conv(samples))[0].T
        weight, shift = normed_convolution(layer, taps, len(wanted))
        torch.testing.assert_close(taps @ weight + shift, wanted[: len(taps)], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(shift, wanted[-1])


def test_gelu_in_place():
    rows = torch.randn(4, 5)
    wanted = functional.gelu(rows)
    assert gelu_in_place(rows) is rows
    torch.testing.assert_close(rows, wanted)
