"""Temporal mean pooling of the states of notes, over pieces or segments of them."""

from __future__ import annotations

import torch
from torch import Tensor


def pooled_segments(states: Tensor, counts: Tensor, segments: int) -> Tensor:
    """The mean state of each segment of each piece.

    The notes of a piece are cut into segments of equal number, as far as they divide; a piece with
    fewer notes than segments repeats notes.

    Args:
        states: (notes, width) of all pieces, one after the other.
        counts: (pieces,) int64 notes of each, at least 1.
        segments: How many.

    Returns:
        (pieces, segments, width) of the type of the states.

    Example:
        >>> states = torch.tensor([[1.0], [3.0], [5.0], [7.0], [2.0]])
        >>> pooled_segments(states, torch.tensor([4, 1]), 2).squeeze(-1)
        tensor([[2., 6.],
                [2., 2.]])
    """
    numbers = torch.arange(segments, device=states.device)
    notes = counts.unsqueeze(1)
    begins = numbers * notes // segments  # (pieces, segments)
    ends = torch.maximum((numbers + 1) * notes // segments, begins + 1)
    first = (counts.cumsum(0) - counts).unsqueeze(1)
    # Sums up to each note, in double precision: they are differences of large numbers.
    sums = torch.cat([states.new_zeros(1, states.shape[1]).double(), states.double().cumsum(0)])
    totals = sums[first + ends] - sums[first + begins]
    return (totals / (ends - begins).unsqueeze(-1)).to(states.dtype)
