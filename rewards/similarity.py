"""Similarity of a piece to the real works of its prompt, in the features of an encoder.

With CLaMP 2 as the encoder this is the CLaMP 2 Score of NotaGen (Wang et al. 2025, arXiv
2502.18008, Eq. 1), which chooses what CLaMP-DPO learns from.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from musiczoo.metrics.clamp_score import clamp_scores
from musiczoo.metrics.features import Encoder, load_encoder, tune_features
from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import Tune
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.corpora.reading import work_of
from musiczoo.music.errors import MusicZooError
from musiczoo.music.near_duplicates import clusters
from musiczoo.music.recipes.labels import Labels
from musiczoo.rewards.base import Reward, Scores

if TYPE_CHECKING:
    from symusic.core import ScoreTick

References = Mapping[Labels, Sequence[Work]] | Sequence["Work | Tune | ScoreTick"]

# The source of works that come from no corpus (musiczoo.music.corpora.reading.work_of).
_IN_MEMORY = "tune"
_log = logging.getLogger(__name__)


class CorpusSimilarity(Reward):
    """Cosine of a piece's feature with the mean (un-normalised) feature of real works.

    The works are those of the piece's prompt, or one set for all pieces.

    ``details["nearest"]`` is the largest cosine with a single real work that the piece is compared
    with; a copy is recognised by it. Scores (MIDI) are quantised into notation first, on both
    sides, for the encoder reads ABC: :func:`musiczoo.music.midi.from_score`.

    Args:
        encoder: A module with ``features``, or a name that :func:`musiczoo.load` takes.
        references: The real works of each prompt, by labels; or one sequence of works, tunes or
            scores that every piece is compared with, whatever its labels, as pieces without labels
            need. None waits for those of the training data (:meth:`prepare`).

    Raises:
        MusicZooError: None of the given references has notes.
    """

    name = "corpus_similarity"

    def __init__(
        self, encoder: str | Encoder = "m3-small", references: References | None = None
    ) -> None:
        self._encoder = encoder
        # By prompt; one set for all pieces has the key None.
        self._features: dict[Hashable, Tensor] = {}
        self._clusters: dict[Hashable, list[str]] = {}
        self._given = references is not None
        self._labelled = references is None or isinstance(references, Mapping)
        if isinstance(references, Mapping):
            self._encode(references)
        elif references is not None:
            self._encode({None: _works(references)})
            if not self._features:
                raise MusicZooError(
                    "No piece can be compared with any of the references.",
                    where="references",
                    remedy="Give works with notes.",
                )

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder, loaded on first use."""
        return load_encoder(self._encoder) if isinstance(self._encoder, str) else self._encoder

    def prepare(self, references: Mapping[Any, Sequence[Work]]) -> None:
        """Encodes the real works of each prompt, unless the constructor was given some."""
        if not self._given:
            self._encode(references)

    def _encode(self, references: Mapping[Any, Sequence[Work]]) -> None:
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

    def reference_features(self, labels: Hashable) -> Tensor:
        """(works, dim) of the real works of a prompt; of all where the references are one set.

        Raises:
            MusicZooError: There are no such works.
        """
        if not self._labelled:
            labels = None
        if labels not in self._features:
            raise MusicZooError(
                f"There are no real works with the labels {labels}.",
                remedy="Train with data that has some.",
            )
        return self._features[labels]

    def score(self, pieces: Sequence[Generated]) -> Scores:
        """Scores pieces.

        Those that cannot be read, or have no real works to be compared with, have no score.
        """
        values = torch.full((len(pieces),), torch.nan, dtype=torch.float64)
        nearest = values.clone()
        reasons: list[str | None] = [None] * len(pieces)
        tunes: dict[int, Tune] = {}
        keys = [_key(piece) if self._labelled else None for piece in pieces]
        for index, (piece, key) in enumerate(zip(pieces, keys, strict=True)):
            if key not in self._features:
                reasons[index] = f"there are no real works with the labels {key}"
            elif piece.piece is None:
                reasons[index] = f"the piece cannot be read: {piece.error}"
            else:
                try:
                    tunes[index] = _notated(piece.piece)
                except MusicZooError as error:
                    reasons[index] = f"the piece cannot be notated: {error.message}"
        features, failures = tune_features(self.encoder, list(tunes.values()))
        rows = {
            index: row
            for index, row, reason in zip(tunes, features, failures, strict=True)
            if reason is None
        }
        for index, reason in zip(tunes, failures, strict=True):
            reasons[index] = reason
        for labels, references in self._features.items():
            mine = [index for index in rows if keys[index] == labels]
            if mine:
                some = torch.stack([rows[index] for index in mine])  # (pieces, dimensions)
                values[mine] = clamp_scores(some, references)
                nearest[mine] = _cosines(some, references).amax(dim=1)
        return Scores(values, tuple(reasons), {"nearest": nearest})

    def copy_threshold(self, quantile: float = 0.99) -> float:
        """The cosine with the nearest real work of another cluster, as a quantile of real works.

        The threshold of NotaGen's plagiarism rule (0.95) belongs to CLaMP 2; another encoder has
        another scale.

        Args:
            quantile: Part of the real works whose cosine is below the threshold.

        Raises:
            MusicZooError: No prompt has two real works that are no near-duplicates.
        """
        found = []
        for labels, features in self._features.items():
            cosines = _cosines(features, features)  # (works, works)
            names = self._clusters[labels]
            numbers = torch.tensor([names.index(name) for name in names])
            cosines[numbers.unsqueeze(0) == numbers.unsqueeze(1)] = -torch.inf
            found.append(cosines.amax(dim=1))
        nearest = torch.cat(found) if found else torch.empty(0, dtype=torch.float64)
        nearest = nearest[nearest.isfinite()]
        if not len(nearest):
            raise MusicZooError(
                "There are no two different real works to calibrate by.",
                remedy="Give plagiarism= a number, or None.",
            )
        return float(torch.quantile(nearest, quantile))


def _key(piece: Generated) -> Hashable:
    return piece.prompt if isinstance(piece.prompt, Hashable) else None


def _notated(piece: Tune | ScoreTick) -> Tune:
    if isinstance(piece, Tune):
        return piece
    from musiczoo.music.midi.to_tune import from_score

    return from_score(piece)


def _works(references: Sequence[Work | Tune | ScoreTick]) -> list[Work]:
    """References as works; one that has no notes, or cannot be read, is left out with a warning."""
    works: list[Work] = []
    for number, reference in enumerate(references, 1):
        try:
            works.append(reference if isinstance(reference, Work) else work_of(_notated(reference)))
        except MusicZooError as error:
            _log.warning("reference %d is left out of the real works: %s", number, error)
    return works


def _clusters(works: Sequence[Work]) -> list[str]:
    """A name for each work that its near-duplicates share.

    A corpus knows its own; tunes recur across collections, and in memory.
    """
    sources = {work.source for work in works}
    if len(sources) == 1 and sources != {_IN_MEMORY}:
        return [work.cluster for work in works]
    return [works[first].id for first in clusters([work.shingles for work in works])]


def _cosines(one: Tensor, other: Tensor) -> Tensor:
    """(n, m) float64, of each row of (n, dimensions) with each of (m, dimensions)."""
    return functional.normalize(one.double(), dim=1) @ functional.normalize(other.double(), dim=1).T
