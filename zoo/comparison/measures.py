"""What is measured of completions without a reward: features, piano roll, diversity, lengths."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musiczoo.metrics.diversity import DistinctNgrams, PieceDistance, View
from musiczoo.metrics.midi_features import FEATURE_NAMES, midi_features
from musiczoo.metrics.piano_rolls import MeanPianoRoll
from musiczoo.metrics.sounding import music_of
from musiczoo.models.base.generative import Generated

Floats = NDArray[np.float64]
_VIEWS: tuple[View, ...] = ("piano_roll", "onsets")


@dataclass(frozen=True, eq=False)
class Measures:
    """The measures of ``n`` completions.

    Attributes:
        features: The numbers of :data:`musiczoo.metrics.midi_features.FEATURE_NAMES`, each (n,)
            float64. NaN throughout for completions without notes, as in the analysis of SMART, and
            where a feature is not defined.
        left_out: The number of completions without features, by reason.
        pitches: (128,) notes of each pitch, all completions together.
        velocities: (128,) notes of each velocity, all completions together.
        roll: (128, steps) the share of completions in which a pitch sounds at a step of the first
            sixteen beats.
        diversity: ``piano_roll`` and ``onsets``, the mean distance of two completions in these
            views, and ``distinct_1`` to ``distinct_4``, the different n-grams of tokens as a share
            of all.
        ended: (n,) bool: the model ended the piece itself.
        lengths: (n,) sampled tokens.
    """

    features: Mapping[str, Floats]
    left_out: Mapping[str, int]
    pitches: NDArray[np.int64]
    velocities: NDArray[np.int64]
    roll: Floats
    diversity: Mapping[str, float]
    ended: NDArray[np.bool_]
    lengths: NDArray[np.int64]


def measured(results: Sequence[Generated]) -> Measures:
    """The measures of completions."""
    features: dict[str, Floats] = {
        feature: np.full(len(results), math.nan) for feature in FEATURE_NAMES
    }
    left_out: Counter[str] = Counter()
    pitches, velocities = np.zeros(128, dtype=np.int64), np.zeros(128, dtype=np.int64)
    for index, result in enumerate(results):
        found = music_of(result, midi_features)
        if found is None or not found.notes:
            left_out["no piece" if found is None else "no notes"] += 1
            continue
        for feature, number in found.numbers().items():
            features[feature][index] = number
        pitches += found.pitches
        velocities += found.velocities
    roll, ngrams = MeanPianoRoll(), DistinctNgrams()
    distances = {view: PieceDistance(view) for view in _VIEWS}
    for metric in (roll, ngrams, *distances.values()):
        metric.update(results)
    diversity: dict[str, float] = {
        str(view): float(distance.compute()) for view, distance in distances.items()
    }
    diversity |= {order: float(share) for order, share in ngrams.compute().items()}
    return Measures(
        features=features,
        left_out=dict(left_out),
        pitches=pitches,
        velocities=velocities,
        roll=roll.compute().double().numpy(),
        diversity=diversity,
        ended=np.array([result.stop == "end" for result in results]),
        lengths=np.array([int(result.scored.sum()) for result in results], dtype=np.int64),
    )
