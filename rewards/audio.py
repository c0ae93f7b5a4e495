"""What rewards that listen have in common: pieces are rendered, and the sound is scored."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from musiczoo.models.base.generative import Generated
from musiczoo.music.sound.rendering import Renderer
from musiczoo.rewards.base import Reward, Scores, ScoresError


class AudioReward(Reward):
    """A reward that hears a piece as its listeners would (SMART, arXiv 2504.16839, section 3).

    Rewards that share one renderer have every piece rendered once.

    Args:
        renderer: What makes sound of pieces; a new one with the settings of the paper when None.
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
        heard = [
            (index, clip.samples) for index, clip in enumerate(clips) if clip.samples is not None
        ]
        reasons = [
            str(piece.error) if piece.piece is None and piece.error is not None else clip.reason
            for piece, clip in zip(pieces, clips, strict=True)
        ]
        values = torch.full((len(pieces),), torch.nan, dtype=torch.float64)
        if not heard:
            return Scores(values, tuple(reasons))
        scores = self.score_audio(
            [samples for _, samples in heard], self.renderer.rendering.sample_rate
        )
        if len(scores.values) != len(heard) or len(scores.reasons) != len(heard):
            raise ScoresError(
                f"The reward {self.name} gave {len(scores.values)} scores for {len(heard)} clips."
            )
        places = torch.tensor([index for index, _ in heard])
        for (index, _), reason in zip(heard, scores.reasons, strict=True):
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
