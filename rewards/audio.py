"""Rewards that score the sound of pieces, and what is needed to score sound."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musiczoo.models.base.generative import Generated
from musiczoo.music.sound.rendering import Renderer
from musiczoo.rewards.base import Reward, Scores, ScoresError


@runtime_checkable
class AudioScorer(Protocol):
    """A model that scores sound by its likeness to real music, such as mel-aesthetics."""

    def scores(self, clips: Sequence[NDArray[np.float32]], rate: int) -> Tensor:
        """(clips,) logits of clips of (2, n) samples, ``rate`` of them a second."""
        ...

    def preferences(self, logits: Tensor) -> Tensor:
        """(clips,) probabilities that a clip is preferred to a real one drawn at random."""
        ...


class AudioReward(Reward):
    """A reward that scores a piece by its sound (SMART, arXiv 2504.16839, section 3).

    Rewards that share one renderer have every piece rendered once.

    Args:
        renderer: Renders pieces; a new one with the settings of the paper when None.

    Example:
        >>> class Loudness(AudioReward):
        ...     name = "loudness"
        ...     def score_audio(self, samples, rate):
        ...         values = torch.tensor([float(abs(clip).mean()) for clip in samples])
        ...         return Scores(values, (None,) * len(samples))
        >>> reward = Loudness(Renderer(workers=0))
        >>> reward.score_audio([np.ones((2, 4), np.float32)], 44_100).values
        tensor([1.])
        >>> [part.name for part in listeners(reward)]
        ['loudness']
    """

    def __init__(self, renderer: Renderer | None = None) -> None:
        self.renderer = renderer if renderer is not None else Renderer()

    @abstractmethod
    def score_audio(self, samples: Sequence[NDArray[np.float32]], rate: int) -> Scores:
        """Scores clips.

        Args:
            samples: One (2, n) array a clip, at most 1 in magnitude; silence is one second of
                zeros.
            rate: Samples a second.
        """

    def score(self, pieces: Sequence[Generated]) -> Scores:
        """Renders the pieces and scores the clips; a piece without a clip gets NaN and the reason.

        Raises:
            ScoresError: :meth:`score_audio` gives another number of scores than there are clips.
        """
        clips = self.renderer.clips([piece.piece for piece in pieces])
        rendered = [
            (index, clip.samples) for index, clip in enumerate(clips) if clip.samples is not None
        ]
        reasons = [
            str(piece.error) if piece.piece is None and piece.error is not None else clip.reason
            for piece, clip in zip(pieces, clips, strict=True)
        ]
        values = torch.full((len(pieces),), torch.nan, dtype=torch.float64)
        if not rendered:
            return Scores(values, tuple(reasons))
        scores = self.score_audio(
            [samples for _, samples in rendered], self.renderer.rendering.sample_rate
        )
        if len(scores.values) != len(rendered) or len(scores.reasons) != len(rendered):
            raise ScoresError(
                f"The reward {self.name} gave {len(scores.values)} scores for {len(rendered)}"
                " clips."
            )
        places = torch.tensor([index for index, _ in rendered])
        for (index, _), reason in zip(rendered, scores.reasons, strict=True):
            reasons[index] = reason
        details = {
            name: torch.full_like(values, torch.nan).index_copy(
                0, places, detail.to("cpu", torch.float64)
            )
            for name, detail in scores.details.items()
        }
        return Scores(
            values.index_copy(0, places, scores.values.to("cpu", torch.float64)),
            tuple(reasons),
            details,
        )


def rendering_parts(reward: Any) -> Iterator[Any]:
    """The rewards that have a renderer: the reward itself and the parts of mixtures, in order."""
    if getattr(reward, "renderer", None) is not None:
        yield reward
    for part in getattr(reward, "rewards", ()):
        yield from rendering_parts(part)


def renderers(reward: Any) -> list[Any]:
    """The renderers of a reward and of the parts of a mixture, each once."""
    found: list[Any] = []
    for part in rendering_parts(reward):
        if not any(part.renderer is renderer for renderer in found):
            found.append(part.renderer)
    return found


def listeners(reward: Any) -> list[AudioReward]:
    """The rewards that score sound: the reward itself, or those of the parts of a mixture."""
    if isinstance(reward, AudioReward):
        return [reward]
    return [part for one in getattr(reward, "rewards", ()) for part in listeners(one)]
