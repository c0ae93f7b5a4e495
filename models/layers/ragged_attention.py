"""Attention over sequences of different lengths without a padded slot.

Sequences of equal length are put side by side, so that a group of them is a plain view of the rows
and each group is one call of the fused attention kernel. The order is chosen once per batch; every
linear layer then sees real rows only.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F


class RaggedAttention:
    """Self-attention in which each row sees all rows of its own sequence.

    Args:
        lengths: (sequences,) int64 on the CPU, each at least 1.
        heads: Attention heads.
        dropout: Dropout probability of the attention weights.
    """

    causal = False

    def __init__(self, lengths: Tensor, heads: int, dropout: float = 0.0) -> None:
        self.heads = heads
        self.dropout = dropout
        starts = lengths.cumsum(0) - lengths
        self.positions = torch.arange(int(lengths.sum())) - torch.repeat_interleave(starts, lengths)
        by_length = torch.argsort(lengths, stable=True)
        self._order = torch.repeat_interleave(starts[by_length], lengths[by_length]) + _counts(
            lengths[by_length]
        )
        self._sorted = bool((by_length == torch.arange(len(lengths))).all())
        unique, counts = torch.unique_consecutive(lengths[by_length], return_counts=True)
        self._groups = [
            (int(length), int(count)) for length, count in zip(unique, counts, strict=True)
        ]
        self._sizes = [length * count for length, count in self._groups]

    def arrange(self, rows: Tensor) -> Tensor:
        """Rows in sequence order -> rows grouped by length."""
        return rows if self._sorted else rows[self._order.to(rows.device)]

    def restore(self, rows: Tensor) -> Tensor:
        """The inverse of :meth:`arrange`."""
        return (
            rows
            if self._sorted
            else torch.empty_like(rows).index_copy(0, self._order.to(rows.device), rows)
        )

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(rows, hidden) each, grouped by length -> (rows, hidden)."""
        parts = [tensor.split(self._sizes) for tensor in (query, key, value)]
        out = []
        for (length, _), q, k, v in zip(self._groups, *parts, strict=True):
            q, k, v = (
                rearrange(tensor, "(n t) (h d) -> n h t d", t=length, h=self.heads)
                for tensor in (q, k, v)
            )
            attended = F.scaled_dot_product_attention(
                q, k, v, dropout_p=self.dropout, is_causal=self.causal
            )
            out.append(rearrange(attended, "n h t d -> (n t) (h d)"))
        # Without sequences (the share of a process that has no work in this batch) the graph must
        # still reach the weights.
        return torch.cat(out) if out else value


class RaggedCausal(RaggedAttention):
    """Self-attention in which each row sees the rows of its own sequence up to itself."""

    causal = True


def _counts(lengths: Tensor) -> Tensor:
    """0..length-1 for each length, concatenated."""
    starts = lengths.cumsum(0) - lengths
    return torch.arange(int(lengths.sum())) - torch.repeat_interleave(starts, lengths)
