"""Generation of bar streams: cached at both levels, batched, each piece drawing its own random numbers and stopping on its own.

What is generated does not depend on the batch around a piece, on how many characters are drafted,
or on the cache: a character is drawn from the model's distribution with a uniform number that
belongs to its piece, patch and place.

Rules of NotaGen's inference code that are kept: the order of the cuts
(:mod:`musiczoo.models.sampling`); the first bar of a new piece is forced to begin with ``[r:0/``,
so that the model starts at the beginning and chooses only the length; when the context is full, the
header and the later half of the bars stay and generation goes on. Rules that are not: characters
after the end mark are not sampled, nothing is discarded for its length, and the prompt stays in the
header at every cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from musiczoo.models.bar_stream.decoding import CachedCharDecoder, CachedPatchDecoder
from musiczoo.models.bar_stream.drafting import Drafter
from musiczoo.models.bar_stream.net import BarStreamNet
from musiczoo.models.sampling import Sampling, distribution, draw
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.bar_stream import BOS, EOS, PAD, VOCABULARY

OnBar = Callable[[int, int, str], object]
Stop = Literal["end", "max_length", "cancelled"]
_PLACE = re.compile(r"\[r:(\d+)/(\d+)\]")
_START = "[r:0/"
_DRAFT_ROWS = 8


class PieceGuard(Protocol):
    """Steers one piece; see :mod:`musiczoo.models.bar_stream.guards`."""

    def mask(self, partial: str) -> np.ndarray | None:
        """(128,) bool of the characters that may follow ``partial`` in this patch, or None for all."""
        ...

    def commit(self, patch: str) -> None:
        """Takes note of a finished patch."""
        ...


class Guard(Protocol):
    """Makes a :class:`PieceGuard` for each piece."""

    def for_piece(self, prompt: str) -> PieceGuard:
        """The guard of a piece that begins with ``prompt``."""
        ...


@dataclass
class Stream:
    """A piece under generation.

    Attributes:
        index: Its place among the prompts.
        patches: All its patches so far, prompt included, as lists of character ids without padding.
        log_probs: For each generated patch the log-probabilities of its characters.
        prompt_length: Patches of the prompt.
        stop: Why it stopped, None while it runs.
    """

    index: int
    patches: list[list[int]]
    random: torch.Generator
    guard: PieceGuard | None
    drafter: Drafter
    prompt_length: int = 0
    header_length: int = 0
    log_probs: list[list[float]] = field(default_factory=list)
    line_starts: list[int] = field(default_factory=list)
    context: list[int] = field(default_factory=list)
    line: str = ""
    bars: int = 0
    fraction: float = 0.0
    in_body: bool = False
    stop: Stop | None = None

    def append(self, chars: list[int]) -> str | None:
        """Adds a patch and returns the line of the body that it completes, if it does."""
        text = "".join(chr(c) for c in chars if c > EOS)
        # The body begins with the first line of voices; only its lines can be cut.
        self.in_body = self.in_body or (not self.line and text.startswith(("[r:", "[V:")))
        if self.in_body and not self.line:
            self.line_starts.append(len(self.patches))
        self.context.append(len(self.patches))
        self.patches.append(chars)
        if not self.in_body:
            self.header_length = len(self.patches)
        if chars[0] != BOS:
            self.drafter.learn(_stream(chars))
        if self.guard is not None:
            self.guard.commit(_stream(chars))
        self.line += text
        if not self.line.endswith("\n"):
            return None
        line, self.line = self.line[:-1], ""
        self.bars += self.in_body
        return line if self.in_body else None

    def cut(self, capacity: int) -> bool:
        """Keeps the header and the later half of the bars in the context.

        False when that makes no room.
        """
        header = [i for i in self.context if i < self.header_length]
        oldest = self.context[len(header)] if len(header) < len(self.context) else len(self.patches)
        bars = [start for start in self.line_starts if start >= oldest]
        keep = len(bars) // 2
        while keep:
            body = [i for i in self.context if i >= bars[-keep]]
            # A quarter of the room must come free, or the next cut would follow at once.
            if 4 * len(body) <= 3 * (capacity - len(header)):
                self.context = header + body
                return True
            keep //= 2
        return False


def _stream(chars: list[int]) -> str:
    return "".join(map(chr, chars))


class BarStreamGenerator:
    """Continues prompts with a net.

    Args:
        net: The model; it is used in eval mode and left as it was.
        sampling: How characters are drawn.
        max_length: Patches of a piece at most, prompt included.
        slots: Pieces at once; further prompts take the place of pieces that end.
        guard: Steers what may be said, or None.
        start_at_first_bar: Force ``[r:0/`` at the first bar of a prompt without bars.
        draft: Characters guessed ahead in a pass at most; None chooses by the device and the number
            of pieces, 0 switches it off.
        half_weights: Read float16 copies of the weights, with float32 arithmetic (CPU).
        on_bar: Called with (piece, bar number, text of the bar's line) whenever a bar is finished;
            returning False cancels the piece.
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
        on_bar: OnBar | None = None,
    ) -> None:
        self.net = net
        self.sampling = sampling
        self.max_length = max_length
        self.guard = guard
        self.start_at_first_bar = start_at_first_bar
        self.on_bar = on_bar
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
        """One step of the patch decoder; slots whose context was cut are filled anew instead."""
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
        patches = [_Patch(stream, self.size, self.start_at_first_bar) for stream in running]
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

    def _finish(self, patch: _Patch) -> None:
        stream = patch.stream
        stream.log_probs.append(patch.log_probs)
        line = stream.append(patch.chars)
        if patch.chars[0] == BOS:
            stream.stop, stream.fraction = "end", 1.0
            return
        if line is not None:
            if place := _PLACE.match(line):
                stream.fraction = (int(place[1]) + 1) / (int(place[1]) + int(place[2]) + 1)
            if (
                self.on_bar is not None
                and self.on_bar(stream.index, stream.bars - 1, line) is False
            ):
                stream.stop = "cancelled"
        if stream.stop is None and len(stream.patches) >= self.max_length:
            stream.stop = "max_length"


class _Patch:
    """The patch that a stream is at: characters accepted so far, and what the current pass computes ahead of them."""

    def __init__(self, stream: Stream, size: int, start_at_first_bar: bool) -> None:
        self.stream = stream
        self.size = size
        self.chars: list[int] = []
        self.log_probs: list[float] = []
        self.cached = 0
        self.forced: list[int] = []
        self.planned: list[int] = []
        self.may_force_start = start_at_first_bar and not stream.in_body and not stream.line
        self.uniforms = torch.rand(size, generator=stream.random, dtype=torch.float64).tolist()

    def plan(self, draft: int) -> tuple[list[int], list[np.ndarray]]:
        """What this pass computes.

        Args:
            draft: Characters beyond the accepted ones at most.

        Returns:
            The characters, accepted ones first, then forced or guessed ones, and for each place
            that the pass predicts (from the first open one to the one behind the last character)
            which characters may stand there.
        """
        planned = self.chars + self.forced[len(self.chars) :]
        if len(planned) < self.size:
            # The character after an end mark is never wanted, so a guessed end mark needs no row of
            # its own.
            guess = self.stream.drafter.guess(
                _stream(planned), draft - len(planned) + len(self.chars)
            )
            planned += [ord(c) for c in guess.rstrip("\x02")]
        planned = planned[: min(len(self.chars) + draft, self.size - 1)]
        masks = []
        for place in range(len(self.chars), len(planned) + 1):
            masks.append(self._allowed(planned[:place]))
            if place < len(planned) and not masks[-1][planned[place]]:
                # A guess that may not be said ends here: guards are asked about legal texts only.
                planned = planned[:place]
                break
        self.planned = planned
        return planned, masks

    def _allowed(self, before: list[int]) -> np.ndarray:
        place = len(before)
        if place < len(self.forced):
            return _only(self.forced[place])
        plain = _LATER if place else _AT_START
        guard = self.stream.guard
        allowed = None if guard is None else guard.mask(_stream(before))
        both: np.ndarray = plain if allowed is None else allowed & plain
        return both

    def take(self, tokens: list[int], scores: Tensor) -> bool:
        """Accepts what was drawn up to the first guess that differs.

        True when the patch is complete.
        """
        for token, row in zip(tokens, scores, strict=True):
            place = len(self.chars)
            self.chars.append(token)
            self.log_probs.append(float(row[token]))
            if self.may_force_start and _stream(self.chars) == _START[:3]:
                self._restart()
                return False
            if place == 0 and token == BOS:
                self.forced = [BOS] + [EOS] * (self.size - 1)
            if len(self.chars) == self.size or (token == EOS and self.chars[0] != BOS):
                return True
            if place == len(self.planned) or self.planned[place] != token:
                break
        # Every row so far stood on accepted characters; the next pass begins with the last one.
        self.cached = len(self.chars)
        return False

    def _restart(self) -> None:
        """The piece starts now: throw this patch away and say ``[r:0/``."""
        self.forced = [ord(c) for c in _START]
        self.chars, self.log_probs, self.cached = [], [], 0
        self.may_force_start = False
        self.uniforms = torch.rand(
            self.size, generator=self.stream.random, dtype=torch.float64
        ).tolist()


def _only(token: int) -> np.ndarray:
    mask = np.zeros(VOCABULARY, dtype=bool)
    mask[token] = True
    return mask


# Padding is never said; the begin mark only opens the end patch; an empty patch (end mark first)
# says nothing and is excluded too.
_AT_START = ~(_only(PAD) | _only(EOS))
_LATER = ~(_only(PAD) | _only(BOS))
