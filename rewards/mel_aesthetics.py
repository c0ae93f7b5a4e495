"""A small net's opinion of how a rendered piece sounds: the audio reward of machines without a GPU and without a network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from musiczoo.models.mel_aesthetics import MelAestheticsModule
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.rendering import Renderer
from musiczoo.rewards.audio import AudioReward
from musiczoo.rewards.base import Scores


class MelAesthetics(AudioReward):
    """How much a clip sounds like a real piece and not like a degraded one (:mod:`musiczoo.models.mel_aesthetics`).

    The value is the probability that the ear prefers the clip to a real one drawn at random: real
    pieces have 0.5 on average. The ear's logit, in ``details["logit"]``, falls without end for bad
    clips and hardly rises among good ones, so its mean and spread over the pieces of a model tell
    of the worst ones alone.

    Args:
        weights: A name that :func:`musiczoo.load` takes: the shipped ``"mel-aesthetics"``,
            ``"local-dir:PATH"`` or ``"hf-hub:org/name"``; or a module.
        renderer: What makes sound of pieces; a new one with the settings of SMART when None.
    """

    name = "mel_aesthetics"

    def __init__(
        self,
        weights: str | MelAestheticsModule = "mel-aesthetics",
        renderer: Renderer | None = None,
    ) -> None:
        super().__init__(renderer)
        self._weights = weights

    @cached_property
    def module(self) -> MelAestheticsModule:
        """The net and its representation, loaded when they are first asked for.

        Raises:
            MusicZooError: There are no such weights, or they are of another architecture.
        """
        if isinstance(self._weights, MelAestheticsModule):
            return self._weights
        from musiczoo.hub.loading import load

        module = load(self._weights)
        if not isinstance(module, MelAestheticsModule):
            raise MusicZooError(
                f"{self._weights} does not listen.",
                where="weights",
                remedy="Name mel-aesthetics, or an ear of your own.",
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
