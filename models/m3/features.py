"""One vector a piece of any length: hidden states of an encoder, averaged over its patches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

# Patches in a batch at most: what a batch of this size computes stays in the caches of a processor.
_BATCH_PATCHES = 4096


def segments(patches: Tensor, length: int) -> list[tuple[Tensor, int]]:
    """The parts of a piece that an encoder sees, with their weights (published code of CLaMP 2).

    A piece longer than the context is cut into segments; the last one holds its last ``length``
    patches, so that it overlaps the one before, and weighs as much as it adds.

    Args:
        patches: (patches, patch_size).
        length: Patches of context.
    """
    if len(patches) <= length:
        return [(patches, len(patches))]
    starts = range(0, len(patches), length)
    cut = [(patches[start : start + length], length) for start in starts[:-1]]
    return [*cut, (patches[-length:], len(patches) - starts[-1])]


def pooled_features(
    encode: Callable[[Tensor, Tensor], Tensor], pieces: Sequence[Tensor], length: int, dim: int
) -> Tensor:
    """Mean of an encoder's outputs over the patches of each piece.

    The segments of a piece are weighted by the patches that they add.

    Args:
        encode: Padded patches (batch, longest, patch_size) and lengths (batch,) to hidden states
            (sum of lengths, width).
        pieces: (patches, patch_size) each.
        length: Patches of context.
        dim: Width.

    Returns:
        (pieces, dim), float32, on the CPU.
    """
    parts = [
        (index, part, weight)
        for index, patches in enumerate(pieces)
        for part, weight in segments(patches, length)
    ]
    parts.sort(key=lambda item: len(item[1]))
    sums = torch.zeros(len(pieces), dim, dtype=torch.float64)
    weights = torch.zeros(len(pieces), dtype=torch.float64)
    start = 0
    while start < len(parts):
        # Segments of similar length together, so that little of a batch is padding.
        count = max(1, _BATCH_PATCHES // len(parts[start][1]))
        batch = parts[start : start + count]
        while len(batch) > 1 and len(batch) * len(batch[-1][1]) > _BATCH_PATCHES:
            batch.pop()
        start += len(batch)
        lengths = torch.tensor([len(part) for _, part, _ in batch])
        hidden = encode(pad_sequence([part for _, part, _ in batch], batch_first=True), lengths)
        means = (
            torch.stack([rows.mean(dim=0) for rows in hidden.split(lengths.tolist())])
            .double()
            .cpu()
        )
        for (index, _, weight), mean in zip(batch, means, strict=True):
            sums[index] += weight * mean
            weights[index] += weight
    return (sums / weights.unsqueeze(1)).float()
