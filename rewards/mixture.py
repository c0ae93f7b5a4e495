"""A mixture: several rewards as one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from musiczoo.models.base.generative import Generated
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards.audio import renderers, rendering_parts
from musiczoo.rewards.base import Reward, Scores, as_reward, checked_scores

AnyReward = Reward | Callable[[Sequence[Generated]], Any]
Missing = Literal["nan", "skip"]
PartScale = Literal["none", "batch"]


class Mixture(Reward):
    """The weighted mean of rewards, ``sum(w * r) / sum(|w|)``.

    For weights above 0 it is that of SMART (arXiv 2504.16839, its published code).

    ``details`` holds each part's value under its name and the part's own details as
    ``name/detail``; :func:`checked_scores` gives the seconds of each part beside those of the
    whole. A part with the weight 0 is measured but does not count. A part that raises or hangs
    costs the pieces their score, as any reward does, but never the run.

    Parts whose renderers have the same settings share the first one's from here on, so that each
    piece is rendered once; its rendering begins before the other parts are called.

    Args:
        rewards: Rewards or functions with their weights, as a mapping or as pairs. A negative
            weight is a penalty.
        missing: The score of a piece that a part has no score for. ``"nan"``: NaN, and the reason
            names the part; so all scores are of the same mixture. ``"skip"``: the mean over the
            parts that have one; a piece can then gain when a part does not score it.
        scale: ``"none"`` mixes the parts as they are; so weights must suit their scales.
            ``"batch"`` first scales each part to mean 0 and standard deviation 1 over the pieces
            that are scored together (a part with one value for all adds nothing): scores of
            different calls can then not be compared.
        timeout: Seconds for each part; None waits without limit.
        name: For logs.

    Raises:
        MusicZooError: No part, two parts of one name, weights whose magnitudes sum to 0 or are not
            finite, or an unknown ``missing`` or ``scale``.

    Example:
        >>> none = torch.zeros(0)
        >>> pieces = [Generated(None, text, none, none, none, "end") for text in ("a", "bc")]
        >>> def length(some):
        ...     return [len(piece.text) for piece in some]
        >>> def one(some):
        ...     return [1.0] * len(some)
        >>> Mixture({length: 3.0, one: 1.0})(pieces)
        tensor([1.0000, 1.7500], dtype=torch.float64)
    """

    def __init__(
        self,
        rewards: Mapping[Any, float] | Sequence[tuple[AnyReward, float]],
        *,
        missing: Missing = "nan",
        scale: PartScale = "none",
        timeout: float | None = None,
        name: str = "mixture",
    ) -> None:
        pairs = list(rewards.items()) if isinstance(rewards, Mapping) else list(rewards)
        self.rewards: tuple[Reward, ...] = tuple(as_reward(reward) for reward, _ in pairs)
        self.weights: tuple[float, ...] = tuple(float(weight) for _, weight in pairs)
        self.missing: Missing = missing
        self.scale: PartScale = scale
        self.timeout = timeout
        self.name = name
        if missing not in get_args(Missing) or scale not in get_args(PartScale):
            raise MusicZooError(
                f"There is no mixture with missing={missing!r} and scale={scale!r}.",
                remedy="missing: nan or skip; scale: none or batch.",
            )
        if not 0 < sum(abs(weight) for weight in self.weights) < math.inf:
            raise MusicZooError(
                f"No mean can be taken with the weights {list(self.weights)}.",
                where="rewards",
                remedy="Give finite numbers, one at least not 0.",
            )
        called, times = Counter(reward.name for reward in self.rewards).most_common(1)[0]
        if times > 1:
            raise MusicZooError(
                f"{times} parts are called {called}.",
                where="rewards",
                remedy="Give them names, such as FunctionReward(function, 'name').",
            )
        self._share_renderers()

    def prepare(self, references: Mapping[Any, Sequence[Work]]) -> None:
        """Gives the real works of each prompt to all parts."""
        for reward in self.rewards:
            reward.prepare(references)

    def score(self, pieces: Sequence[Generated]) -> Scores:
        """Scores pieces by all parts, one after the other.

        Raises:
            ScoresError: A part gives another number of scores than there are pieces.
        """
        for renderer in self.renderers():
            for piece in pieces:
                if piece.piece is not None:
                    renderer.begin(piece.piece)
        parts = {
            reward.name: checked_scores(reward, pieces, timeout=self.timeout)
            for reward in self.rewards
        }
        # (parts, pieces)
        raw = torch.stack([part.values for part in parts.values()])
        has = ~raw.isnan()
        weights = torch.tensor(self.weights, dtype=torch.float64).unsqueeze(1)
        values = (_scaled(raw) if self.scale == "batch" else raw).nan_to_num(nan=0.0)
        counted = has if self.missing == "skip" else torch.ones_like(has)
        mixed = (weights * values).sum(dim=0) / (weights.abs() * counted).sum(dim=0)
        counts = weights != 0
        fails = (counts & ~has).any(dim=0) if self.missing == "nan" else ~(counts & has).any(dim=0)
        reasons: list[str | None] = [None] * len(pieces)
        for index in fails.nonzero().flatten().tolist():
            reasons[index] = "; ".join(
                _reason(name, part.reasons[index])
                for (name, part), weight in zip(parts.items(), self.weights, strict=True)
                if weight and part.values[index].isnan()
            )
        details: dict[str, Tensor] = {}
        seconds: dict[str, float] = {}
        for name, part in parts.items():
            details[name] = part.values
            details |= {f"{name}/{detail}": numbers for detail, numbers in part.details.items()}
            # A part's own under its name, those of its parts under both names.
            seconds |= {
                own if own == name else f"{name}/{own}": spent
                for own, spent in part.seconds.items()
            }
        return Scores(mixed.masked_fill(fails, torch.nan), tuple(reasons), details, seconds)

    def renderers(self) -> list[Any]:
        """The renderers of the parts, those of mixtures within this one too, each once."""
        return renderers(self)

    def _share_renderers(self) -> None:
        by_settings: list[Any] = []
        for part in rendering_parts(self):
            renderer = part.renderer
            alike = [one for one in by_settings if one is renderer or _are_set_alike(one, renderer)]
            if alike:
                part.renderer = alike[0]
            else:
                by_settings.append(renderer)


def _are_set_alike(one: Any, other: Any) -> bool:
    settings = getattr(one, "rendering", None)
    return settings is not None and settings == getattr(other, "rendering", None)


def _scaled(values: Tensor) -> Tensor:
    """Each row with mean 0 and standard deviation 1 over what is not NaN.

    0 where all of a row is the same.
    """
    has = ~values.isnan()
    count = has.sum(dim=1, keepdim=True).clamp(min=1)
    centred = values - values.nansum(dim=1, keepdim=True) / count
    deviation = (centred.square().nansum(dim=1, keepdim=True) / count).sqrt()
    # The differences that rounding makes between equal values must not be scaled up.
    differs = deviation > 1e-12 * values.abs().nan_to_num(nan=0.0).amax(dim=1, keepdim=True)
    return torch.where(differs, centred / deviation, torch.where(has, 0.0, torch.nan))


def _reason(name: str, reason: str | None) -> str:
    """Why a part has no score, with the name of the part."""
    text = str(reason)
    return text if text.startswith(f"{name} ") else f"{name} gave no score, for {text}"
