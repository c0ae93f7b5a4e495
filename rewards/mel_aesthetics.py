"""Mel aesthetics as a reward: the audio reward for machines without a GPU or a network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.rendering import Renderer
from musiczoo.rewards.audio import AudioReward, AudioScorer
from musiczoo.rewards.base import Scores


class MelAesthetics(AudioReward):
    """How much a clip sounds like a real piece and not like a degraded one.

    The audio scorer is a small net (:mod:`musiczoo.models.mel_aesthetics`).

    The value is the probability that the audio scorer prefers the clip to a real one drawn at
    random: real pieces have 0.5 on average. Its logit, in ``details["logit"]``, falls without limit
    for bad clips and hardly rises among good ones, so its mean and spread over the pieces of a
    model depend on the worst ones alone.

    Args:
        weights: A name that :func:`musiczoo.load` takes: the shipped ``"mel-aesthetics"``,
            ``"local-dir:PATH"`` or ``"hf-hub:org/name"``; or a module that scores sound.
        renderer: Renders pieces; a new one with the settings of SMART when None.
    """

    name = "mel_aesthetics"

    def __init__(
        self,
        weights: str | AudioScorer = "mel-aesthetics",
        renderer: Renderer | None = None,
    ) -> None:
        super().__init__(renderer)
        self._weights = weights

    @cached_property
    def module(self) -> Any:
        """The audio scorer, a :class:`musiczoo.rewards.audio.AudioScorer`; loaded on first use.

        Raises:
            MusicZooError: There are no such weights, or the model does not score sound.
        """
        if not isinstance(self._weights, str):
            return self._weights
        from musiczoo.hub.loading import load

        module = load(self._weights)
        if not isinstance(module, AudioScorer):
            raise MusicZooError(
                f"{self._weights} does not score sound.",
                where="weights",
                remedy="Name mel-aesthetics, or an audio scorer of your own.",
            )
        return module

    def score_audio(self, samples: Sequence[NDArray[np.float32]], rate: int) -> Scores:
        """The preference for each clip; a clip that is no sound gets NaN and the reason.

        Args:
            samples: One (2, n) array a clip.
            rate: Samples a second.
        """
        module = self.module
        values = torch.full((len(samples),), torch.nan, dtype=torch.float64)
        reasons: list[str | None] = [None] * len(samples)
        for index, clip in enumerate(samples):
            try:
                values[index] = module.scores([clip], rate)[0]
            except MusicZooError as error:
                reasons[index] = str(error)
        return Scores(module.preferences(values), tuple(reasons), {"logit": values})
