"""Cached decoders: one step of the patch decoder, and passes of the character decoder, over slots that pieces take and leave.

Generation of one piece moves every weight once a step, so its bound is the memory bandwidth; for several pieces the bound is the
arithmetic of thin matrix products. Both are met with weights packed once for the number of rows of a step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GPT2Model
from transformers.pytorch_utils import Conv1D

from musiczoo.models.bar_stream.net import BarStreamNet, run_blocks
from musiczoo.models.ragged import RaggedCausal

Linear = Callable[[Tensor], Tensor]


def packed(module: nn.Module, rows: int) -> Linear:
    """A linear layer for inputs of at most ``rows`` rows.

    On the CPU in float32 the weight is packed by MKL for exactly that many rows (thinner inputs are padded): thin products are then bound
    by reading the weight instead of by rearranging it at each call, which is what makes verifying eight characters as cheap as one.
    Other devices and types, and layers that are not plain (adapters), are called as they are.

    Args:
        module: The layer, transformers' ``Conv1D`` for packing.
        rows: Rows of the inputs.
    """
    plain = type(module) is Conv1D and module.weight.device.type == "cpu" and module.weight.dtype == torch.float32
    if not (plain and torch.backends.mkl.is_available()):
        return module
    weight = module.weight.detach().t().contiguous()
    bias = module.bias.detach()
    if rows == 1:
        return lambda x: F.linear(x, weight, bias)
    # The operators behind TorchInductor's frozen linear layers; there is no public name for them.
    store = torch.ops.mkl._mkl_reorder_linear_weight(weight, rows)

    def apply(x: Tensor) -> Tensor:
        missing = rows - len(x)
        if missing == 0:
            out: Tensor = torch.ops.mkl._mkl_linear(x, store, weight, bias, rows)
            return out
        out = torch.ops.mkl._mkl_linear(F.pad(x, (0, 0, 0, missing)), store, weight, bias, rows)
        return out[: len(x)]

    return apply


class _PackedBlocks:
    """The blocks of a GPT-2 in eval mode with packed layers; the mathematics is :func:`run_blocks`."""

    def __init__(self, stack: GPT2Model, rows: int) -> None:
        self.blocks = [
            (
                block.ln_1,
                packed(block.attn.c_attn, rows),
                packed(block.attn.c_proj, rows),
                block.ln_2,
                packed(block.mlp.c_fc, rows),
                packed(block.mlp.c_proj, rows),
            )
            for block in stack.h
        ]
        self.last_norm = stack.ln_f
        self.rows = rows

    def __call__(self, rows: Tensor, attend: Callable[[int, Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        for layer, (norm_1, c_attn, c_proj, norm_2, c_fc, c_out) in enumerate(self.blocks):
            query, key, value = c_attn(norm_1(rows)).chunk(3, dim=-1)
            rows = rows + c_proj(attend(layer, query, key, value))
            rows = rows + c_out(F.gelu(c_fc(norm_2(rows)), approximate="tanh"))
        out: Tensor = self.last_norm(rows)
        return out


class CachedPatchDecoder:
    """The patch decoder with a key-value cache for each slot.

    Slots ``0 .. active - 1`` are in use; a slot that ends is refilled or swapped with the last one, so that a step never computes for a
    piece that has ended.

    Args:
        net: The model, in eval mode.
        slots: Pieces at once.
    """

    def __init__(self, net: BarStreamNet, slots: int) -> None:
        config = net.config
        self.decoder = net.patch_level_decoder
        self.heads = config.head_count
        self.capacity = config.patch_length
        self.blocks = _PackedBlocks(self.decoder.base, slots)
        weight = self.decoder.patch_embedding.weight
        self.table = weight.t().contiguous()
        self.offsets = torch.arange(0, self.table.shape[0], self.table.shape[0] // config.patch_size, device=weight.device)
        shape = (config.patch_layers, slots, self.heads, self.capacity, config.hidden // self.heads)
        # Zeros, for what lies behind the end of a shorter slot is masked by a factor of 0, which garbage could turn into NaN.
        self.keys = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        self.values = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        self.lengths = torch.zeros(slots, dtype=torch.int64)

    def fill(self, slot: int, patches: Tensor) -> Tensor:
        """Starts a slot over from a whole context.

        Args:
            slot: Which.
            patches: (patches, patch_size), at most ``capacity`` of them.

        Returns:
            (hidden,) hidden state of the last patch.
        """
        ragged = RaggedCausal(torch.tensor([len(patches)]), self.heads)
        count = len(patches)

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            self.keys[layer, slot, :, :count] = rearrange(key, "t (h d) -> h t d", h=self.heads)
            self.values[layer, slot, :, :count] = rearrange(value, "t (h d) -> h t d", h=self.heads)
            return ragged(layer, query, key, value)

        rows = self.decoder.embed(patches) + self.decoder.base.wpe(ragged.positions.to(patches.device))
        hidden = run_blocks(self.decoder.base, rows, attend)
        self.lengths[slot] = count
        return hidden[-1]

    def step(self, patches: Tensor) -> Tensor:
        """Appends one patch to each of the first slots.

        Args:
            patches: (active, patch_size).

        Returns:
            (active, hidden) hidden states.
        """
        active = len(patches)
        device = patches.device
        lengths = self.lengths[:active]
        longest = int(lengths.max()) + 1
        where = lengths.to(device)
        slots = torch.arange(active, device=device)
        mask = None
        if int(lengths.min()) + 1 != longest:
            mask = (torch.arange(longest, device=device) <= where.unsqueeze(1))[:, None, None]

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            keys, values = self.keys[layer], self.values[layer]
            keys[slots, :, where] = rearrange(key, "b (h d) -> b h d", h=self.heads)
            values[slots, :, where] = rearrange(value, "b (h d) -> b h d", h=self.heads)
            query = rearrange(query, "b (h d) -> b h 1 d", h=self.heads)
            out = F.scaled_dot_product_attention(query, keys[:active, :, :longest], values[:active, :, :longest], attn_mask=mask)
            return rearrange(out, "b h 1 d -> b (h d)")

        rows = F.embedding_bag(patches.long() + self.offsets, self.table, mode="sum") + self.decoder.patch_embedding.bias
        hidden = self.blocks(rows + self.decoder.base.wpe(where), attend)
        self.lengths[:active] += 1
        return hidden

    def move(self, source: int, target: int) -> None:
        """Copies a slot onto another."""
        count = int(self.lengths[source])
        self.keys[:, target, :, :count] = self.keys[:, source, :, :count]
        self.values[:, target, :, :count] = self.values[:, source, :, :count]
        self.lengths[target] = count


class CachedCharDecoder:
    """The character decoder with a cache of one patch for each slot.

    A pass takes any rows of any slots; a row sees the rows of its slot at or before its own position. Positions computed for a draft that
    was refused are simply written over later.

    Args:
        net: The model, in eval mode.
        slots: Pieces at once.
        rows: Rows of a pass at most.
    """

    def __init__(self, net: BarStreamNet, slots: int, rows: int) -> None:
        config = net.config
        self.decoder = net.char_level_decoder
        self.transformer = self.decoder.transformer
        self.heads = config.head_count
        self.blocks = _PackedBlocks(self.transformer, rows)
        self.rows = rows
        weight = self.transformer.wte.weight
        shape = (config.char_layers, slots, self.heads, config.patch_size + 1, config.hidden // self.heads)
        self.keys = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        self.values = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        self.positions = torch.arange(config.patch_size + 1, device=weight.device)

    def run(self, conditions: Tensor, slots: Tensor, positions: Tensor, chars: Tensor) -> Tensor:
        """One pass.

        Args:
            conditions: (slots, hidden) hidden state that precedes each slot's patch.
            slots: (rows,) slot of each row.
            positions: (rows,) 0 for the condition, t for the t-th character.
            chars: (rows,) the character before; not used at position 0.

        Returns:
            (rows, 128) logits of the character that follows each row.
        """
        first = (positions == 0).unsqueeze(1)
        rows = torch.where(first, conditions[slots], self.transformer.wte(chars)) + self.transformer.wpe(positions)
        mask = (self.positions <= positions.unsqueeze(1))[:, None, None]

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            keys, values = self.keys[layer], self.values[layer]
            keys[slots, :, positions] = rearrange(key, "r (h d) -> r h d", h=self.heads)
            values[slots, :, positions] = rearrange(value, "r (h d) -> r h d", h=self.heads)
            query = rearrange(query, "r (h d) -> r h 1 d", h=self.heads)
            out = F.scaled_dot_product_attention(query, keys[slots], values[slots], attn_mask=mask)
            return rearrange(out, "r h 1 d -> r (h d)")

        return self.decoder.head(self.blocks(rows, attend))
