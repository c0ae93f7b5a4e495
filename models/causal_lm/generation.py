"""Sampling of token sequences in batches: cached, seeded for each sequence, with slots that are taken again when a sequence ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from transformers import Phi3ForCausalLM

from musiczoo.models.causal_lm.decoding import CachedDecoder, GraphedDecoder
from musiczoo.models.phi3_remi.guard import RemiGrammar
from musiczoo.models.sampling import Sampling, distribution, draw
from musiczoo.representations.remi import EOS


@dataclass(frozen=True)
class Sampled:
    """A finished sequence.

    Attributes:
        tokens: (n,) int64, prompt included.
        log_probs: (n,) float32 of the full softmax at the sampling temperature; 0 for the prompt.
        prompt: Tokens of the prompt.
        stop: Why it ended.
    """

    tokens: Tensor
    log_probs: Tensor
    prompt: int
    stop: Literal["end", "max_length"]


OnDone = Callable[[int, Sampled], None]


def sample(
    net: Phi3ForCausalLM,
    prompts: Sequence[Tensor],
    seeds: Sequence[int],
    limits: Sequence[int],
    sampling: Sampling,
    *,
    slots: int,
    least: int = 0,
    grammar: RemiGrammar | None = None,
    on_done: OnDone | None = None,
) -> list[Sampled]:
    """Continues prompts.

    Each sequence depends on its prompt, seed and limit alone, not on the batch around it, but for
    rounding.

    Args:
        net: In eval mode.
        prompts: Ids, (tokens,) each with at least one.
        seeds: Of each sequence.
        limits: Longest length of each, prompt included; larger than its prompt.
        sampling: How tokens are drawn.
        slots: Sequences at once.
        least: Tokens after the prompt before which no sequence ends.
        grammar: Masks tokens before they are drawn.
        on_done: Called with the number of a sequence and the sequence as soon as it has ended.

    Returns:
        The sequences in the order of their prompts.
    """
    device = net.lm_head.weight.device
    kind = GraphedDecoder if device.type == "cuda" else CachedDecoder
    decoder = kind(net, min(slots, len(prompts)), max(limits))
    state = None if grammar is None else grammar.start(list(prompts))
    # Long sequences first would fill the batch best, but their lengths are not known.
    waiting = list(range(len(prompts)))[::-1]
    longest = max(limits)
    tokens = torch.zeros(len(prompts), longest, dtype=torch.int64)
    log_probs = torch.zeros(len(prompts), longest)
    for row, prompt in enumerate(prompts):
        tokens[row, : len(prompt)] = prompt
    begun_at = torch.tensor([len(prompt) for prompt in prompts])
    lengths = begun_at.clone()
    ends = torch.tensor(list(limits))
    uniforms = torch.stack([_uniforms(seed, longest) for seed in seeds])
    results: dict[int, Sampled] = {}
    running: list[int] = []
    logits = torch.empty(0, net.lm_head.weight.shape[0], device=device)
    while waiting or running:
        fresh = [waiting.pop() for _ in range(min(len(waiting), slots - len(running)))]
        if fresh:
            begun = decoder.fill(
                range(len(running), len(running) + len(fresh)), [prompts[row] for row in fresh]
            )
            logits = torch.cat([logits, begun])
            running += fresh
        rows = torch.tensor(running)
        allowed = None if state is None else state.allowed(rows)
        early = lengths[rows] - begun_at[rows] < least
        if bool(early.any()):
            allowed = torch.ones(logits.shape, dtype=torch.bool) if allowed is None else allowed
            allowed[early, EOS] = False
        drawn, scores = _draw(logits, sampling, uniforms[rows, lengths[rows]], allowed)
        tokens[rows, lengths[rows]] = drawn
        log_probs[rows, lengths[rows]] = scores
        lengths[rows] += 1
        if state is not None:
            state.read(rows, drawn)
        over = (drawn == EOS) | (lengths[rows] >= ends[rows])
        for slot in over.nonzero().flatten().flip(0).tolist():
            row, last = running[slot], len(running) - 1
            length = int(lengths[row])
            stop: Literal["end", "max_length"] = (
                "end" if int(tokens[row, length - 1]) == EOS else "max_length"
            )
            results[row] = Sampled(
                tokens[row, :length].clone(),
                log_probs[row, :length].clone(),
                len(prompts[row]),
                stop,
            )
            if on_done is not None:
                on_done(row, results[row])
            if slot != last:
                decoder.move(last, slot)
                running[slot], drawn[slot] = running[last], drawn[last]
            running.pop()
            drawn = drawn[:last]
        logits = decoder.step(drawn) if running else logits[:0]
    return [results[row] for row in range(len(prompts))]


def _uniforms(seed: int, count: int) -> Tensor:
    return torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _draw(
    logits: Tensor, sampling: Sampling, uniforms: Tensor, allowed: Tensor | None
) -> tuple[Tensor, Tensor]:
    """(rows,) tokens and their log-probabilities before any cut, on the CPU."""
    logits = logits.float()
    probabilities = distribution(
        logits, sampling, None if allowed is None else allowed.to(logits.device)
    )
    drawn = draw(probabilities, uniforms.to(logits.device))
    scores = (
        torch.log_softmax(logits / (sampling.temperature or 1.0), dim=-1)
        .gather(1, drawn.unsqueeze(1))
        .squeeze(1)
    )
    return drawn.cpu(), scores.cpu()
