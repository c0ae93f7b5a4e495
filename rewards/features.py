"""Symbolic features as a reward: more of a feature, or a value in a range."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence

import torch

from musiczoo.metrics.midi_features import FEATURE_NAMES, POLYPHONY_THRESHOLD, Rule, midi_features
from musiczoo.models.base.generative import Generated
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards.base import Reward, Scores


class SymbolicFeatures(Reward):
    r"""A weighted mean of the features that SMART measures (arXiv 2504.16839, section 4.2).

    It costs little and needs no sound.

    A feature with a number as its weight counts as it is, times the weight: the scales differ
    (``notes`` are tens, rates are 0 to 1), and a negative weight asks for less. A feature with a
    range counts 1 inside it and ``exp(-distance / width)`` outside, so that a piece that is nearer
    is better, however far off it is; a range of one value is as wide as that value, or 1. The sum
    is divided by the sum of the weights' magnitudes. ``details`` holds all features, used or not.

    Args:
        features: Of :data:`musiczoo.metrics.midi_features.FEATURE_NAMES`, each with a weight or a
            range (lowest, highest).
        weights: Of the features with a range; 1 where none is given.
        name: For logs.
        threshold: More pitches than this are polyphony.
        rule: How beats and lengths are counted; see
            :func:`musiczoo.metrics.midi_features.midi_features`.

    Raises:
        MusicZooError: No feature or an unknown one, a weight that is no number, all weights zero,
            or a range that ends before it begins.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> reward = SymbolicFeatures({"pitch_range": (5, 12), "empty_beat_rate": -1.0})
        >>> none = torch.zeros(0)
        >>> reward([Generated(read_abc("L:1/4\nK:C\nCDEF|\n"), "", none, none, none, "end")])
        tensor([0.5000], dtype=torch.float64)
    """

    def __init__(
        self,
        features: Mapping[str, float | tuple[float, float]],
        weights: Mapping[str, float] | None = None,
        *,
        name: str = "symbolic_features",
        threshold: int = POLYPHONY_THRESHOLD,
        rule: Rule = "sounding",
    ) -> None:
        self.name = name
        self.threshold = threshold
        self.rule: Rule = rule
        self.ranges: dict[str, tuple[float, float]] = {}
        self.weights: dict[str, float] = {}
        for feature in (*features, *(weights or {})):
            if feature not in FEATURE_NAMES:
                near = difflib.get_close_matches(feature, FEATURE_NAMES, n=1) or list(FEATURE_NAMES)
                raise MusicZooError(
                    f"There is no feature {feature!r}.",
                    where="features",
                    remedy=f"Give {', '.join(near)}.",
                )
        for feature, wanted in features.items():
            if isinstance(wanted, int | float):
                self.weights[feature] = float(wanted)
                continue
            low, high = (float(bound) for bound in wanted)
            if not low <= high or not math.isfinite(high - low):
                raise MusicZooError(
                    f"{low:g} to {high:g} is no range.",
                    where=feature,
                    remedy="Give two numbers, the lower bound first.",
                )
            self.ranges[feature] = (low, high)
            self.weights[feature] = 1.0
        for feature, weight in (weights or {}).items():
            if feature not in self.ranges:
                raise MusicZooError(
                    f"{feature} has no range to be weighted.",
                    where="weights",
                    remedy="Give its weight in features.",
                )
            self.weights[feature] = float(weight)
        self._total = sum(abs(weight) for weight in self.weights.values())
        if not 0 < self._total < math.inf:
            raise MusicZooError(
                f"No mean can be taken with the weights {self.weights}.",
                where="features",
                remedy="Give finite numbers, one at least not 0.",
            )

    def score(self, pieces: Sequence[Generated]) -> Scores:
        """Scores pieces.

        A piece that cannot be read, or lacks a feature that counts, gets NaN and a reason.
        """
        values = torch.full((len(pieces),), torch.nan, dtype=torch.float64)
        details = {feature: values.clone() for feature in FEATURE_NAMES}
        reasons: list[str | None] = [None] * len(pieces)
        for index, piece in enumerate(pieces):
            if piece.piece is None:
                reasons[index] = f"the piece cannot be read: {piece.error}"
                continue
            try:
                found = midi_features(
                    piece.piece, threshold=self.threshold, rule=self.rule
                ).numbers()
            except MusicZooError as error:
                reasons[index] = f"the piece cannot be read: {error}"
                continue
            for feature, number in found.items():
                details[feature][index] = number
            if lacking := [feature for feature in self.weights if math.isnan(found[feature])]:
                reasons[index] = f"the piece has no {lacking[0]}"
                continue
            values[index] = (
                sum(
                    weight * self._value(feature, found[feature])
                    for feature, weight in self.weights.items()
                )
                / self._total
            )
        return Scores(values, tuple(reasons), details)

    def _value(self, feature: str, number: float) -> float:
        if feature not in self.ranges:
            return number
        low, high = self.ranges[feature]
        distance = max(low - number, number - high, 0.0)
        return math.exp(-distance / (high - low or abs(low) or 1.0))
