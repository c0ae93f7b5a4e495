"""Generation of bar streams: cached at both levels, batched, with random numbers a piece.

What is generated does not depend on the batch around a piece, on how many characters are drafted,
or on the cache: a character is drawn from the model's distribution with a uniform number that
belongs to its piece, patch and place.

Rules of NotaGen's inference code that are kept: the order of the cuts
(:mod:`musiczoo.models.sampling`); the first bar of a new piece is forced to begin with ``[r:0/``,
so that the model starts at the beginning and chooses only the length; when the context is full, the
header and the later half of the bars stay and generation continues. Rules that are not: characters
after the end mark are not sampled, nothing is discarded for its length, and the prompt stays in the
header at every cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from musiczoo.models.bar_stream.decoding import CachedCharDecoder, CachedPatchDecoder
from musiczoo.models.bar_stream.net import BarStreamNet
from musiczoo.models.bar_stream.stream import Drafter, Guard, OpenPatch, PieceGuard, Stream
from musiczoo.models.sampling import Sampling, distribution, draw
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.bar_stream import BOS, PAD

_DRAFT_ROWS = 8

__all__ = ["BarStreamGenerator", "Guard", "PieceGuard", "Stream"]


class BarStreamGenerator:
    """Continues prompts with a net.

    Args:
        net: The model; it is used in eval mode and left as it was.
        sampling: How characters are drawn.
        max_length: Patches of a piece at most, prompt included.
        slots: Pieces at once; further prompts take the place of pieces that end.
        guard: Masks characters before they are drawn, or None.
        start_at_first_bar: Force ``[r:0/`` at the first bar of a prompt without bars.
        draft: Characters guessed ahead in a pass at most; None chooses by the device and the number
            of pieces, 0 switches it off.
        half_weights: Read float16 copies of the weights, with float32 arithmetic (CPU).
        on_progress: Called with the number of a piece and its text so far whenever a bar is
            finished; False cancels the piece.
    """

    def __init__(
        self,
        net: BarStreamNet,
        sampling: Sampling,
        *,
        max_length: int,
        slots: int,
        guard: Guard | None = None,
        start_at_first_bar: bool = True,
        draft: int | None = None,
        half_weights: bool = False,
        on_progress: Callable[[int, str], bool | None] | None = None,
    ) -> None:
        self.net = net
        self.sampling = sampling
        self.max_length = max_length
        self.guard = guard
        self.start_at_first_bar = start_at_first_bar
        self.on_progress = on_progress
        self.size = net.config.patch_size
        self.device = net.char_level_decoder.transformer.wte.weight.device
        if draft is None:
            # On a CPU eight rows cost about what one costs, for reading the weights is the bound,
            # and for many pieces two rows each save a third of the passes at a quarter more a pass.
            # A GPU has arithmetic to spare.
            self.row_budget = (
                max(_DRAFT_ROWS, 2 * slots) if self.device.type == "cpu" else _DRAFT_ROWS * slots
            )
            self.draft = self.size
        else:
            self.row_budget = slots * (1 + draft)
            self.draft = draft
        self.slots = slots
        self.patch_decoder = CachedPatchDecoder(net, slots, half_weights)
        self.char_decoder = CachedCharDecoder(net, slots, self.row_budget, half_weights)
        self.conditions = torch.zeros(
            slots, net.config.hidden, dtype=self.patch_decoder.keys.dtype, device=self.device
        )

    @torch.inference_mode()
    def run(
        self, prompts: Sequence[Tensor], texts: Sequence[str], seeds: Sequence[int]
    ) -> Iterator[list[Stream]]:
        """Generates.

        Yields the running streams after each patch and each finished stream exactly once with
        ``stop`` set.

        Args:
            prompts: (patches, patch_size) each, begin patch included.
            texts: The prompts' texts, for guards.
            seeds: One a prompt.
        """
        waiting = [
            self._open(index, *item)
            for index, item in enumerate(zip(prompts, texts, seeds, strict=True))
        ]
        waiting.reverse()
        running: list[Stream] = []
        while waiting or running:
            while waiting and len(running) < self.slots:
                stream = waiting.pop()
                running.append(stream)
                self._fill(len(running) - 1, stream)
            self._next_patches(running)
            full = [
                stream
                for stream in running
                if stream.stop is None and len(stream.context) > self.patch_decoder.capacity
            ]
            for stream in full:
                if not stream.cut(self.patch_decoder.capacity):
                    stream.stop = "max_length"
            yield list(running)
            for slot in range(len(running) - 1, -1, -1):
                if running[slot].stop is not None:
                    self._leave(slot, running)
            if running:
                self._advance(
                    running, [slot for slot, stream in enumerate(running) if stream in full]
                )

    def _open(self, index: int, prompt: Tensor, text: str, seed: int) -> Stream:
        if len(prompt) >= min(self.max_length, self.net.config.patch_length):
            raise MusicZooError(
                f"The prompt has {len(prompt)} patches; the limit is"
                f" {min(self.max_length, self.net.config.patch_length)}.",
                where=f"prompt {index}",
                remedy="Shorten it or raise max_length.",
            )
        random = torch.Generator().manual_seed(seed)
        stream = Stream(index, [], random, None, Drafter())
        for patch in prompt.tolist():
            stream.append([c for c in patch if c != PAD])
        stream.prompt_length = len(stream.patches)
        stream.guard = None if self.guard is None else self.guard.for_piece(text)
        return stream

    def _tensor(self, patches: list[list[int]]) -> Tensor:
        return torch.tensor(
            [patch + [PAD] * (self.size - len(patch)) for patch in patches], device=self.device
        )

    def _fill(self, slot: int, stream: Stream) -> None:
        self.conditions[slot] = self.patch_decoder.fill(
            slot, self._tensor([stream.patches[i] for i in stream.context])
        )

    def _leave(self, slot: int, running: list[Stream]) -> None:
        last = len(running) - 1
        if slot != last:
            self.patch_decoder.move(last, slot)
            running[slot] = running[last]
        running.pop()

    def _advance(self, running: list[Stream], cut: list[int]) -> None:
        """One step of the patch decoder; slots whose context was cut are filled again instead."""
        if len(cut) < len(running):
            # A step covers all slots; what it writes for a slot without room is replaced just
            # below.
            self.patch_decoder.lengths[cut] -= 1
            self.conditions[: len(running)] = self.patch_decoder.step(
                self._tensor([stream.patches[-1] for stream in running])
            )
        for slot in cut:
            self._fill(slot, running[slot])

    def _next_patches(self, running: list[Stream]) -> None:
        """Decodes the characters of one patch for every running stream."""
        patches = [OpenPatch(stream, self.size, self.start_at_first_bar) for stream in running]
        open_slots = list(range(len(running)))
        while open_slots:
            share = max(1, self.row_budget // len(open_slots))
            slots: list[int] = []
            positions: list[int] = []
            before: list[int] = []
            spans: list[tuple[int, int]] = []
            masks: list[np.ndarray] = []
            for slot in open_slots:
                patch = patches[slot]
                begin = len(slots)
                drafted, allowed_there = patch.plan(min(share - 1, self.draft))
                for position in range(patch.cached, len(drafted) + 1):
                    slots.append(slot)
                    positions.append(position)
                    before.append(drafted[position - 1] if position else 0)
                spans.append((begin, len(slots)))
                masks += allowed_there
            logits = self.char_decoder.run(
                self.conditions,
                *(torch.tensor(x, device=self.device) for x in (slots, positions, before)),
            )
            uniforms = [
                patches[slot].uniforms[position]
                for slot, position in zip(slots, positions, strict=True)
            ]
            allowed = torch.from_numpy(np.stack(masks)).to(self.device)
            probabilities = distribution(logits, self.sampling, allowed)
            tokens = draw(
                probabilities, torch.tensor(uniforms, dtype=torch.float64, device=self.device)
            ).tolist()
            scores = torch.log_softmax(
                logits.float() / (self.sampling.temperature or 1.0), dim=-1
            ).cpu()
            still_open = []
            for slot, (begin, end) in zip(open_slots, spans, strict=True):
                if not patches[slot].take(tokens[begin:end], scores[begin:end]):
                    still_open.append(slot)
            open_slots = still_open
        for patch in patches:
            self._finish(patch)

    def _finish(self, patch: OpenPatch) -> None:
        stream = patch.stream
        stream.log_probs.append(patch.log_probs)
        line = stream.append(patch.chars)
        if patch.chars[0] == BOS:
            stream.stop = "end"
            return
        watch = self.on_progress
        if line is not None and watch and watch(stream.index, stream.text) is False:
            stream.stop = "cancelled"
        if stream.stop is None and len(stream.patches) >= self.max_length:
            stream.stop = "max_length"
