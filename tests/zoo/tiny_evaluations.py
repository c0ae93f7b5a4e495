"""Small models that write REMI tokens, and rewards, for the tests of evaluations."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from musiczoo.callbacks.prompts.remi import ProceduralPrompts
from musiczoo.models.phi3_remi import Phi3RemiModule
from musiczoo.models.sampling import Sampling
from musiczoo.rewards.audio import AudioReward
from musiczoo.rewards.base import Scores

FULL = Sampling(top_k=0, top_p=1.0, min_p=0.0, temperature=1.0)


def remi_model(seed: int = 0, spread: float = 0.3) -> Phi3RemiModule:
    """Untrained; ``spread`` is that of its logits, about."""
    model = Phi3RemiModule(
        layers=1, hidden=32, heads=2, intermediate=48, positions=64, dropout=0.1, seed=seed
    )
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        model.net.lm_head.weight.normal_(std=spread)
    return model.eval()


def prompts(count: int, variant: Any = "note") -> list[torch.Tensor]:
    return ProceduralPrompts(variant).draw(count, random.Random(0))


class Loudness(AudioReward):
    """The root of the mean square of a clip, and what part of its samples is above a half."""

    name = "loudness"

    def score_audio(self, samples: Sequence[NDArray[np.float32]], rate: int) -> Scores:
        loud = torch.tensor(
            [float(np.sqrt(np.square(clip).mean())) for clip in samples], dtype=torch.float64
        )
        high = torch.tensor(
            [float((np.abs(clip) > 0.5).mean()) for clip in samples], dtype=torch.float64
        )
        return Scores(loud, (None,) * len(samples), {"high": high})
