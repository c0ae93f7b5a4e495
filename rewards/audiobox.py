"""Audiobox Aesthetics as a reward: listeners' ratings of sound, predicted; the reward of SMART."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from musiczoo.models.audiobox import AXES
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.rendering import Renderer
from musiczoo.rewards.audio import AudioReward
from musiczoo.rewards.base import Scores


class AudioboxAesthetics(AudioReward):
    """Audiobox Aesthetics (Tjandra et al. 2025, arXiv 2502.05139) as a reward.

    SMART uses it so (Jonason et al. 2025, arXiv 2504.16839).

    The value is the weighted mean of the axes' ratings, each divided by ten; ``details`` holds the
    ratings themselves, nominally 1 to 10. Silence is rated like any other sound.

    Args:
        weights: A file of the model in its published layout; fetched from the Hugging Face Hub, or
            its cache, when None.
        axes: How much each axis counts: ``CE`` content enjoyment, ``CU`` content usefulness, ``PC``
            production complexity, ``PQ`` production quality. Content enjoyment alone, as in the
            paper, when left out.
        renderer: Renders pieces; a new one with the settings of the paper when None.
        device: Where the net computes.

    Raises:
        MusicZooError: An unknown axis, or weights that are negative or all 0.
    """

    name = "audiobox_aesthetics"

    def __init__(
        self,
        weights: str | Path | None = None,
        axes: Mapping[str, float] | None = None,
        renderer: Renderer | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.axes = (
            {"CE": 1.0} if axes is None else {axis: float(weight) for axis, weight in axes.items()}
        )
        if unknown := sorted(set(self.axes) - set(AXES)):
            raise MusicZooError(
                f"There is no axis {unknown[0]}.",
                where="axes",
                remedy=f"The axes are {', '.join(AXES)}.",
            )
        if not all(
            math.isfinite(weight) and weight >= 0 for weight in self.axes.values()
        ) or not sum(self.axes.values()):
            raise MusicZooError(
                "The weights of the axes must not be negative, and not all be 0.", where="axes"
            )
        super().__init__(renderer)
        self._weights = weights
        self._device = device

    @cached_property
    def module(self) -> Any:
        """The model, opened on first use.

        Raises:
            MusicZooError: The weights cannot be read or downloaded.
        """
        from musiczoo.hub.loading import load

        return load("audiobox-aesthetics", weights=self._weights).to(self._device)

    def score_audio(self, samples: Sequence[NDArray[np.float32]], rate: int) -> Scores:
        """Rates clips.

        A clip without samples, or with samples that are no numbers, gets NaN and the reason.

        Args:
            samples: One (2, n) array a clip.
            rate: Samples a second.

        Raises:
            MusicZooError: The weights cannot be read or downloaded.
        """
        # (clips, axes)
        ratings = torch.full((len(samples), len(AXES)), torch.nan, dtype=torch.float64)
        reasons = tuple(_fault(clip) for clip in samples)
        sound = [index for index, reason in enumerate(reasons) if reason is None]
        if sound:
            ratings[sound] = self.module.ratings([samples[index] for index in sound], rate)
        details = dict(zip(AXES, ratings.unbind(dim=1), strict=True))
        total = torch.stack(
            [weight * details[axis] / 10 for axis, weight in self.axes.items()]
        ).sum(dim=0)
        return Scores(total / sum(self.axes.values()), reasons, details)


def _fault(clip: NDArray[np.float32]) -> str | None:
    if not clip.size:
        return "the clip has no samples"
    return None if np.isfinite(clip).all() else "the clip has samples that are no numbers"
