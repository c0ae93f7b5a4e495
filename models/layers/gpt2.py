"""GPT-2 stacks whose blocks run over independent rows, without padded slots, and patches as rows.

Only the attention knows which rows see each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from transformers import GPT2Config, GPT2Model

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


def gpt2(
    *, layers: int, hidden: int, heads: int, vocabulary: int, positions: int, dropout: float
) -> GPT2Model:
    """A GPT-2 with untrained weights (Radford et al. 2019): gelu_new, learned positions.

    Args:
        layers: Number of blocks.
        hidden: Width.
        heads: Attention heads.
        vocabulary: Rows of the embedding.
        positions: Longest sequence.
        dropout: Of residuals, embeddings and attention.
    """
    return GPT2Model(
        GPT2Config(
            vocab_size=vocabulary,
            n_positions=positions,
            n_embd=hidden,
            n_layer=layers,
            n_head=heads,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=dropout,
            attn_implementation="sdpa",  # type: ignore[call-arg]  # taken by the base class, which transformers does not declare
            use_cache=False,
            bos_token_id=None,
            eos_token_id=None,
        )
    )


def embed_patches(layer: nn.Linear, patches: Tensor) -> Tensor:
    """A linear layer on the flattened one-hot matrix of each patch, which is never built.

    Args:
        layer: Of patch_size * characters inputs; the input of character c at position p is ``p *
            characters + c``.
        patches: (rows, patch_size) character ids.

    Returns:
        (rows, outputs of the layer): the rows of the transposed weight that the characters name,
        summed, and the bias.
    """
    size = patches.shape[1]
    offsets = torch.arange(0, layer.in_features, layer.in_features // size, device=patches.device)
    table = layer.weight.t().contiguous()
    embedded = F.embedding_bag(patches.long() + offsets, table, mode="sum")
    return embedded if layer.bias is None else embedded + layer.bias


def run_blocks(stack: GPT2Model, rows: Tensor, attend: Attend) -> Tensor:
    """Runs the blocks of a GPT-2 over independent rows.

    Only ``attend`` knows which rows see each other.

    Args:
        stack: The transformer.
        rows: (rows, hidden) embeddings with positions added.
        attend: ``attend(layer, query, key, value)`` on (rows, hidden) each; gives (rows, hidden).

    Returns:
        (rows, hidden) after the last layer norm.
    """

    def run(layer: int, block: Any, rows: Tensor) -> Tensor:
        query, key, value = block.attn.c_attn(block.ln_1(rows)).chunk(3, dim=-1)
        rows = rows + block.attn.resid_dropout(block.attn.c_proj(attend(layer, query, key, value)))
        # The fused kernel is the same tanh approximation as transformers' gelu_new, in one pass
        # over memory instead of eight.
        inner = F.gelu(block.mlp.c_fc(block.ln_2(rows)), approximate="tanh")
        out: Tensor = rows + block.mlp.dropout(block.mlp.c_proj(inner))
        return out

    rows = stack.drop(rows)
    blocks: Any = stack.h
    # What a block computed is forgotten and computed again when its gradient is wanted, with the
    # same dropout (Chen et al. 2016, arXiv 1604.06174).
    forgets = stack.gradient_checkpointing and torch.is_grad_enabled()
    for layer, block in enumerate(blocks):
        rows = (
            checkpoint(run, layer, block, rows, use_reentrant=False)
            if forgets
            else run(layer, block, rows)
        )
    out: Tensor = stack.ln_f(rows)
    return out
