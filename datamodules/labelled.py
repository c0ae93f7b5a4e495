"""Pieces with labels: folders of folders, tables, and the labels that a corpus has."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from musiczoo.datamodules.base import CorpusDataModule
from musiczoo.datamodules.label_sources import Labelled, labelled_pieces
from musiczoo.datamodules.resumable import Draw
from musiczoo.datamodules.splits import split_by_cluster
from musiczoo.datamodules.tokenising import reason_of
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.from_tune import to_score
from musiczoo.music.midi.piano_stream import ALL_AS_PIANO, fingerprint, reduced
from musiczoo.music.near_duplicates import clusters

_log = logging.getLogger(__name__)


class LabelledPiece(NamedTuple):
    """A piece that can be encoded.

    Attributes:
        name: Unique and lasting.
        piece: A tune or a symusic score.
        labels: Its labels.
        length: Steps of its representation.
    """

    name: str
    piece: Any
    labels: tuple[str, ...]
    length: int


class LabelledItems:
    """Pieces with the numbers of their labels, by draw.

    Args:
        pieces: The pieces.
        representation: Turns them into tensors.
        labels: All labels, in order.
        several: Whether a piece may have several.
        max_length: Longest item; None for the representation's own limit.
        seed: Of the parts of long pieces.
        training: Draw another part of a long piece in each epoch; otherwise its beginning.
    """

    def __init__(
        self,
        pieces: Sequence[LabelledPiece],
        representation: Any,
        labels: Sequence[str],
        *,
        several: bool,
        max_length: int | None,
        seed: int,
        training: bool,
    ) -> None:
        self.pieces = pieces
        self.representation = representation
        self.places = {label: place for place, label in enumerate(labels)}
        self.several = several
        self.max_length = max_length
        self.seed = seed
        self.training = training
        self.names = [piece.name for piece in pieces]
        self.lengths = [piece.length for piece in pieces]

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """The encoded piece and its target: a number, or (labels,) of 0 and 1."""
        import random

        one = self.pieces[draw.index]
        rng = random.Random(f"{self.seed}:{draw.epoch}:{one.name}") if self.training else None
        encoded = self.representation.encode(one.piece, max_length=self.max_length, rng=rng)
        if not self.several:
            return encoded, torch.tensor(self.places[one.labels[0]])
        target = torch.zeros(len(self.places))
        target[[self.places[label] for label in one.labels]] = 1.0
        return encoded, target


class LabelledMidiDataModule(CorpusDataModule):
    """MIDI files, scores or works with labels, for models that classify.

    Near-duplicates stay in one split. Files that cannot be read or encoded are left out, counted
    and named.

    Args:
        source: A folder with one folder of files a label; a CSV or Parquet file with the columns
            ``path`` and ``label`` (or ``labels``, divided by ``;``), paths relative to it; the name
            of a corpus, or several, whose own labels count (``by``); or pairs of a piece or path
            and its label or labels.
        representation: Of the model; None for that of the module that the trainer fits.
        labels: The labels in their order, when a model has them already; None for those of the
            source in alphabetical order. Pieces with none of them are left out.
        by: Of a corpus: ``"composer"``, ``"period"``, ``"instrumentation"`` (of folk tunes the
            rhythm) or ``"source"`` (which corpus).
        several: Whether pieces may have several labels; None when some piece has.
        min_pieces: Fewest pieces of a label.
        max_length: Longest item in steps of the representation; None for its own limit.
        test_fraction: Part of the clusters for testing; 0 for none.
        settings: Of :class:`musiczoo.datamodules.base.DataSettings`.

    Attributes:
        pieces: The pieces that are used, in order of name.
        left_out: Why others are not, by name.

    Raises:
        MusicZooError: No label, a label with too few pieces, or a table that cannot be read.
    """

    def __init__(
        self,
        source: Any,
        representation: Any = None,
        *,
        labels: Sequence[str] | None = None,
        by: str = "instrumentation",
        several: bool | None = None,
        min_pieces: int = 2,
        max_length: int | None = None,
        test_fraction: float = 0.0,
        **settings: Any,
    ) -> None:
        super().__init__(representation, test_fraction=test_fraction, **settings)
        self.source = source
        self.wanted = None if labels is None else tuple(labels)
        self.by = by
        self.several_wanted = several
        self.min_pieces = min_pieces
        self.max_length = max_length
        self.pieces: list[LabelledPiece] = []
        self.left_out: dict[str, str] = {}
        self._labels: tuple[str, ...] = ()
        self._several = bool(several)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the targets."""
        self.setup()
        return self._labels

    @property
    def several(self) -> bool:
        """Whether pieces may have several labels."""
        self.setup()
        return self._several

    def setup(self, stage: str | None = None) -> None:
        """Read and encode the pieces and split them; the stage changes nothing."""
        if self._splits is not None:
            return
        found = labelled_pieces(self.source, self.by, cache=self.cache, progress=self.progress)
        prints = []
        for one in sorted(found, key=lambda one: one.name):
            try:
                piece, shingles = self._read(one)
            except Exception as error:
                # As for corpora: a defect of a reader costs one piece, not the run.
                self.left_out[one.name] = reason_of(error)
                continue
            self.pieces.append(piece)
            prints.append(shingles)
        self._report()
        self._decide()
        names = [self.pieces[first].name for first in clusters(prints)]
        self._splits = split_by_cluster(
            names, validation=self.val_fraction, test=self.test_fraction, seed=self.split_seed
        )

    def _read(self, one: Labelled) -> tuple[LabelledPiece, Any]:
        labels = one.labels
        if self.wanted is not None:
            labels = tuple(label for label in labels if label in self.wanted)
        if not labels:
            raise MusicZooError("It has none of the labels.")
        piece = one.read()
        encoded = self._representation().encode(piece, max_length=self.max_length)
        score = to_score(piece) if isinstance(piece, Tune) else piece
        shingles = fingerprint(reduced(score, ALL_AS_PIANO))
        return LabelledPiece(one.name, piece, labels, len(encoded)), shingles

    def _report(self) -> None:
        if self.left_out:
            kinds = Counter(reason.partition(" (")[0] for reason in self.left_out.values())
            reasons = "; ".join(f"{count} x {kind}" for kind, count in kinds.most_common(5))
            some = ", ".join(list(self.left_out)[:3])
            _log.warning("%d pieces are left out: %s (%s)", len(self.left_out), reasons, some)
        if not self.pieces:
            raise MusicZooError(
                "There is no piece with a label.",
                where="source",
                remedy=next(
                    iter(self.left_out.values()),
                    "Give a folder with one folder of files a label, or a table.",
                ),
            )

    def _decide(self) -> None:
        counts = Counter(label for piece in self.pieces for label in piece.labels)
        self._labels = self.wanted or tuple(sorted(counts))
        most = max(len(piece.labels) for piece in self.pieces)
        self._several = most > 1 if self.several_wanted is None else self.several_wanted
        if most > 1 and not self._several:
            raise MusicZooError(
                "Some piece has several labels.", where="several", remedy="Give several=True."
            )
        scarce = [label for label in self._labels if counts[label] < self.min_pieces]
        if scarce or len(self._labels) < 2 - self._several:
            raise MusicZooError(
                f"There are too few pieces of {', '.join(scarce) or 'a second label'}.",
                where="labels",
                remedy=f"A label needs {self.min_pieces} pieces that can be read, and there must"
                " be two labels; lower min_pieces, or give labels= without it.",
            )

    def items(self, indices: Sequence[int], *, training: bool) -> LabelledItems:
        """Pieces of :attr:`pieces` as the items of the loaders."""
        self.setup()
        return LabelledItems(
            [self.pieces[index] for index in indices],
            self._representation(),
            self._labels,
            several=self._several,
            max_length=self.max_length,
            seed=self.seed,
            training=training,
        )

    def provenance(self) -> dict[str, Any]:
        """What a checkpoint records of the data, as plain JSON values."""
        counts = Counter(label for piece in self.pieces for label in piece.labels)
        return {
            "corpus": sorted({piece.name.partition("/")[0] for piece in self.pieces})[:20],
            "works": self._sizes(),
            "left_out": len(self.left_out),
            "labels": {label: counts[label] for label in self._labels},
            "batch_size": self.batch_size,
            "conditioning": {},
        }

    def _collate(self) -> Callable[[Sequence[Any]], Any]:
        collate = self._representation().collate

        def collated(items: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
            batch: dict[str, Tensor] = collate([encoded for encoded, _ in items])
            return batch | {"labels": torch.stack([target for _, target in items])}

        return collated

    def _blank(self) -> Callable[[Any], Any]:
        return _without_target


def _without_target(item: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The blank of an item: a piece that no loss counts."""
    encoded, target = item
    return encoded, torch.full_like(target, -100)
