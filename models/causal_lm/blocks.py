"""The blocks of Llama's relatives in transformers, whatever their layers are called.

Phi-3 joins the projections of queries, keys and values, and those of gate and up, in one layer
each; Llama, Mistral and Qwen2 (MuPT's net is a Llama) have a layer each. Everything else is alike:
norms by root mean square, rotary positions, SwiGLU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from musiczoo.models.layers.packed_linear import effective_weight, packed_linear

Linear = Callable[[Tensor], Tensor]
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
