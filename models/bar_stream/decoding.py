"""Cached decoders over slots: steps of the patch decoder, passes of the character decoder.

Generation of one piece moves every weight once a step, so its bound is the memory bandwidth; for
several pieces the bound is the arithmetic of thin matrix products. Both are met with weights packed
once for the number of rows of a step.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F
from transformers import GPT2Model

from musiczoo.models.bar_stream.net import BarStreamNet
from musiczoo.models.layers.gpt2 import run_blocks
from musiczoo.models.layers.packed_linear import Linear, effective_weight, packed_linear
from musiczoo.models.layers.ragged_attention import RaggedCausal

# Numbers of rows for which the character decoder is packed, as far as its passes reach.
_PASS_SIZES = (8, 16, 32)


def _packed(layer: Any, sizes: tuple[int, ...], half: bool) -> Linear:
    """A layer of transformers' ``Conv1D``, with or without an adapter, for ``sizes`` of rows.

    An adapter is added to a copy of the weight, once; the base is not touched.
    """
    weight, bias = effective_weight(layer).t(), layer.bias.detach()
    return packed_linear(weight, bias, kernel="float16" if half else "mkl", rows=sizes)


class _PackedBlocks:
    """The blocks of a GPT-2 in eval mode with packed layers.

    The mathematics is :func:`run_blocks`.
    """

    def __init__(self, stack: GPT2Model, sizes: tuple[int, ...], half: bool) -> None:
        self.sizes = sizes
        blocks: Any = stack.h
        layers = [
            layer
            for block in blocks
            for layer in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj)
        ]
        # Packing runs outside Python's lock, and takes seconds for a large net.
        with warnings.catch_warnings(), ThreadPoolExecutor(torch.get_num_threads()) as pool:
            # FBGEMM warns of weights outside float16's range, also of harmless underflow; overflow
            # is refused.
            warnings.simplefilter("ignore")
            linear = iter(list(pool.map(lambda layer: _packed(layer, sizes, half), layers)))
        self.blocks = [
            (block.ln_1, next(linear), next(linear), block.ln_2, next(linear), next(linear))
            for block in blocks
        ]
        self.last_norm = stack.ln_f

    def fit(self, *columns: Tensor) -> list[Tensor]:
        """Repeats the last entry of each column up to the next number of rows.

        A repeated row computes and stores the same once more.
        """
        count = len(columns[0])
        missing = next(size for size in self.sizes if size >= count) - count
        return [
            torch.cat([x, x[-1:].expand(missing, *x.shape[1:])]) if missing else x for x in columns
        ]

    def __call__(
        self, rows: Tensor, attend: Callable[[int, Tensor, Tensor, Tensor], Tensor]
    ) -> Tensor:
        for layer, (norm_1, c_attn, c_proj, norm_2, c_fc, c_out) in enumerate(self.blocks):
            query, key, value = c_attn(norm_1(rows)).chunk(3, dim=-1)
            rows = rows + c_proj(attend(layer, query, key, value))
            rows = rows + c_out(F.gelu(c_fc(norm_2(rows)), approximate="tanh"))
        out: Tensor = self.last_norm(rows)
        return out


class CachedPatchDecoder:
    """The patch decoder with a key-value cache for each slot.

    Slots ``0 .. active - 1`` are in use; a slot that ends is refilled or swapped with the last one,
    so that a step never computes for a piece that has ended.

    Args:
        net: The model, in eval mode.
        slots: Pieces at once.
        half: Float16 weights (:func:`packed`).
    """

    def __init__(self, net: BarStreamNet, slots: int, half: bool = False) -> None:
        config = net.config
        self.decoder = net.patch_level_decoder
        self.heads = config.head_count
        self.capacity = config.patch_length
        self.blocks = _PackedBlocks(self.decoder.base, (slots,), half)
        weight = self.decoder.patch_embedding.weight
        self.table = weight.t().contiguous()
        self.offsets = torch.arange(
            0, self.table.shape[0], self.table.shape[0] // config.patch_size, device=weight.device
        )
        shape = (config.patch_layers, slots, self.heads, self.capacity, config.hidden // self.heads)
        # Zeros, for what lies behind the end of a shorter slot is masked by a factor of 0, which
        # garbage could turn into NaN.
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

        rows = self.decoder.embed(patches) + self.decoder.base.wpe(
            ragged.positions.to(patches.device)
        )
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
        active, size = len(patches), self.keys.shape[-1]
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
            keys[slots, :, where] = key[:active].view(active, self.heads, size)
            values[slots, :, where] = value[:active].view(active, self.heads, size)
            query = query[:active].view(active, self.heads, 1, size)
            out = F.scaled_dot_product_attention(
                query, keys[:active, :, :longest], values[:active, :, :longest], attn_mask=mask
            )
            return self.blocks.fit(out.view(active, -1))[0]

        rows = (
            F.embedding_bag(patches.long() + self.offsets, self.table, mode="sum")
            + self.decoder.patch_embedding.bias
        )
        (rows,) = self.blocks.fit(rows + self.decoder.base.wpe(where))
        hidden = self.blocks(rows, attend)[:active]
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

    A pass takes any rows of any slots; a row sees the rows of its slot at or before its own
    position. Positions computed for a draft that was refused are simply written over later.

    Args:
        net: The model, in eval mode.
        slots: Pieces at once.
        rows: Rows of a pass at most.
        half: Float16 weights (:func:`packed`).
    """

    def __init__(self, net: BarStreamNet, slots: int, rows: int, half: bool = False) -> None:
        config = net.config
        self.decoder = net.char_level_decoder
        self.transformer = self.decoder.transformer
        self.heads = config.head_count
        self.blocks = _PackedBlocks(
            self.transformer, (*(size for size in _PASS_SIZES if size < rows), rows), half
        )
        weight = self.transformer.wte.weight
        self.places = config.patch_size + 1
        shape = (config.char_layers, self.heads, slots * self.places, config.hidden // self.heads)
        self.keys = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        self.values = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        self.columns = torch.arange(slots * self.places, device=weight.device)

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
        count, size = len(slots), self.keys.shape[-1]
        slots, positions, chars = self.blocks.fit(slots, positions, chars)
        first = (positions == 0).unsqueeze(1)
        rows = torch.where(
            first, conditions[slots], self.transformer.wte(chars)
        ) + self.transformer.wpe(positions)
        # All slots' caches side by side: a row reads the columns of its slot up to its own
        # place. One dense product over all columns is cheaper than gathering each row's own.
        start = slots * self.places
        own = start + positions
        hidden = (self.columns < start.unsqueeze(1)) | (self.columns > own.unsqueeze(1))
        bias = (
            torch.zeros(hidden.shape, dtype=rows.dtype, device=rows.device)
            .masked_fill(hidden, -torch.inf)
            .expand(self.heads, -1, -1)
        )

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            keys, values = self.keys[layer], self.values[layer]
            query, key, value = (
                x.reshape(-1, self.heads, size).transpose(0, 1) for x in (query, key, value)
            )
            keys.index_copy_(1, own, key)
            values.index_copy_(1, own, value)
            weights = torch.baddbmm(bias, query, keys.transpose(1, 2), alpha=size**-0.5).softmax(
                dim=-1
            )
            return torch.bmm(weights, values).transpose(0, 1).reshape(len(own), -1)

        return self.decoder.head(self.blocks(rows, attend))[:count]
