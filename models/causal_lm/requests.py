"""What modules of token models do with what ``generate`` is asked for, and with what it gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from musiczoo.models.base.generative import Generated, OnProgress
from musiczoo.models.causal_lm.generation import Sampled, TokenGuard, TokenLimits, TokenSampler
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError


def checked_ids(prompt: Tensor, vocabulary: int, first: int) -> Tensor:
    """The ids of a prompt, (tokens,) int64 on the CPU, with at least one token.

    Args:
        prompt: Ids, (tokens,).
        vocabulary: Tokens of the net.
        first: What an empty prompt starts from.

    Raises:
        MusicZooError: Another shape, or a number that is no id.
    """
    ids = prompt.detach().to("cpu", torch.int64)
    inside = not len(ids) or 0 <= int(ids.min()) <= int(ids.max()) < vocabulary
    if ids.ndim != 1 or not inside:
        raise MusicZooError(
            "A prompt holds other numbers than ids of the vocabulary.",
            remedy="Give ids of shape (tokens,), or text.",
        )
    return ids if len(ids) else torch.tensor([first])


def continuations(
    module: Any,
    prompts: Sequence[Tensor],
    seeds: Sequence[int],
    *,
    end: int,
    guard: TokenGuard | None,
    sampling: Sampling,
    max_length: int | None,
    batch_size: int | None,
    on_progress: OnProgress | None,
    max_new_tokens: int | None = None,
    min_new_tokens: int = 0,
) -> Iterator[tuple[int, Sampled]]:
    """Continues checked prompts by a module's net, as ``GenerativeModule._sampled`` is asked to.

    Args:
        module: Has ``net``, ``config.positions`` and ``representation.text``.
        prompts: Ids (tokens,), or embeddings (tokens, hidden).
        seeds: Of each.
        end: The token that ends a sequence.
        guard: Masks tokens before they are drawn.
        sampling: How tokens are drawn.
        max_length: Tokens at most, prompt included.
        batch_size: Sequences at once; 64 when None.
        on_progress: Called with the text so far of each sequence after each token.
        max_new_tokens: Tokens after the prompt at most.
        min_new_tokens: Tokens after the prompt before which no sequence ends.
    """
    text = module.representation.text
    sampler = TokenSampler(
        module.net,
        sampling,
        TokenLimits(module.config.positions, max_length, max_new_tokens, min_new_tokens),
        slots=batch_size or 64,
        end=end,
        guard=guard,
        on_tokens=on_progress and (lambda number, ids: on_progress(number, text(ids))),
    )
    return sampler.run(prompts, seeds)


def generated(sequence: Sampled, text: str, piece: Any = None, error: Any = None) -> Generated:
    """The result of a sequence.

    Args:
        sequence: What was sampled.
        text: Of its tokens.
        piece: Of its tokens, where they stand for one.
        error: Why there is no piece.
    """
    return Generated(
        piece=piece,
        text=text,
        tokens=sequence.tokens,
        log_probs=sequence.log_probs,
        scored=torch.arange(len(sequence.tokens)) >= sequence.prompt,
        stop=sequence.stop,
        error=error,
    )
