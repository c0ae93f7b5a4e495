"""What a reward is: one number a piece, the higher the better, or a reason why there is none."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from musiczoo.models.base import Generated
from musiczoo.music.corpus import Work
from musiczoo.music.errors import MusicZooError
from musiczoo.music.labels import Labels


@dataclass(frozen=True)
class Scores:
    """What a reward says of pieces.

    Attributes:
        values: (n,) float64, NaN where a piece has no score.
        reasons: Why a piece has no score; None where it has one.
        details: Further numbers a piece by name, each (n,).
    """

    values: Tensor
    reasons: tuple[str | None, ...]
    details: Mapping[str, Tensor] = field(default_factory=dict)


class Reward(ABC):
    """A score for each piece; ``reward(pieces)`` gives the numbers, :meth:`score` also the reasons where there are none."""

    name: str

    def prepare(self, references: Mapping[Labels, Sequence[Work]]) -> None:  # noqa: B027  # most rewards compare with nothing
        """Told once, before the first piece: the real works of each prompt, where the training data knows them."""

    @abstractmethod
    def score(self, pieces: Sequence[Generated]) -> Scores:
        """Scores pieces; one that cannot be scored gets NaN and a reason."""

    def __call__(self, pieces: Sequence[Generated]) -> Tensor:
        """The scores alone, (n,) float64."""
        return self.score(pieces).values


class FunctionReward(Reward):
    """A function of the user's as a reward: pieces to as many numbers.

    Where it raises, it is asked for one piece at a time, so that one piece costs no other its score.

    Args:
        function: Takes a list of :class:`musiczoo.models.base.Generated` and gives a tensor or a list of numbers.
        name: For logs; the function's own when None.
    """

    def __init__(self, function: Callable[[Sequence[Generated]], Any], name: str | None = None) -> None:
        self.function = function
        self.name = name or str(getattr(function, "__name__", type(function).__name__))

    def score(self, pieces: Sequence[Generated]) -> Scores:
        """Calls the function.

        Raises:
            MusicZooError: The function gives another number of scores than there are pieces.
        """
        try:
            values = self._numbers(pieces)
            reasons = [None if math.isfinite(value) else f"{self.name} gave {value}" for value in values]
        except MusicZooError:
            raise
        except Exception as error:
            # Whatever a user's function raises; told as the reason of the pieces that it raises for.
            if len(pieces) == 1:
                return Scores(torch.tensor([math.nan], dtype=torch.float64), (f"{self.name} raised {error!r}",))
            parts = [self.score([piece]) for piece in pieces]
            return Scores(torch.cat([part.values for part in parts]), tuple(part.reasons[0] for part in parts))
        found = torch.tensor([value if math.isfinite(value) else math.nan for value in values], dtype=torch.float64)
        return Scores(found, tuple(reasons))

    def _numbers(self, pieces: Sequence[Generated]) -> list[float]:
        values = [float(value) for value in self.function(pieces)]
        if len(values) != len(pieces):
            raise MusicZooError(
                f"The reward {self.name} gave {len(values)} scores for {len(pieces)} pieces.", remedy="It must give one number a piece."
            )
        return values


def as_reward(reward: Reward | Callable[[Sequence[Generated]], Any]) -> Reward:
    """A reward as it is, or a user's function as a :class:`FunctionReward`."""
    return reward if isinstance(reward, Reward) else FunctionReward(reward)
