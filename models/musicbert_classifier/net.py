"""MusicBERT with the head of its downstream tasks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from musiczoo.models.musicbert.config import MusicBertConfig
from musiczoo.models.musicbert.net import MusicBertNet


class ClassificationHead(nn.Module):
    """Logits of labels from the first of the eight upsampled vectors of ``<s>`` (fairseq).

    Args:
        hidden: Width.
        labels: How many.
        dropout: Before both layers; published 0.
    """

    def __init__(self, hidden: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(hidden, hidden)
        self.out_proj = nn.Linear(hidden, labels)
        for layer in (self.dense, self.out_proj):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """(batch, hidden) -> (batch, labels)."""
        inner = torch.tanh(self.dense(self.dropout(vectors)))
        out: Tensor = self.out_proj(self.dropout(inner))
        return out


class MusicBertClassifierNet(nn.Module):
    """Encoder and classification head.

    Args:
        config: With the number of labels.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        sizes = MusicBertConfig.from_dict(config.to_dict())
        self.encoder = MusicBertNet(sizes)
        # The head of pre-training is not part of a classifier.
        del self.encoder.lm_head
        self.head = ClassificationHead(config.hidden, config.label_count, config.head_dropout)
        self.config = config

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """The logits of sequences.

        Args:
            ids: (batch, longest, 8) int64.
            lengths: (batch,) rows of each.

        Returns:
            (batch, labels) float32.
        """
        rows = self.encoder.rows(ids, lengths)
        lengths = lengths.to(rows.device)
        firsts = rows[lengths.cumsum(0) - lengths]
        vectors = self.encoder.upsampling(firsts)[:, : self.config.hidden]
        out: Tensor = self.head(vectors).float()
        return out
