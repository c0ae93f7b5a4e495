"""The training pass of decoder-only nets of transformers, over rows of tokens without padding.

Each linear layer sees real tokens only, and the attention needs no mask. The families that differ
only in how layers are named and joined (:mod:`musiczoo.models.causal_lm.blocks`) run here; every
other net runs its own forward pass over padded batches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from musiczoo.models.causal_lm.blocks import Block, Rotary, blocks_of, is_known
from musiczoo.models.layers.ragged_attention import RaggedCausal
from musiczoo.music.errors import MusicZooError

# Called with (layer, query, key, value) on rows of tokens; gives what attention adds.
Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


def run_blocks(net: Any, rows: Tensor, positions: Tensor, attend: Attend) -> Tensor:
    """The hidden states of rows of tokens; only ``attend`` knows which rows see each other.

    Args:
        net: A net of a known family.
        rows: (rows, hidden) embeddings.
        positions: (rows,) int64, of each token in its sequence.
        attend: On query (rows, heads * width), key and value (rows, kv heads * width), turned
            already; gives (rows, heads * width).

    Returns:
        (rows, hidden) after the last norm.
    """
    config: Any = net.config
    rotary = Rotary(net, int(positions.max()) + 1 if positions.numel() else 1)
    cos, sin = rotary.cos[positions].unsqueeze(1), rotary.sin[positions].unsqueeze(1)
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    eps = config.rms_norm_eps

    def run(layer: int, block: Block, rows: Tensor) -> Tensor:
        inner = F.rms_norm(rows, (rows.shape[-1],), block.norm_1, eps)
        # (rows, heads of queries, keys and values, width)
        qkv = block.project(inner).unflatten(-1, (heads + 2 * kv_heads, -1))
        turned = rotary.turn(qkv[:, : heads + kv_heads], cos, sin)
        query, key = turned[:, :heads].flatten(1), turned[:, heads:].flatten(1)
        attended = attend(layer, query, key, qkv[:, heads + kv_heads :].flatten(1))
        rows = rows + block.drop_attention(block.out(attended))
        inner = F.rms_norm(rows, (rows.shape[-1],), block.norm_2, eps)
        gate, up = block.gate_up(inner).chunk(2, dim=-1)
        return rows + block.drop_feed_forward(block.down(F.silu(gate) * up))

    forgets = getattr(net.model, "gradient_checkpointing", False) and torch.is_grad_enabled()
    for layer, block in enumerate(blocks_of(net)):
        # What a block computed is forgotten and computed again when its gradient is wanted (Chen et
        # al. 2016, arXiv 1604.06174).
        rows = (
            checkpoint(run, layer, block, rows, use_reentrant=False)
            if forgets
            else run(layer, block, rows)
        )
    return F.rms_norm(rows, (rows.shape[-1],), net.model.norm.weight, eps)


def causal(net: nn.Module, lengths: Tensor) -> tuple[RaggedCausal, Attend]:
    """Attention within sequences of different lengths, and the order in which it takes their rows.

    Args:
        net: A net of a known family.
        lengths: (sequences,) int64 on the CPU.
    """
    config: Any = net.config
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    ragged = RaggedCausal(lengths, heads, config.attention_dropout if net.training else 0.0)

    def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if kv_heads != heads:
            key, value = (
                part.unflatten(-1, (kv_heads, -1))
                .repeat_interleave(heads // kv_heads, dim=1)
                .flatten(1)
                for part in (key, value)
            )
        return ragged(layer, query, key, value)

    return ragged, attend


def set_gradient_checkpointing(net: Any, on: bool) -> None:
    """Makes the training pass compute blocks again in the backward pass, or keep their values."""
    # The switch of transformers wraps the layers, which are not called for known families.
    if is_known(net):
        net.model.gradient_checkpointing = on
    elif on:
        # Newer versions of transformers have another name for it.
        switch = getattr(net, "activation_checkpointing_enable", None)
        (switch or net.gradient_checkpointing_enable)({"use_reentrant": False})


def target_logits(
    net: Any, ids: Tensor, lengths: Tensor
) -> tuple[Tensor, Tensor, Tensor, Callable[[Tensor], Tensor]]:
    """The logits of every token after the first of its sequence.

    Args:
        net: The net.
        ids: (batch, longest) int64, padded behind.
        lengths: (batch,) int64.

    Returns:
        Logits (scored, vocabulary) in float32; the target (scored,) of each row; the mask
        (batch, longest - 1) of what is scored; and a function that puts rows into the order of the
        mask's places.

    Raises:
        MusicZooError: A sequence longer than the context.
    """
    context = getattr(net.config, "max_position_embeddings", None)
    if context is not None and ids.shape[1] > context:
        raise MusicZooError(
            f"A sequence of {ids.shape[1]} tokens does not fit into {context} positions.",
            remedy="Give the data module a smaller max_length.",
        )
    place = torch.arange(ids.shape[1], device=ids.device)
    mask = place[1:] < lengths.unsqueeze(1)
    rows, targets = ids[:, :-1][mask], ids[:, 1:][mask]
    if not is_known(net):
        attention = (place < lengths.unsqueeze(1)).long()
        logits = net(input_ids=ids, attention_mask=attention, use_cache=False).logits[:, :-1]
        return logits[mask].float(), targets, mask, lambda values: values
    counts = (lengths - 1).clamp(min=0).cpu()
    ragged, attend = causal(net, counts[counts > 0])
    positions = ragged.arrange(ragged.positions.to(ids.device))
    hidden = run_blocks(net, net.model.embed_tokens(ragged.arrange(rows)), positions, attend)
    return net.lm_head(hidden).float(), ragged.arrange(targets), mask, ragged.restore


def token_log_probs(
    net: Any, ids: Tensor, lengths: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of every token after the first of its sequence.

    Args:
        net: The net.
        ids: (batch, longest) int64, padded behind.
        lengths: (batch,) int64.
        temperature: Divides the logits.

    Returns:
        (batch, longest - 1) log-probabilities, 0 where nothing is scored, and the mask of what is.

    Raises:
        MusicZooError: A sequence longer than the context.
    """
    logits, targets, mask, restore = target_logits(net, ids, lengths)
    # One pass over the logits forwards and one backwards.
    scored = restore(-F.cross_entropy(logits / temperature, targets, reduction="none"))
    values = torch.zeros(mask.shape, dtype=scored.dtype, device=ids.device)
    return values.masked_scatter(mask, scored), mask


def token_log_distribution(
    net: Any, ids: Tensor, lengths: Tensor, temperature: float = 1.0
) -> Tensor:
    """Log-probabilities of all tokens of the vocabulary at every scored place.

    Args:
        net: The net.
        ids: (batch, longest) int64, padded behind.
        lengths: (batch,) int64.
        temperature: Divides the logits.

    Returns:
        (batch, longest - 1, vocabulary) float32, 0 where nothing is scored.

    Raises:
        MusicZooError: A sequence longer than the context.
    """
    logits, _, mask, restore = target_logits(net, ids, lengths)
    scores = restore(torch.log_softmax(logits / temperature, dim=-1))
    found = torch.zeros(*mask.shape, scores.shape[-1], dtype=scores.dtype, device=ids.device)
    return found.masked_scatter(mask.unsqueeze(-1), scores)
