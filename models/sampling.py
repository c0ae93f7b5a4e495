"""Sampling from a categorical distribution with cuts, safe in every precision and reproducible.

The order of the cuts is NotaGen's: top-k, then top-p on what is left, then the temperature on the
surviving probabilities (Wang et al. 2025, inference code). Min-p (Nguyen et al. 2024, arXiv
2407.01082) stands between top-p and the temperature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from musiczoo.music.errors import MusicZooError


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn.

    Attributes:
        top_k: Keep the k most probable tokens; 0 keeps all.
        top_p: Keep the smallest set of most probable tokens whose probability exceeds p (the one
            that crosses p stays); 0 or 1 keeps all.
        min_p: Keep tokens with at least this share of the most probable token's probability; 0
            keeps all.
        temperature: Surviving probabilities are raised to 1/temperature; 0 takes the most probable
            token.

    The defaults are those of NotaGen's inference code (top-k 9, top-p 0.9, temperature 1.2).
    """

    top_k: int = 9
    top_p: float = 0.9
    min_p: float = 0.0
    temperature: float = 1.2

    def __post_init__(self) -> None:
        for name, good in (
            ("top_k", self.top_k >= 0),
            ("top_p", 0.0 <= self.top_p <= 1.0),
            ("min_p", 0.0 <= self.min_p <= 1.0),
            ("temperature", self.temperature >= 0.0),
        ):
            if not good:
                raise MusicZooError(
                    f"Sampling setting {name}={getattr(self, name)} is out of range.",
                    remedy="See musiczoo.models.sampling.Sampling.",
                )

    @property
    def uncut(self) -> bool:
        """True when the full softmax is sampled, as rollouts for policy gradients need."""
        return self.top_k == 0 and self.top_p in (0.0, 1.0) and self.min_p == 0.0


GREEDY = Sampling(top_k=1, top_p=0.0, temperature=0.0)


def distribution(logits: Tensor, sampling: Sampling, allowed: Tensor | None = None) -> Tensor:
    """Probabilities after all cuts.

    Args:
        logits: (..., vocabulary) of any floating type; NaN counts as impossible.
        sampling: The cuts.
        allowed: (..., vocabulary) bool; False tokens are impossible before any cut. Each row allows
            at least one token.

    Returns:
        (..., vocabulary) float64 probabilities that sum to 1.
    """
    # Float64 costs nothing at this size and keeps sums and powers of float32 and bfloat16 models
    # exact enough never to lose a row.
    scores = logits.double()
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    if sampling.uncut and sampling.temperature > 0.0 and bool(scores.amax(dim=-1).isfinite().all()):
        # Rollouts: nothing is ranked where nothing is cut.
        return torch.softmax(scores / sampling.temperature, dim=-1)
    # Ascending and reversed, as the reference does: of equal probabilities the higher id comes
    # first. NaN comes before all.
    ranked, order = (part.flip(-1) for part in torch.sort(scores, dim=-1, stable=True))
    if not bool(ranked[..., 0].isfinite().all()):
        return distribution(_repaired(scores, allowed), sampling)
    if sampling.temperature == 0.0:
        return torch.zeros_like(scores).scatter_(-1, order[..., :1], 1.0)
    if sampling.top_k:
        ranked, order = ranked[..., : sampling.top_k], order[..., : sampling.top_k]
    if 0.0 < sampling.top_p < 1.0:
        probabilities = torch.softmax(ranked, dim=-1)
        before = probabilities.cumsum(dim=-1) - probabilities
        ranked = ranked.masked_fill(before > sampling.top_p, -torch.inf)
    if sampling.min_p:
        ranked = ranked.masked_fill(ranked < ranked[..., :1] + math.log(sampling.min_p), -torch.inf)
    # Raising the surviving probabilities to 1/temperature and renormalising is the softmax of their
    # scores over the temperature.
    return torch.zeros_like(scores).scatter_(
        -1, order, torch.softmax(ranked / sampling.temperature, dim=-1)
    )


def _repaired(scores: Tensor, allowed: Tensor | None) -> Tensor:
    """Scores of a model that diverged: NaN is impossible, infinity very large.

    A row without possible tokens is even over the allowed ones.
    """
    scores = torch.nan_to_num(
        scores, nan=-torch.inf, posinf=torch.finfo(torch.float32).max, neginf=-torch.inf
    )
    walls = (
        torch.zeros_like(scores)
        if allowed is None
        else torch.zeros_like(scores).masked_fill(~allowed, -torch.inf)
    )
    return torch.where(torch.isinf(scores.amax(dim=-1, keepdim=True)), walls, scores)


def draw(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """Inverse-transform sampling: one token a row from one uniform number a row.

    The token depends on its own row and number alone, not on the batch around it.

    Args:
        probabilities: (..., vocabulary), rows sum to 1.
        uniforms: (...,) in [0, 1).

    Returns:
        (...,) int64 tokens; never one of probability 0.
    """
    cumulative = probabilities.cumsum(dim=-1)
    targets = uniforms.to(cumulative).unsqueeze(-1) * cumulative[..., -1:]
    tokens = torch.searchsorted(cumulative, targets, right=True).squeeze(-1)
    # Rounding can put the target on the total itself: step back to the last possible token.
    last = (
        (probabilities > 0)
        .to(torch.int8)
        .mul(torch.arange(1, probabilities.shape[-1] + 1, device=probabilities.device))
        .argmax(dim=-1)
    )
    return torch.minimum(tokens, last)
