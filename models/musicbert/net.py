"""MusicBERT: an encoder of notes as eight tokens (Zeng et al. 2021, arXiv 2106.05630).

The eight embedded tokens of a note become one vector by a linear layer, an encoder with norms
behind its layers (RoBERTa's) runs over notes, and another linear layer gives eight vectors a note,
from which the head predicts tokens of the whole vocabulary. Computed without padding: every layer
sees the rows of real notes only. Names of tensors are those of the published files, without their
prefixes.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from musiczoo.models.layers.ragged_attention import RaggedAttention
from musiczoo.models.musicbert.config import MusicBertConfig
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.octuple import FIELDS, PAD, TOKENS

_EPS = 1e-5
# The first position of a sequence in fairseq's table.
_FIRST = PAD + 1


class Attention(nn.Module):
    """The projections of a self-attention."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(hidden, hidden)
        self.k_proj = nn.Linear(hidden, hidden)
        self.v_proj = nn.Linear(hidden, hidden)
        self.out_proj = nn.Linear(hidden, hidden)


class Layer(nn.Module):
    """A layer of the encoder, its norms behind its parts."""

    def __init__(self, config: MusicBertConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config.hidden)
        self.self_attn_layer_norm = nn.LayerNorm(config.hidden, _EPS)
        self.fc1 = nn.Linear(config.hidden, config.feed_forward)
        self.fc2 = nn.Linear(config.feed_forward, config.hidden)
        self.final_layer_norm = nn.LayerNorm(config.hidden, _EPS)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, rows: Tensor, attend: RaggedAttention) -> Tensor:
        """(rows, hidden) of notes, grouped as ``attend`` arranges them -> the same shape."""
        part = self.self_attn
        found = attend(0, part.q_proj(rows), part.k_proj(rows), part.v_proj(rows))
        rows = self.self_attn_layer_norm(rows + self.dropout(part.out_proj(found)))
        inner = self.fc2(F.gelu(self.fc1(rows)))
        out: Tensor = self.final_layer_norm(rows + self.dropout(inner))
        return out


class Head(nn.Module):
    """Logits of the whole vocabulary; its table is not that of the embeddings."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden, hidden)
        self.layer_norm = nn.LayerNorm(hidden, _EPS)
        self.weight = nn.Parameter(torch.empty(len(TOKENS), hidden))
        self.bias = nn.Parameter(torch.zeros(len(TOKENS)))

    def forward(self, vectors: Tensor) -> Tensor:
        """(tokens, hidden) -> (tokens, vocabulary)."""
        return F.linear(self.layer_norm(F.gelu(self.dense(vectors))), self.weight, self.bias)


class MusicBertNet(nn.Module):
    """Encoder and head.

    Args:
        config: Sizes.
    """

    def __init__(self, config: MusicBertConfig) -> None:
        super().__init__()
        self.config = config
        hidden, fields = config.hidden, len(FIELDS)
        self.embed_tokens = nn.Embedding(len(TOKENS), hidden, padding_idx=PAD)
        self.embed_positions = nn.Embedding(config.positions, hidden, padding_idx=PAD)
        self.emb_layer_norm = nn.LayerNorm(hidden, _EPS)
        self.downsampling = nn.Sequential(nn.Linear(fields * hidden, hidden))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.upsampling = nn.Sequential(nn.Linear(hidden, fields * hidden))
        self.lm_head = Head(hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.apply(_initialise)
        nn.init.normal_(self.lm_head.weight, std=0.02)

    def rows(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """The hidden state of every real row.

        Args:
            ids: (batch, longest, 8) int64.
            lengths: (batch,) rows of each sequence, at least 1.

        Returns:
            (sum of lengths, hidden), sequence after sequence.

        Raises:
            MusicZooError: A sequence longer than the context.
        """
        longest = self.config.positions - _FIRST
        if ids.shape[1] > longest:
            raise MusicZooError(
                f"A sequence of {ids.shape[1]} rows does not fit a context of {longest}.",
                remedy="Give the data module a smaller max_length.",
            )
        dropout = self.config.dropout if self.training else 0.0
        attend = RaggedAttention(lengths.cpu(), self.config.head_count, dropout)
        inside = torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1)
        real = attend.arrange(ids[inside])  # (rows, 8)
        joined = rearrange(self.embed_tokens(real), "r f h -> r (f h)")
        places = attend.arrange(attend.positions.to(ids.device)) + _FIRST
        embedded = self.downsampling(joined) + self.embed_positions(places)
        hidden = self.dropout(self.emb_layer_norm(embedded))
        for layer in self.layers:
            hidden = layer(hidden, attend)
        return attend.restore(hidden)

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Hidden states of padded sequences.

        Args:
            ids: (batch, steps, 8) int64.
            mask: (batch, steps), true at real rows, which stand first.

        Returns:
            (batch, steps, hidden), 0 at padded rows.
        """
        mask = mask.bool()
        found = self.rows(ids, mask.sum(dim=1))
        out = torch.zeros(*mask.shape, found.shape[1], dtype=found.dtype, device=found.device)
        return out.masked_scatter(mask.unsqueeze(-1), found)

    def logits(self, rows: Tensor, chosen: Tensor) -> Tensor:
        """Logits of chosen tokens.

        Args:
            rows: (rows, hidden) of :meth:`rows`.
            chosen: (rows, 8) bool.

        Returns:
            (chosen, vocabulary) float32.
        """
        some = chosen.any(dim=1)
        vectors = rearrange(self.upsampling(rows[some]), "r (f h) -> r f h", f=len(FIELDS))
        out: Tensor = self.lm_head(vectors[chosen[some]])
        return out.float()

    def forward(self, ids: Tensor, lengths: Tensor, selected: Tensor) -> Tensor:
        """Logits (selected, vocabulary) of the selected tokens (batch, longest, 8) of sequences."""
        inside = torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1)
        return self.logits(self.rows(ids, lengths), selected[inside])


def _initialise(module: nn.Module) -> None:
    """RoBERTa's: normal with standard deviation 0.02, biases 0."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()
