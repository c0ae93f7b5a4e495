"""Rewards: one number a piece, the higher the better, or a reason why there is none."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from musiczoo.models.base.generative import Generated
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards.time_limit import TimeLimitError, within


@dataclass(frozen=True)
class Scores:
    """The scores that a reward gives to pieces.

    Attributes:
        values: (n,) float64, NaN where a piece has no score.
        reasons: Why a piece has no score; None where it has one.
        details: Further numbers a piece by name, each (n,); those of a mixture's part begin with
            its name.
        seconds: Time of the scoring, by the name of the reward and of its parts; only
            :func:`checked_scores` measures it.
    """

    values: Tensor
    reasons: tuple[str | None, ...]
    details: Mapping[str, Tensor] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def means(self) -> dict[str, float]:
        """The mean of each detail over the pieces that have it; NaN without such a piece."""
        return {
            name: float(detail.double()[detail.isfinite()].mean())
            for name, detail in self.details.items()
        }


class ScoresError(MusicZooError):
    """A reward gave other scores than asked for.

    Unlike a piece that cannot be scored, this ends a run.
    """


class Reward(ABC):
    """A score for each piece.

    ``reward(pieces)`` gives the numbers; :meth:`score` also the reasons where there are none.
    """

    name: str

    def prepare(self, references: Mapping[Any, Sequence[Work]]) -> None:  # noqa: B027  # optional
        """Called once, before the first piece is scored.

        Args:
            references: The real works of each prompt, where the training data knows them.
        """

    @abstractmethod
    def score(self, pieces: Sequence[Generated]) -> Scores:
        """Scores pieces; one that cannot be scored gets NaN and a reason."""

    def __call__(self, pieces: Sequence[Generated]) -> Tensor:
        """The scores alone, (n,) float64."""
        return self.score(pieces).values


class FunctionReward(Reward):
    """A user's function as a reward: it gives one number for each piece.

    Where it raises, it is called with one piece at a time, so that one piece costs no other its
    score.

    Args:
        function: Takes a list of :class:`musiczoo.models.base.generative.Generated` and gives a
            tensor or a list of numbers.
        name: For logs; the function's own when None.

    Example:
        >>> nothing = torch.zeros(0)
        >>> piece = Generated(None, "CDEF", nothing, nothing, nothing.bool(), "end")
        >>> def length(pieces):
        ...     return [len(piece.text) for piece in pieces]
        >>> FunctionReward(length)([piece])
        tensor([4.], dtype=torch.float64)
    """

    def __init__(
        self, function: Callable[[Sequence[Generated]], Any], name: str | None = None
    ) -> None:
        self.function = function
        self.name = name or str(getattr(function, "__name__", type(function).__name__))

    def score(self, pieces: Sequence[Generated]) -> Scores:
        """Calls the function.

        Raises:
            ScoresError: The function gives another number of scores than there are pieces.
        """
        return checked_scores(self, pieces, self._scores)

    def _scores(self, pieces: Sequence[Generated]) -> Scores:
        values = [float(value) for value in self.function(pieces)]
        return Scores(torch.tensor(values, dtype=torch.float64), (None,) * len(values))


def checked_scores(
    reward: Reward,
    pieces: Sequence[Generated],
    score: Callable[[Sequence[Generated]], Scores] | None = None,
    timeout: float | None = None,
) -> Scores:
    """The scores of a reward that may raise, hang, or give numbers that are not finite.

    Each piece has a finite score, or NaN and a reason.

    Args:
        reward: Any reward; its name is part of the reasons.
        pieces: They are scored together, or one at a time where the reward raises.
        score: Scores the pieces; the reward's own method when None.
        timeout: Seconds after which no piece has a score (:mod:`musiczoo.rewards.time_limit`); None
            waits without limit.

    Returns:
        The scores, with the seconds that they took under the reward's name.

    Raises:
        ScoresError: Another number of scores, or of details, than there are pieces.
        MusicZooError: A time limit that is not above 0.
    """
    begin = time.perf_counter()
    scoring = score or reward.score
    try:
        scores = within(reward, lambda: _checked(reward, pieces, scoring), timeout)
    except TimeLimitError as error:
        scores = Scores(
            torch.full((len(pieces),), torch.nan, dtype=torch.float64),
            (error.message,) * len(pieces),
        )
    return replace(scores, seconds={**scores.seconds, reward.name: time.perf_counter() - begin})


def _checked(
    reward: Reward, pieces: Sequence[Generated], score: Callable[[Sequence[Generated]], Scores]
) -> Scores:
    try:
        scores = score(pieces)
    except ScoresError:
        raise
    except Exception as error:
        # A user's reward may raise anything; it is the reason of the pieces that it raises for.
        if len(pieces) == 1:
            return Scores(
                torch.full((1,), torch.nan, dtype=torch.float64),
                (f"{reward.name} raised {type(error).__name__}: {error}",),
            )
        return _joined([_checked(reward, [piece], score) for piece in pieces])
    counts = {
        tuple(scores.values.shape),
        (len(scores.reasons),),
        *(tuple(detail.shape) for detail in scores.details.values()),
    }
    if counts != {(len(pieces),)}:
        raise ScoresError(
            f"The reward {reward.name} gave"
            f" {' and '.join(map(str, sorted(max(shape, default=1) for shape in counts)))} scores"
            f" for {len(pieces)} pieces.",
            remedy="It must give one number a piece.",
        )
    values = scores.values.detach().to("cpu", torch.float64)
    reasons = tuple(
        reason or (None if math.isfinite(value) else f"{reward.name} gave {value}")
        for value, reason in zip(values.tolist(), scores.reasons, strict=True)
    )
    return replace(
        scores, values=values.masked_fill(~values.isfinite(), torch.nan), reasons=reasons
    )


def _joined(parts: Sequence[Scores]) -> Scores:
    """The scores of pieces scored one at a time.

    Details that only some have are NaN for the others.
    """
    names = dict.fromkeys(name for part in parts for name in part.details)
    unknown = torch.full((1,), torch.nan, dtype=torch.float64)
    details = {
        name: torch.cat(
            [part.details.get(name, unknown).to("cpu", torch.float64) for part in parts]
        )
        for name in names
    }
    timed = dict.fromkeys(name for part in parts for name in part.seconds)
    seconds = {name: sum(part.seconds.get(name, 0.0) for part in parts) for name in timed}
    return Scores(
        torch.cat([part.values for part in parts]),
        tuple(part.reasons[0] for part in parts),
        details,
        seconds,
    )


def as_reward(reward: Reward | Callable[[Sequence[Generated]], Any]) -> Reward:
    """A reward as it is, or a user's function as a :class:`FunctionReward`."""
    return reward if isinstance(reward, Reward) else FunctionReward(reward)
