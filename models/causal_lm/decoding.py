"""The decoder one token at a time, with the keys and values of what it has read kept for each slot.

A step multiplies every weight with a few rows and reads every key and value once. Weights are laid
out once, keys and values have their place from the start, so that a step writes its own and copies
none of those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import DynamicCache

from musiczoo.models.causal_lm.net import (
    Rotary,
    causal,
    is_known,
    packed_blocks,
    packed_head,
    run_blocks,
)


class CachedDecoder:
    """Steps of a net in eval mode over slots that sequences take and leave.

    Slots ``0 .. active - 1`` are in use: one that ends is taken over by the last, so that a step
    never computes for what has ended.

    Args:
        net: The net.
        slots: Sequences at once.
        capacity: Longest sequence.
    """

    def __init__(self, net: Any, slots: int, capacity: int) -> None:
        config: Any = net.config
        self.net = net
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.eps = config.rms_norm_eps
        self.blocks = packed_blocks(net)
        self.table = net.model.embed_tokens.weight.detach()
        self.last_norm, self.head = net.model.norm.weight.detach(), packed_head(net)
        self.rotary = Rotary(net, capacity)
        self.width = config.hidden_size // self.heads
        if getattr(config, "head_dim", None):
            self.width = config.head_dim
        shape = (len(self.blocks), slots, self.kv_heads, capacity, self.width)
        self.keys = torch.zeros(shape, dtype=self.table.dtype, device=self.table.device)
        self.values = torch.zeros_like(self.keys)
        self.lengths = torch.zeros(slots, dtype=torch.int64)

    def fill(self, slots: Sequence[int], sequences: Sequence[Tensor]) -> Tensor:
        """Starts slots over; equal sequences are computed once.

        Args:
            slots: Which.
            sequences: The ids of each, (tokens,) int64 with at least one; or embeddings (tokens,
                hidden) in their place.

        Returns:
            (slots, vocabulary) logits after the last token of each.
        """
        keys = [bytes(sequence.detach().cpu().contiguous().numpy().data) for sequence in sequences]
        distinct = dict(zip(keys, sequences, strict=True))
        numbers = {key: number for number, key in enumerate(distinct)}
        lengths = torch.tensor([len(sequence) for sequence in distinct.values()])
        ragged, attend = causal(self.net, lengths)
        kept: list[tuple[Tensor, Tensor]] = []

        def keep(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            kept.append((ragged.restore(key), ragged.restore(value)))
            return attend(layer, query, key, value)

        device = self.table.device
        rows = ragged.arrange(torch.cat([self._embedded(part) for part in distinct.values()]))
        positions = ragged.arrange(ragged.positions.to(device))
        hidden = ragged.restore(run_blocks(self.net, rows, positions, keep))
        ends = lengths.cumsum(0)
        order = [numbers[key] for key in keys]
        for slot, number, sequence in zip(slots, order, sequences, strict=True):
            end, length = int(ends[number]), len(sequence)
            for layer, (key, value) in enumerate(kept):
                for store, part in ((self.keys, key), (self.values, value)):
                    # (length, kv heads * width) -> (kv heads, length, width)
                    own = part[end - length : end].unflatten(1, (self.kv_heads, -1))
                    store[layer, slot, :, :length] = own.transpose(0, 1)
            self.lengths[slot] = length
        return self.head(hidden[(ends - 1).to(device)])[order]

    def _embedded(self, sequence: Tensor) -> Tensor:
        """(tokens, hidden) of ids, or of embeddings as they are."""
        device = self.table.device
        if sequence.is_floating_point():
            return sequence.to(device, self.table.dtype)
        rows: Tensor = self.table[sequence.to(device)]
        return rows

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
        # Groups of a rollout are in step; then no row needs a mask, and what is written lies side
        # by side.
        place = longest - 1 if bool((lengths == lengths[0]).all()) else None
        logits = self._logits_of(tokens.to(device), lengths.to(device), longest, place)
        self.lengths[:active] += 1
        return logits

    def _logits_of(self, tokens: Tensor, places: Tensor, longest: int, place: int | None) -> Tensor:
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
            mask = (torch.arange(longest, device=tokens.device) <= places.unsqueeze(1))[
                :, None, None, :
            ]
        attend = self._attention(active, longest, mask)
        cos, sin = (table[places].unsqueeze(1) for table in (self.rotary.cos, self.rotary.sin))
        hidden = self.table[tokens]
        for layer, block in enumerate(self.blocks):
            # (active, heads of queries, keys and values, width)
            parts = block.project(self._normed(hidden, block.norm_1))
            parts = parts.unflatten(-1, (-1, self.width))
            turned = self.rotary.turn(parts[:, : self.heads + self.kv_heads], cos, sin)
            key, value = turned[:, self.heads :], parts[:, self.heads + self.kv_heads :]
            if place is not None:
                self.keys[layer, :active, :, place] = key
                self.values[layer, :active, :, place] = value
            else:
                self.keys[layer, rows, :, places] = key
                self.values[layer, rows, :, places] = value
            hidden = hidden + block.out(attend(layer, turned[:, : self.heads]))
            gate, up = block.gate_up(self._normed(hidden, block.norm_2)).chunk(2, dim=-1)
            hidden = hidden + block.down(F.silu(gate).mul_(up))
        return self.head(self._normed(hidden, self.last_norm))

    def _normed(self, hidden: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(hidden, weight.shape, weight, self.eps)

    def _attention(
        self, active: int, longest: int, mask: Tensor | None
    ) -> Callable[[int, Tensor], Tensor]:
        """A function of a layer and its queries that gathers its first ``longest`` values.

        Queries are (active, heads, width); it returns (active, heads * width).
        """
        if self.values.device.type != "cpu" or self.values.dtype != torch.float32:

            def fused(layer: int, queries: Tensor) -> Tensor:
                keys, values = (
                    self.keys[layer, :active, :, :longest],
                    self.values[layer, :active, :, :longest],
                )
                grouped = self.kv_heads != self.heads
                out = F.scaled_dot_product_attention(
                    queries.unsqueeze(2), keys, values, attn_mask=mask, enable_gqa=grouped
                )
                return out.reshape(active, -1)

            return fused
        # With a single query the fused kernel multiplies matrices of one row, at a third of the
        # memory's speed (docs/benchmarks.md). A weighted sum of rows is what an embedding bag is,
        # whose kernel reads at the memory's speed.
        capacity, group = self.keys.shape[3], self.heads // self.kv_heads
        heads = torch.arange(active * self.kv_heads, dtype=torch.int32).repeat_interleave(group)
        rows = (
            heads.mul_(capacity).unsqueeze(1) + torch.arange(longest, dtype=torch.int32)
        ).flatten()
        bags = torch.arange(0, len(rows), longest, dtype=torch.int32)

        def gathered(layer: int, queries: Tensor) -> Tensor:
            scaled = (queries * self.width**-0.5).view(active, self.kv_heads, group, self.width)
            scores = scaled @ self.keys[layer, :active, :, :longest].transpose(2, 3)
            if mask is not None:
                scores.masked_fill_(~mask, -torch.inf)
            weights = scores.softmax(-1).flatten()
            values = self.values[layer].view(-1, self.width)
            return F.embedding_bag(rows, values, bags, mode="sum", per_sample_weights=weights).view(
                active, -1
            )

        return gathered


class GraphedDecoder(CachedDecoder):
    """The same on a GPU: a step is recorded once and replayed.

    A step of a small net is bound by the launches of its hundred kernels.

    What is recorded has fixed sizes, so that all slots are computed, with the whole capacity behind
    them.

    Args:
        net: The net, on a CUDA device.
        slots: Sequences at once.
        capacity: Longest sequence.
    """

    def __init__(self, net: Any, slots: int, capacity: int) -> None:
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
        # An unused slot writes behind its end, where nothing is read before it is written again.
        self.places.copy_(self.lengths.clamp(max=self.keys.shape[3] - 1), non_blocking=True)
        if self._graph is None:
            self._record()
        assert self._graph is not None
        self._graph.replay()
        self.lengths[:active] += 1
        return self._logits[:active]

    def _record(self) -> None:
        def run() -> Tensor:
            return self._logits_of(self.tokens, self.places, self.keys.shape[3], None)

        # Libraries set themselves up in the first calls, which must not be recorded. A step that is
        # run again writes what it wrote.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits = run()


class ForwardDecoder:
    """The same steps by a net's own forward pass, for nets whose blocks are not known.

    Each slot has a cache of its own and is computed by itself: slower, and right for any causal
    language model of transformers.

    Args:
        net: The net.
        slots: Sequences at once.
        capacity: Longest sequence.
    """

    def __init__(self, net: Any, slots: int, capacity: int) -> None:
        self.net = net
        self.table = net.get_input_embeddings().weight.detach()
        self.caches = [DynamicCache() for _ in range(slots)]

    def fill(self, slots: Sequence[int], sequences: Sequence[Tensor]) -> Tensor:
        """See :meth:`CachedDecoder.fill`."""
        rows = []
        for slot, sequence in zip(slots, sequences, strict=True):
            self.caches[slot] = DynamicCache()
            name = "inputs_embeds" if sequence.is_floating_point() else "input_ids"
            rows.append(self._forward(slot, **{name: sequence.to(self.table.device).unsqueeze(0)}))
        return torch.stack(rows)

    def move(self, source: int, target: int) -> None:
        """See :meth:`CachedDecoder.move`."""
        self.caches[target] = self.caches[source]

    def step(self, tokens: Tensor) -> Tensor:
        """See :meth:`CachedDecoder.step`."""
        ids = tokens.to(self.table.device)
        rows = [self._forward(slot, input_ids=ids[slot].view(1, 1)) for slot in range(len(ids))]
        return torch.stack(rows)

    def _forward(self, slot: int, **inputs: Tensor) -> Tensor:
        """(vocabulary,) logits after the last token."""
        cache = self.caches[slot]
        logits: Tensor = self.net(**inputs, past_key_values=cache, use_cache=True).logits[0, -1]
        return logits


def decoder_for(net: Any, slots: int, capacity: int) -> CachedDecoder | ForwardDecoder:
    """The fastest decoder of a net on its device."""
    if not is_known(net):
        return ForwardDecoder(net, slots, capacity)
    kind = GraphedDecoder if net.lm_head.weight.device.type == "cuda" else CachedDecoder
    return kind(net, slots, capacity)
