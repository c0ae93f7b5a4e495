"""A completion of a rollout step: tokens, what was sampled of them, and what it earned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.music.errors import MusicZooError


@dataclass(frozen=True)
class Completion:
    """One completion of a rollout step.

    Attributes:
        number: Unique in its step.
        group: Number of its prompt.
        prompt: For people to read.
        text: Prompt and completion as the representation decodes them.
        tokens: Of prompt and completion, in the representation's layout.
        stop: Why it stopped.
        completion: (targets,) bool, True for what was sampled.
        log_probs: (targets,) of the policy that sampled, 0 elsewhere.
        reward: NaN for none.
        reason: Why it has no reward.
        details: Further numbers of the reward.
        kl: Estimated divergence from the reference a sampled target, in nats; NaN where it was not
            computed.
        advantage: Over its group.
    """

    number: int
    group: int
    prompt: str
    text: str
    tokens: Tensor
    stop: str
    completion: Tensor
    log_probs: Tensor
    reward: float = math.nan
    reason: str | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    kl: float = math.nan
    advantage: float = 0.0


def sampled_completion(
    module: GenerativeModule, number: int, group: int, prompt: str, result: Generated
) -> Completion:
    """A sampled piece before it is scored.

    Args:
        module: What sampled it.
        number: Unique in its step.
        group: Number of its prompt.
        prompt: For people to read.
        result: The piece; one that cannot be read, or is longer than the context, gets a reason.
    """
    reason = None
    if result.piece is None and module.writes != "text":
        reason = f"the piece cannot be read: {result.error}"
    try:
        tokens, scored = module.rollout_item(result)
    except MusicZooError as error:
        # One step of it keeps its place in the batches, without a target.
        tokens, scored = result.tokens[:1], torch.zeros(0, dtype=torch.bool)
        reason = f"the completion cannot be trained on: {error.message}"
        log_probs = torch.zeros(0)
    else:
        log_probs = result.log_probs[1:].flatten().float()
    # Clones, because inference tensors cannot be trained on.
    tokens, scored, log_probs = (
        tensor.detach().cpu().clone() for tensor in (tokens, scored, log_probs)
    )
    return Completion(
        number,
        group,
        prompt,
        result.text,
        tokens,
        result.stop,
        scored,
        log_probs.masked_fill(~scored, 0.0),
        reason=reason,
    )
