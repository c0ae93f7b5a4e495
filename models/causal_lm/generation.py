"""Sampling of token sequences in batches: cached, each sequence with its own random numbers.

Slots are used again as soon as a sequence ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from musiczoo.models.causal_lm.decoding import decoder_for
from musiczoo.models.sampling import Sampling, distribution, draw
from musiczoo.music.errors import MusicZooError

Stop = Literal["end", "max_length", "cancelled"]
OnTokens = Callable[[int, Tensor], bool | None]


# What ``generate`` of a token model takes beyond what all architectures take.
TOKEN_OPTIONS: Mapping[str, str] = {
    "max_new_tokens": "tokens after the prompt at most",
    "min_new_tokens": "tokens after the prompt before which no piece ends",
}


class GuardState(Protocol):
    """Where rows of sequences stand in a grammar."""

    def allowed(self, rows: Tensor) -> Tensor:
        """(rows, vocabulary) bool, True for tokens that may come next."""
        ...

    def read(self, rows: Tensor, tokens: Tensor) -> None:
        """Reads one token more in each of some rows."""
        ...


@runtime_checkable
class TokenGuard(Protocol):
    """Masks tokens before they are drawn."""

    def start(self, sequences: list[Tensor]) -> GuardState:
        """The state after prompts."""
        ...


@dataclass(frozen=True)
class Sampled:
    """A finished sequence.

    Attributes:
        tokens: (n,) int64, prompt included; without it where the prompt was embeddings.
        log_probs: (n,) float32 of the full softmax at the sampling temperature; 0 for the prompt.
        prompt: Tokens of the prompt among ``tokens``.
        stop: Why it ended.
    """

    tokens: Tensor
    log_probs: Tensor
    prompt: int
    stop: Stop


@dataclass(frozen=True)
class TokenLimits:
    """How long sequences may become, in tokens.

    Attributes:
        context: Longest sequence of the net.
        max_length: Longest sequence, prompt included; None for the context.
        max_new_tokens: Tokens after the prompt at most.
        min_new_tokens: Tokens after the prompt before which no sequence ends.
    """

    context: int
    max_length: int | None = None
    max_new_tokens: int | None = None
    min_new_tokens: int = 0

    def of(self, prompts: Sequence[Tensor]) -> list[int]:
        """The longest length of each sequence.

        Raises:
            MusicZooError: A prompt leaves no room.
        """
        most = min(self.max_length or self.context, self.context)
        limits = [min(most, len(prompt) + (self.max_new_tokens or most)) for prompt in prompts]
        for number, (prompt, limit) in enumerate(zip(prompts, limits, strict=True)):
            if len(prompt) >= limit:
                raise MusicZooError(
                    f"A prompt of {len(prompt)} tokens leaves no room in {limit}.",
                    where=f"prompt {number}",
                    remedy="Shorten it.",
                )
        return limits


class TokenSampler:
    """Continues prompts with a net in eval mode.

    Each sequence depends on its prompt, seed and limit alone, not on the batch around it, except
    for rounding.

    Args:
        net: A causal language model of transformers.
        sampling: How tokens are drawn.
        limits: How long sequences may become.
        slots: Sequences at once.
        end: Token that ends a sequence.
        guard: Masks tokens before they are drawn.
        on_tokens: Called with the number of a sequence and its tokens so far, (n,), after each
            token; False cancels the sequence.
    """

    def __init__(
        self,
        net: Any,
        sampling: Sampling,
        limits: TokenLimits,
        *,
        slots: int,
        end: int,
        guard: TokenGuard | None = None,
        on_tokens: OnTokens | None = None,
    ) -> None:
        self.net = net
        self.sampling = sampling
        self.limits = limits
        self.slots = slots
        self.end = end
        self.guard = guard
        self.on_tokens = on_tokens

    def run(self, prompts: Sequence[Tensor], seeds: Sequence[int]) -> Iterator[tuple[int, Sampled]]:
        """Samples.

        Args:
            prompts: Ids, (tokens,) each with at least one; or embeddings (tokens, hidden).
            seeds: Of each sequence.

        Yields:
            The number of a prompt and its sequence, as soon as that has ended.
        """
        slots = min(self.slots, len(prompts))
        rows = _Rows(prompts, self.limits.of(prompts), seeds)
        decoder = decoder_for(self.net, slots, int(rows.ends.max()))
        state = None if self.guard is None else self.guard.start(list(prompts))
        # Long sequences first would fill the batch best, but their lengths are not known.
        waiting = list(range(len(prompts)))[::-1]
        running: list[int] = []
        head = self.net.get_output_embeddings().weight
        logits = torch.empty(0, head.shape[0], device=head.device)
        while waiting or running:
            # 1. Free slots take the prompts that wait.
            fresh = [waiting.pop() for _ in range(min(len(waiting), slots - len(running)))]
            if fresh:
                places = range(len(running), len(running) + len(fresh))
                logits = torch.cat([logits, decoder.fill(places, [prompts[row] for row in fresh])])
                running += fresh
            # 2. Each running sequence draws a token.
            active = torch.tensor(running)
            allowed = None if state is None else state.allowed(active)
            drawn, scores = self._draw(logits, rows, active, allowed)
            rows.append(active, drawn, scores)
            if state is not None:
                state.read(active, drawn)
            # 3. Those that have ended leave; the last one takes the place of each.
            for slot, stop in self._ended(rows, running, drawn):
                row, last = running[slot], len(running) - 1
                yield row, rows.sampled(row, stop)
                if slot != last:
                    decoder.move(last, slot)
                    running[slot], drawn[slot] = running[last], drawn[last]
                running.pop()
                drawn = drawn[:last]
            # 4. The net reads the tokens of the others.
            logits = decoder.step(drawn) if running else logits[:0]

    def _draw(
        self, logits: Tensor, rows: _Rows, active: Tensor, allowed: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """(active,) tokens and their log-probabilities before any cut, on the CPU."""
        early = rows.lengths[active] - rows.begun_at[active] < self.limits.min_new_tokens
        if bool(early.any()):
            allowed = torch.ones(logits.shape, dtype=torch.bool) if allowed is None else allowed
            allowed[early, self.end] = False
        logits = logits.float()
        mask = None if allowed is None else allowed.to(logits.device)
        probabilities = distribution(logits, self.sampling, mask)
        drawn = draw(probabilities, rows.next_uniforms(active).to(logits.device))
        scores = torch.log_softmax(logits / (self.sampling.temperature or 1.0), dim=-1)
        return drawn.cpu(), scores.gather(1, drawn.unsqueeze(1)).squeeze(1).cpu()

    def _ended(self, rows: _Rows, running: Sequence[int], drawn: Tensor) -> list[tuple[int, Stop]]:
        """The slots whose sequences have ended and why, the last slot first."""
        stops: dict[int, Stop] = {}
        if self.on_tokens is not None:
            watch = self.on_tokens
            going = enumerate(running)
            cancelled = [slot for slot, row in going if watch(row, rows.so_far(row)) is False]
            stops = dict.fromkeys(cancelled, "cancelled")
        active = torch.tensor(list(running))
        ended = drawn == self.end
        full = rows.lengths[active] >= rows.ends[active]
        for slot in (ended | full).nonzero().flatten().tolist():
            stops[slot] = "end" if bool(ended[slot]) else "max_length"
        return sorted(stops.items(), reverse=True)


class _Rows:
    """The tokens of all sequences, with their random numbers.

    Args:
        prompts: Ids or embeddings.
        ends: Longest length of each sequence.
        seeds: Of each.
    """

    def __init__(
        self, prompts: Sequence[Tensor], ends: Sequence[int], seeds: Sequence[int]
    ) -> None:
        longest = max(ends)
        self.tokens = torch.zeros(len(prompts), longest, dtype=torch.int64)
        self.log_probs = torch.zeros(len(prompts), longest)
        # Embeddings are no tokens: what is generated begins behind them.
        self.shown = [0 if prompt.is_floating_point() else len(prompt) for prompt in prompts]
        for row, prompt in enumerate(prompts):
            if self.shown[row]:
                self.tokens[row, : len(prompt)] = prompt
        self.begun_at = torch.tensor([len(prompt) for prompt in prompts])
        self.lengths = self.begun_at.clone()
        self.ends = torch.tensor(list(ends))
        self.uniforms = torch.stack([_uniforms(seed, longest) for seed in seeds])

    def next_uniforms(self, rows: Tensor) -> Tensor:
        """(rows,) float64, of the place that comes next."""
        return self.uniforms[rows, self.lengths[rows]]

    def append(self, rows: Tensor, tokens: Tensor, scores: Tensor) -> None:
        """Adds a token to each of some rows."""
        self.tokens[rows, self.lengths[rows]] = tokens
        self.log_probs[rows, self.lengths[rows]] = scores
        self.lengths[rows] += 1

    def so_far(self, row: int) -> Tensor:
        """(n,) tokens of a row, without embeddings."""
        return self.tokens[row, self._first(row) : int(self.lengths[row])]

    def sampled(self, row: int, stop: Stop) -> Sampled:
        """A row as a finished sequence."""
        log_probs = self.log_probs[row, self._first(row) : int(self.lengths[row])]
        return Sampled(self.so_far(row).clone(), log_probs.clone(), self.shown[row], stop)

    def _first(self, row: int) -> int:
        return int(self.begun_at[row]) - self.shown[row]


def _uniforms(seed: int, count: int) -> Tensor:
    return torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
