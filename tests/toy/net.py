"""A recurrent net over tokens."""

from __future__ import annotations

from torch import Tensor, nn

from tests.toy.config import ToyConfig
from tests.toy.melody import Melody


class ToyNet(nn.Module):
    """A GRU between an embedding and an output layer."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        tokens = len(Melody.vocabulary)
        self.embedding = nn.Embedding(tokens, config.hidden)
        self.drop = nn.Dropout(config.dropout)
        self.cells = nn.GRU(config.hidden, config.hidden, batch_first=True)
        self.output = nn.Linear(config.hidden, tokens)

    def forward(self, ids: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits (batch, steps, tokens) of (batch, steps) ids, and the state (1, batch, hidden)."""
        hidden, state = self.cells(self.drop(self.embedding(ids)), state)
        return self.output(hidden), state
