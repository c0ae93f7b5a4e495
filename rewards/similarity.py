"""How near a piece comes to the real works of its prompt, in the features of an encoder of symbolic music.

With CLaMP 2 as the encoder this is the CLaMP 2 Score of NotaGen (Wang et al. 2025, arXiv 2502.18008, Eq. 1), which chooses what CLaMP-DPO
learns from.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from musiczoo.metrics.clamp_score import clamp_scores
from musiczoo.metrics.features import Encoder, tune_features
from musiczoo.models.base import Generated
from musiczoo.music.abc import Tune
from musiczoo.music.corpus import Work
from musiczoo.music.errors import MusicZooError
from musiczoo.music.labels import Labels
from musiczoo.music.near_duplicates import clusters
from musiczoo.rewards.base import Reward, Scores

# The source of works that come from no corpus (musiczoo.music.corpus_reading.work_of).
_IN_MEMORY = "tune"
_log = logging.getLogger(__name__)


class CorpusSimilarity(Reward):
    """Cosine of a piece's feature with the mean (un-normalised) feature of the real works of its prompt.

    ``details["nearest"]`` is the largest cosine with a single real work of the prompt, by which plagiarism is told.

    Args:
        encoder: A module with ``features``, or a name that :func:`musiczoo.load` takes.
        references: The real works of each prompt; left to the training data when None (:meth:`prepare`).
    """

    name = "corpus_similarity"

    def __init__(self, encoder: str | Encoder = "m3-small", references: Mapping[Labels, Sequence[Work]] | None = None) -> None:
        self._encoder = encoder
        self._features: dict[Labels, Tensor] = {}
        self._clusters: dict[Labels, list[str]] = {}
        self._given = references is not None
        if references is not None:
            self._take(references)

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder, loaded when it is first asked for."""
        if not isinstance(self._encoder, str):
            return self._encoder
        from musiczoo.hub.loading import load

        module: Any = load(self._encoder)
        if not hasattr(module, "features"):
            raise MusicZooError(f"{self._encoder} gives no features of music.", where="encoder", remedy="Name m3-small or clamp2.")
        encoder: Encoder = module
        return encoder

    def prepare(self, references: Mapping[Labels, Sequence[Work]]) -> None:
        """Takes the real works of each prompt, unless the constructor was given some."""
        if not self._given:
            self._take(references)

    def _take(self, references: Mapping[Labels, Sequence[Work]]) -> None:
        self._features, self._clusters = {}, {}
        for labels, works in references.items():
            features, reasons = tune_features(self.encoder, [work.tune for work in works])
            for work, reason in zip(works, reasons, strict=True):
                if reason is not None:
                    _log.warning("%s is left out of the real works: %s", work.id, reason)
            kept = [index for index, reason in enumerate(reasons) if reason is None]
            if kept:
                self._features[labels] = features[kept]
                self._clusters[labels] = _clusters([works[index] for index in kept])

    def reference_features(self, labels: Labels) -> Tensor:
        """(works, dim) of the real works of a prompt.

        Raises:
            MusicZooError: There are none.
        """
        if labels not in self._features:
            raise MusicZooError(f"There are no real works with the labels {labels}.", remedy="Train with data that has some.")
        return self._features[labels]

    def score(self, pieces: Sequence[Generated]) -> Scores:
        """Scores pieces by their labels; pieces that cannot be read, and pieces without labels or real works, have no score."""
        values = torch.full((len(pieces),), torch.nan, dtype=torch.float64)
        nearest = values.clone()
        reasons: list[str | None] = [None] * len(pieces)
        tunes: dict[int, Tune] = {}
        for index, piece in enumerate(pieces):
            if piece.labels not in self._features:
                reasons[index] = f"there are no real works with the labels {piece.labels}"
            elif piece.piece is None:
                reasons[index] = f"the piece cannot be read: {piece.error}"
            else:
                tunes[index] = piece.piece
        features, failures = tune_features(self.encoder, list(tunes.values()))
        rows = {index: row for index, row, reason in zip(tunes, features, failures, strict=True) if reason is None}
        for index, reason in zip(tunes, failures, strict=True):
            reasons[index] = reason
        for labels, references in self._features.items():
            mine = [index for index in rows if pieces[index].labels == labels]
            if mine:
                some = torch.stack([rows[index] for index in mine])
                values[mine] = clamp_scores(some, references)
                nearest[mine] = _cosines(some, references).amax(dim=1)
        return Scores(values, tuple(reasons), {"nearest": nearest})

    def copy_threshold(self, quantile: float = 0.99) -> float:
        """The largest cosine with another work that real works of different clusters keep to, but for one in a hundred.

        The threshold of NotaGen's plagiarism rule (0.95) belongs to CLaMP 2; another encoder has another scale.

        Args:
            quantile: Part of the real works that lie below.

        Raises:
            MusicZooError: No prompt has two real works that are no near-duplicates.
        """
        found = []
        for labels, features in self._features.items():
            cosines = _cosines(features, features)
            names = self._clusters[labels]
            numbers = torch.tensor([names.index(name) for name in names])
            cosines[numbers.unsqueeze(0) == numbers.unsqueeze(1)] = -torch.inf
            found.append(cosines.amax(dim=1))
        nearest = torch.cat(found) if found else torch.empty(0, dtype=torch.float64)
        nearest = nearest[nearest.isfinite()]
        if not len(nearest):
            raise MusicZooError("There are no two different real works to calibrate by.", remedy="Give plagiarism= a number, or None.")
        return float(torch.quantile(nearest, quantile))


def _clusters(works: Sequence[Work]) -> list[str]:
    """A name for each work that its near-duplicates share. A corpus knows its own; tunes recur across collections, and in memory."""
    sources = {work.source for work in works}
    if len(sources) == 1 and sources != {_IN_MEMORY}:
        return [work.cluster for work in works]
    return [works[first].id for first in clusters([work.shingles for work in works])]


def _cosines(one: Tensor, other: Tensor) -> Tensor:
    return functional.normalize(one.double(), dim=1) @ functional.normalize(other.double(), dim=1).T
