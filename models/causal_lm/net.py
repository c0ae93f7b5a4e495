"""Decoder-only nets of transformers: their blocks, and the training pass over rows of tokens.

Phi-3 joins the projections of queries, keys and values, and those of gate and up, in one layer
each; Llama, Mistral and Qwen2 (MuPT's net is a Llama) have a layer each. Everything else is alike:
norms by root mean square, rotary positions, SwiGLU. These families run here without padding: each
linear layer sees real tokens only, and the attention needs no mask. Every other net runs its own
forward pass over padded batches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from musiczoo.models.layers.packed_linear import effective_weight, packed_linear
from musiczoo.models.layers.ragged_attention import RaggedCausal
from musiczoo.music.errors import MusicZooError

Linear = Callable[[Tensor], Tensor]
# Called with (layer, query, key, value) on rows of tokens; gives what attention adds.
Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
KNOWN = ("phi3", "llama", "mistral", "qwen2")
"""``model_type`` of the nets whose blocks are known."""


@dataclass(frozen=True)
class Block:
    """One block: weights of its norms, and its layers as functions of rows.

    Attributes:
        norm_1: (hidden,).
        project: (rows, hidden) -> queries, keys and values (rows, (heads + 2 kv heads) * width).
        out: What attention gathered -> (rows, hidden).
        norm_2: (hidden,).
        gate_up: (rows, hidden) -> (rows, 2 * intermediate).
        down: (rows, intermediate) -> (rows, hidden).
        drop_attention: Dropout of what attention adds.
        drop_feed_forward: Dropout of what the feed-forward layers add.
    """

    norm_1: Tensor
    project: Linear
    out: Linear
    norm_2: Tensor
    gate_up: Linear
    down: Linear
    drop_attention: Linear
    drop_feed_forward: Linear


def is_known(net: Any) -> bool:
    """Whether the blocks of a net are known.

    That is: its family, SwiGLU, rotary frequencies that do not change with the length, and no
    window shorter than the context.
    """
    config = net.config
    if config.model_type not in KNOWN or config.hidden_act not in ("silu", "swish"):
        return False
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if rope.get("rope_type", rope.get("type", "default")) not in ("default", "linear", "llama3"):
        return False
    window = getattr(config, "sliding_window", None)
    uses_window = bool(window) and getattr(config, "use_sliding_window", True)
    return not uses_window or window >= config.max_position_embeddings


def blocks_of(net: Any) -> list[Block]:
    """The blocks for training: each layer is called as a layer, so that adapters take part."""
    return [_block(block, _joined) for block in net.model.layers]


def packed_blocks(net: Any) -> list[Block]:
    """The blocks for decoding.

    Weights are copied once, with their adapters, into the layout that thin products are fast for.
    """
    return [_block(block, _packed) for block in net.model.layers]


def packed_head(net: Any) -> Linear:
    """The output layer for decoding."""
    return _packed([net.lm_head])


def _block(block: Any, join: Callable[[list[nn.Module]], Linear]) -> Block:
    attention, feed_forward = block.self_attn, block.mlp
    if hasattr(attention, "qkv_proj"):
        projections, gates = [attention.qkv_proj], [feed_forward.gate_up_proj]
    else:
        projections = [attention.q_proj, attention.k_proj, attention.v_proj]
        gates = [feed_forward.gate_proj, feed_forward.up_proj]
    same = nn.Identity()
    return Block(
        norm_1=block.input_layernorm.weight,
        project=join(projections),
        out=join([attention.o_proj]),
        norm_2=block.post_attention_layernorm.weight,
        gate_up=join(gates),
        down=join([feed_forward.down_proj]),
        drop_attention=getattr(block, "resid_attn_dropout", same),
        drop_feed_forward=getattr(block, "resid_mlp_dropout", same),
    )


def _joined(layers: list[nn.Module]) -> Linear:
    return layers[0] if len(layers) == 1 else partial(_side_by_side, layers)


def _side_by_side(layers: list[nn.Module], rows: Tensor) -> Tensor:
    return torch.cat([layer(rows) for layer in layers], dim=-1)


def _packed(layers: list[nn.Module]) -> Linear:
    weights = [effective_weight(layer) for layer in layers]
    biases: list[Any] = [getattr(layer, "bias", None) for layer in layers]
    weight = weights[0] if len(weights) == 1 else torch.cat(weights)
    bias = None
    if any(part is not None for part in biases):
        parts = [
            w.new_zeros(len(w)) if b is None else b.detach()
            for w, b in zip(weights, biases, strict=True)
        ]
        bias = torch.cat(parts)
    return packed_linear(weight, bias)


class Rotary:
    """Rotary positions (Su et al. 2021, arXiv 2104.09864) as tables of cosines and sines.

    Args:
        net: Whose frequencies; its scaling (such as that of Llama 3) is in them, and in
            ``attention_scaling``.
        positions: How many.
    """

    def __init__(self, net: Any, positions: int) -> None:
        weight, rotary = net.lm_head.weight, net.model.rotary_emb
        frequencies = rotary.inv_freq.to(weight.device, torch.float32)
        places = torch.arange(positions, device=weight.device, dtype=torch.float32)
        angles = places.unsqueeze(1) * frequencies
        cos, sin = angles.cos(), angles.sin()
        scaling = getattr(rotary, "attention_scaling", 1.0)
        if scaling != 1.0:
            cos, sin = cos * scaling, sin * scaling
        self.cos, self.sin = cos.to(weight.dtype), sin.to(weight.dtype)
        self.width = 2 * frequencies.numel()

    def turn(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Turns the first ``width`` values of each head.

        Args:
            x: (rows, heads, width of a head).
            cos: (rows, 1, width / 2) of the tables, a row for each of ``x``.
            sin: Likewise.
        """
        half = self.width // 2
        first, second, rest = x[..., :half], x[..., half : self.width], x[..., self.width :]
        return torch.cat((first * cos - second * sin, second * cos + first * sin, rest), dim=-1)


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
