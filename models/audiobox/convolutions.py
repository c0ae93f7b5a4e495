"""WavLM's convolutions as products of matrices and of spectra: the same results in less time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

#: Length of the transforms of :func:`wide_convolution`, more than the width of the convolution.
TRANSFORM = 256


def normed_convolution(layer: Any, taps: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """A convolution of one input channel and the group norm behind it, as one affine map.

    The norm has one channel a group.

    Args:
        layer: WavLM's first layer, with ``conv`` and ``layer_norm``.
        taps: (outputs, kernel) the samples under the convolution.
        total: Outputs that the norm's statistics are computed of; those that ``taps`` does not
            have are zero.

    Returns:
        (kernel, channels) and (channels,).
    """
    weight = layer.conv.weight[:, 0]
    exact, samples = weight.double(), taps.double()
    # The mean and the mean square of w.x over all x are w.E[x] and w E[x x'] w'.
    mean = exact @ (samples.sum(dim=0) / total)
    square = torch.einsum("ck,kl,cl->c", exact, samples.T @ samples / total, exact)
    norm = layer.layer_norm
    scale = norm.weight.double() / ((square - mean**2).clamp_min(0.0) + norm.eps).sqrt()
    shift = norm.bias.double() - mean * scale
    return (weight * scale.float().unsqueeze(1)).T, shift.float()


def tap_matrices(weight: Tensor) -> tuple[Tensor, Tensor | None]:
    """Weights for :func:`halving_convolution`.

    Args:
        weight: (outputs, inputs, width), of width 2 or 3.

    Returns:
        (2 x inputs, outputs) of the first two taps, and (inputs, outputs) of the third if there is
        one.
    """
    both = weight[:, :, :2].permute(2, 1, 0).reshape(-1, len(weight))
    return both, weight[:, :, 2].T.contiguous() if weight.shape[2] == 3 else None


def halving_convolution(rows: Tensor, both: Tensor, third: Tensor | None) -> Tensor:
    """A convolution of stride 2.

    Two frames that stand side by side in memory are one row of a matrix.

    Args:
        rows: (frames, inputs).
        both: Of :func:`tap_matrices`.
        third: Likewise.

    Returns:
        (frames of the output, outputs).
    """
    count = (len(rows) - (2 if third is None else 3)) // 2 + 1
    result: Tensor = rows[: 2 * count].view(count, -1) @ both
    if third is not None:
        result.addmm_(rows[2::2][:count], third)
    return result


def kernel_spectra(weight: Tensor, groups: int) -> Tensor:
    """Weights for :func:`wide_convolution`.

    Args:
        weight: (outputs, inputs of a group, kernel) of a grouped convolution.
        groups: Its groups.

    Returns:
        (bins, groups, inputs of a group, outputs of a group), conjugate, for what networks call a
        convolution is a correlation.
    """
    spectra: Tensor = torch.fft.rfft(weight, n=TRANSFORM).conj().unflatten(0, (groups, -1))
    return spectra.permute(3, 0, 2, 1).resolve_conj().contiguous()


def wide_convolution(hidden: Tensor, spectra: Tensor, kernel: int) -> Tensor:
    """A grouped convolution that keeps the number of frames, in overlapping blocks (overlap-save).

    Args:
        hidden: (batch, frames, channels).
        spectra: Of :func:`kernel_spectra`.
        kernel: Width of the convolution; half of it is padding in front.

    Returns:
        (batch, frames, channels).
    """
    batch, frames, width = hidden.shape
    groups, size = spectra.shape[1:3]
    step = TRANSFORM - kernel + 1
    blocks = -(-frames // step)
    padded = functional.pad(
        hidden.transpose(1, 2), (kernel // 2, blocks * step + kernel - 1 - kernel // 2 - frames)
    )
    rows = torch.fft.rfft(padded.unfold(2, TRANSFORM, step)).view(batch, groups, size, blocks, -1)
    # (bins, groups, batch x blocks, inputs of a group)
    rows = rows.permute(4, 1, 0, 3, 2).reshape(-1, groups, batch * blocks, size)
    rows = (rows @ spectra).view(-1, groups, batch, blocks, size).permute(2, 3, 1, 4, 0)
    result: Tensor = torch.fft.irfft(rows, n=TRANSFORM)[..., :step].reshape(
        batch, blocks, width, step
    )
    return result.transpose(2, 3).reshape(batch, blocks * step, width)[:, :frames]


def gelu_in_place(rows: Tensor) -> Tensor:
    """GELU of rows that nobody else has."""
    result: Tensor = torch.ops.aten.gelu_(rows)
    return result
