"""The decoder one token at a time, with the keys and values of what it has read kept for each slot.

A step multiplies every weight with a thin matrix. Activations are kept as columns, (values, slots): then the weights stand on the left of
each product, for which CPU libraries are some 1.5 times as fast as for thin matrices on the left; and there are a multiple of eight of
them, sixteen at least, filled up with columns that nobody reads: a product of 64 columns takes two thirds of the time of one of 63, and one
of 16 half of the time of one of 7. Keys and values have their place from the start, so that a step writes its own and copies none of those
before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Phi3ForCausalLM

from musiczoo.models.adapters import effective_weight
from musiczoo.models.phi3_remi.net import Rotary, causal, run_blocks

# Columns that fill a vector register of 256 bits, and the fewest for which the kernels of such registers are chosen.
_LANES, _FEWEST = 8, 16


class CachedDecoder:
    """Steps of a net in eval mode over slots that sequences take and leave.

    Slots ``0 .. active - 1`` are in use: one that ends is taken over by the last, so that a step never computes for what has ended.

    Args:
        net: The net.
        slots: Sequences at once.
        capacity: Longest sequence.
    """

    def __init__(self, net: Phi3ForCausalLM, slots: int, capacity: int) -> None:
        config: Any = net.config
        self.net = net
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.width = config.hidden_size // self.heads
        self.eps = config.rms_norm_eps
        blocks: Any = net.model.layers
        self.blocks = [
            (
                block.input_layernorm.weight.detach().unsqueeze(1),
                effective_weight(block.self_attn.qkv_proj),
                effective_weight(block.self_attn.o_proj),
                block.post_attention_layernorm.weight.detach().unsqueeze(1),
                effective_weight(block.mlp.gate_up_proj),
                effective_weight(block.mlp.down_proj),
            )
            for block in blocks
        ]
        self.table = net.model.embed_tokens.weight.detach()
        self.last_norm, self.head = net.model.norm.weight.detach().unsqueeze(1), effective_weight(net.lm_head)
        self.rotary = Rotary(net, capacity)
        shape = (len(self.blocks), slots, self.kv_heads, capacity, self.width)
        self.keys = torch.zeros(shape, dtype=self.table.dtype, device=self.table.device)
        self.values = torch.zeros_like(self.keys)
        self.lengths = torch.zeros(slots, dtype=torch.int64)

    def fill(self, slots: Sequence[int], sequences: Sequence[Tensor]) -> Tensor:
        """Starts slots over; equal sequences are computed once.

        Args:
            slots: Which.
            sequences: The ids of each, (tokens,) with at least one.

        Returns:
            (slots, vocabulary) logits after the last token of each.
        """
        distinct = {bytes(ids.numpy().data): ids for ids in sequences}
        numbers = {key: number for number, key in enumerate(distinct)}
        lengths = torch.tensor([len(ids) for ids in distinct.values()])
        ragged, attend = causal(self.net, lengths)
        kept: list[tuple[Tensor, Tensor]] = []

        def keep(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            kept.append((ragged.restore(key), ragged.restore(value)))
            return attend(layer, query, key, value)

        device = self.table.device
        rows = ragged.arrange(torch.cat(list(distinct.values())).to(device))
        hidden = ragged.restore(run_blocks(self.net, rows, ragged.arrange(ragged.positions.to(device)), keep))
        ends = lengths.cumsum(0)
        for slot, ids in zip(slots, sequences, strict=True):
            number = numbers[bytes(ids.numpy().data)]
            end, length = int(ends[number]), len(ids)
            for layer, (key, value) in enumerate(kept):
                for store, part in ((self.keys, key), (self.values, value)):
                    store[layer, slot, :, :length] = part[end - length : end].unflatten(1, (self.kv_heads, -1)).transpose(0, 1)
            self.lengths[slot] = length
        order = [numbers[bytes(ids.numpy().data)] for ids in sequences]
        logits: Tensor = F.linear(hidden[(ends - 1).to(device)], self.head)[order]
        return logits

    def move(self, source: int, target: int) -> None:
        """Puts the sequence of one slot into another."""
        length = int(self.lengths[source])
        for store in (self.keys, self.values):
            store[:, target, :, :length] = store[:, source, :, :length]
        self.lengths[target] = length

    def step(self, tokens: Tensor) -> Tensor:
        """Reads one token more in each of the first slots.

        Args:
            tokens: (active,) int64.

        Returns:
            (active, vocabulary) logits.
        """
        active = len(tokens)
        lengths = self.lengths[:active]
        longest = int(lengths.max()) + 1
        device = self.table.device
        # Groups of a rollout are in step; then no row needs a mask, and what is written lies side by side.
        place = longest - 1 if bool((lengths == lengths[0]).all()) else None
        logits = self._columns(tokens.to(device), lengths.to(device), longest, place)
        self.lengths[:active] += 1
        return logits

    def _columns(self, tokens: Tensor, places: Tensor, longest: int, place: int | None) -> Tensor:
        """The logits of a step.

        Args:
            tokens: (active,) int64.
            places: (active,) int64, where each stands in its sequence.
            longest: How far back attention looks.
            place: The one place of all rows, where it is one.
        """
        active = len(tokens)
        rows = torch.arange(active, device=tokens.device)
        mask = None
        if place is None:
            mask = (torch.arange(longest, device=tokens.device) <= places.unsqueeze(1))[:, None, None, :]
        cos, sin = (table[places].unsqueeze(1) for table in (self.rotary.cos, self.rotary.sin))
        filled = _filled(active)
        columns = _as_columns(self.table[tokens], filled)
        for layer, (norm_1, qkv, out, norm_2, gate_up, down) in enumerate(self.blocks):
            parts = _product(qkv, self._normed(columns, norm_1)).view(-1, self.width, filled)[..., :active].permute(2, 0, 1)
            turned = self.rotary.turn(parts[:, : self.heads + self.kv_heads].contiguous(), cos, sin)
            key, value = turned[:, self.heads :], parts[:, self.heads + self.kv_heads :]
            if place is not None:
                self.keys[layer, :active, :, place] = key
                self.values[layer, :active, :, place] = value
            else:
                self.keys[layer, rows, :, places] = key
                self.values[layer, rows, :, places] = value
            attended = F.scaled_dot_product_attention(
                turned[:, : self.heads].unsqueeze(2),
                self.keys[layer, :active, :, :longest],
                self.values[layer, :active, :, :longest],
                attn_mask=mask,
                enable_gqa=self.kv_heads != self.heads,
            )
            columns = columns + _product(out, _as_columns(attended.reshape(active, -1), filled))
            inner = _product(gate_up, self._normed(columns, norm_2))
            gate, up = inner.chunk(2)
            columns = columns + _product(down, F.silu(gate).mul_(up))
        return _product(self.head, self._normed(columns, self.last_norm))[:, :active].t()

    def _normed(self, columns: Tensor, weight: Tensor) -> Tensor:
        scale = columns.float().square().mean(dim=0).add_(self.eps).rsqrt_()
        return (columns * scale.to(columns.dtype)).mul_(weight)


class GraphedDecoder(CachedDecoder):
    """The same on a GPU, where a step of a small net is bound by the launches of its hundred kernels: it is recorded once and replayed.

    What is recorded has fixed sizes, so that all slots are computed, with the whole capacity behind them.

    Args:
        net: The net, on a CUDA device.
        slots: Sequences at once.
        capacity: Longest sequence.
    """

    def __init__(self, net: Phi3ForCausalLM, slots: int, capacity: int) -> None:
        super().__init__(net, slots, capacity)
        device = self.table.device
        self.tokens = torch.zeros(slots, dtype=torch.int64, device=device)
        self.places = torch.zeros(slots, dtype=torch.int64, device=device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._logits = torch.empty(0)

    def step(self, tokens: Tensor) -> Tensor:
        """See :meth:`CachedDecoder.step`."""
        active = len(tokens)
        self.tokens[:active] = tokens.to(self.tokens.device, non_blocking=True)
        # An unused slot writes behind its end, where nothing is read before it is written anew.
        self.places.copy_(self.lengths.clamp(max=self.keys.shape[3] - 1), non_blocking=True)
        if self._graph is None:
            self._record()
        assert self._graph is not None
        self._graph.replay()
        self.lengths[:active] += 1
        return self._logits[:active]

    def _record(self) -> None:
        def run() -> Tensor:
            return self._columns(self.tokens, self.places, self.keys.shape[3], None)

        # Libraries set themselves up in the first calls, which must not be recorded. A step that is run again writes what it wrote.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits = run()


def _filled(active: int) -> int:
    """Columns that a product of so many is computed with; a single one is a matter of reading the weights."""
    return active if active == 1 else max(_FEWEST, -(-active // _LANES) * _LANES)


def _as_columns(rows: Tensor, filled: int) -> Tensor:
    """(values, filled) from (rows, values), with columns of zeros behind."""
    if len(rows) == filled:
        return rows.t().contiguous()
    columns = rows.new_zeros(rows.shape[1], filled)
    columns[:, : len(rows)] = rows.t()
    return columns


def _product(weight: Tensor, columns: Tensor) -> Tensor:
    """``weight @ columns``; half-precision CPU kernels want the thin matrix on the left."""
    if weight.device.type == "cpu" and weight.dtype != torch.float32:
        return F.linear(columns.t(), weight).t()
    return weight @ columns
