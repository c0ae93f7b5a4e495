"""Questions and answers about pieces, for models that read music and write text."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from musiczoo.datamodules.base import CorpusDataModule
from musiczoo.datamodules.piece_features import PieceFeatures
from musiczoo.datamodules.resumable import Draw
from musiczoo.datamodules.splits import Splits, split_by_cluster
from musiczoo.datamodules.works import source_names, works_of
from musiczoo.llm.records import QARecord, read_records
from musiczoo.music.abc import KEYS, Tune, key_interval, signature_key, transpose
from musiczoo.music.abc.cleaning import clean
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import read
from musiczoo.representations.music_questions import ANSWER, Asked, MusicQuestions, placeholder

_log = logging.getLogger(__name__)
_SPLITS = ("train", "validation", "test")


class QAItems:
    """Questions as rows, by draw.

    Args:
        records: The questions.
        representation: Turns them into rows.
        pieces: Gives the piece of a record, moved by semitones.
        shifts: Of which one is drawn for each access.
        features: (pieces, shifts, segments, width) and the place of each piece in it; None where
            the notes themselves are given.
        seed: Of all draws.
        same_each_epoch: Take the first shift always.
    """

    def __init__(
        self,
        records: Sequence[QARecord],
        representation: MusicQuestions,
        pieces: Callable[[str, int], Any],
        *,
        shifts: Sequence[int] = (0,),
        features: tuple[Tensor, Mapping[str, int]] | None = None,
        seed: int = 0,
        same_each_epoch: bool = False,
    ) -> None:
        self.records = records
        self.representation = representation
        self.pieces = pieces
        self.shifts = shifts
        self.features = features
        self.seed = seed
        self.same_each_epoch = same_each_epoch
        self.names = [record.id for record in records]

    def __len__(self) -> int:
        return len(self.records)

    @property
    def lengths(self) -> list[int]:
        """Characters of question and answer."""
        return [len(record.question) + len(record.answer) for record in self.records]

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor | None]:
        record = self.records[draw.index]
        rng = random.Random(f"{self.seed}:{draw.epoch}:{record.id}")
        which = 0 if self.same_each_epoch else rng.randrange(len(self.shifts))
        try:
            if self.features is not None:
                table, places = self.features
                row = table[places[record.midi], which]
                return self._around(record), row
            piece = self.pieces(record.midi, self.shifts[which])
            asked = Asked(piece, record.question, record.answer)
            return self.representation.encode(asked), None
        except MusicZooError as error:
            raise error.at(path=record.midi, where=record.id) from error

    def _around(self, record: QARecord) -> Tensor:
        most = self.representation.max_length
        text = (record.question, record.answer, None, most)
        return self.representation.around(placeholder(), *text)


class MusicQADataModule(CorpusDataModule):
    """Questions and answers about pieces (:class:`musiczoo.llm.records.QARecord`).

    Where the fitted module has an encoder, the features of all pieces are computed once and kept in
    the cache folder, so that a step reads them instead of notes. Records state their split
    (``source["split"]``); where they do not, works are split by their clusters of near-duplicates,
    or files by name. Pieces that cannot be read are left out with their questions, and named.

    Args:
        records: A file of :func:`musiczoo.llm.records.write_records`, or the records themselves.
        corpus: Corpora whose works the records name.
        root: Folder in which the records' files lie; that of the records' file when None.
        representation: Of the model; None for that of the module that the trainer fits.
        shifts: Semitones by which pieces are moved in training, one drawn for each access.
            Validation and test take the first.
        cached: Keep features; False gives the notes to the module, which computes them in every
            step.
        model: Computes the features; None for the module that the trainer fits.
        settings: ``test_fraction`` and those of :class:`musiczoo.datamodules.base.DataSettings`.

    Attributes:
        records: The records that are used.
        left_out: Why pieces are left out, by name.
    """

    def __init__(
        self,
        records: str | Path | Sequence[QARecord],
        corpus: Any = (),
        root: str | Path | None = None,
        representation: MusicQuestions | None = None,
        *,
        shifts: Sequence[int] = (0,),
        cached: bool = True,
        model: Any = None,
        **settings: Any,
    ) -> None:
        super().__init__(representation, **settings)
        self.given = records
        self.corpus = corpus
        is_file = isinstance(records, str | Path)
        self.root = Path(root) if root else Path(records).parent if is_file else Path()  # type: ignore[arg-type]
        self.shifts = tuple(shifts)
        self.cached = cached
        self.model = model
        self.records: list[QARecord] = []
        self.left_out: dict[str, str] = {}
        self._works: dict[str, Work] = {}
        self._features: tuple[Tensor, dict[str, int]] | None = None

    def prepare_data(self) -> None:
        """Compute the features, in one process of each machine."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Read records, pieces and features; the stage changes nothing."""
        if self._splits is not None:
            return
        given = self.given
        records = read_records(given) if isinstance(given, str | Path) else list(given)
        self._works = {
            work.id: work
            for work in works_of(self.corpus, cache=self.cache, progress=self.progress)
        }
        names = list(dict.fromkeys(record.midi for record in records))
        encoder = self._encoder()
        if encoder is not None:
            self._features = self._read_features(names, encoder)
        else:
            self._check(names)
        self.records = [record for record in records if record.midi not in self.left_out]
        if self.left_out:
            some = "; ".join(f"{name}: {why}" for name, why in list(self.left_out.items())[:3])
            _log.warning("%d pieces are left out (%s).", len(self.left_out), some)
        if not self.records:
            raise MusicZooError(
                "There is no question about a piece that can be read.",
                remedy=next(iter(self.left_out.values()), "Give records."),
            )
        self._splits = self._split()

    @property
    def feature_table(self) -> Tensor | None:
        """(pieces, shifts, segments, width) features; None where notes or texts are given."""
        return None if self._features is None else self._features[0]

    def items(self, indices: Sequence[int], *, training: bool) -> QAItems:
        """Questions of :attr:`records` as the items of the loaders."""
        self.setup()
        return QAItems(
            [self.records[index] for index in indices],
            self._representation(),
            self.piece,
            shifts=self.shifts,
            features=self._features,
            seed=self.seed,
            same_each_epoch=not training,
        )

    def piece(self, name: str, shift: int = 0) -> Any:
        """The piece of a record, moved by semitones.

        Raises:
            MusicZooError: It cannot be read.
        """
        work = self._works.get(name)
        piece: Any = read(self.root / name) if work is None else clean(work.tune)
        return moved(piece, shift) if shift else piece

    def provenance(self) -> dict[str, Any]:
        """What a checkpoint records of the data, as plain JSON values."""
        return {
            "corpus": source_names(self.corpus),
            "questions": self._sizes(),
            "tags": sorted({record.tag for record in self.records}),
            "shifts": list(self.shifts),
            "batch_size": self.batch_size,
            "left_out": len(self.left_out),
            "conditioning": {},
        }

    def _encoder(self) -> Any:
        """The module that computes features; None where notes or texts are given."""
        fitted = self.trainer.lightning_module if self.trainer else None
        model = self.model or fitted
        representation = self.representation or getattr(model, "representation", None)
        reads_notes = representation is None or representation.music == "notes"
        return model if self.cached and reads_notes and hasattr(model, "pooled") else None

    def _read_features(self, names: list[str], encoder: Any) -> tuple[Tensor, dict[str, int]]:
        wanted = [(name, shift) for name in names for shift in self.shifts]
        stated = [f"{name}\t{self._state(name)}\t{shift}" for name, shift in wanted]
        store = PieceFeatures(encoder.encoder_digest, self.cache)
        table, errors = store.of(
            stated, lambda place: self.piece(*wanted[place]), encoder.pooled, progress=self.progress
        )
        self.left_out = {wanted[place][0]: reason for place, reason in errors.items()}
        table = table.unflatten(0, (len(names), len(self.shifts)))
        return table, {name: place for place, name in enumerate(names)}

    def _state(self, name: str) -> str:
        """What a piece is now."""
        if name in self._works:
            return self._works[name].sha256
        file = self.root / name
        if not file.is_file():
            return "missing"
        status = file.stat()
        return f"{status.st_size}:{status.st_mtime_ns}"

    def _check(self, names: Sequence[str]) -> None:
        """Finds the pieces that cannot be encoded before the first epoch does."""
        representation = self._representation()
        for name in names:
            try:
                representation.encode(Asked(self.piece(name), "?"))
            except MusicZooError as error:
                self.left_out[name] = error.message

    def _split(self) -> Splits:
        stated = [record.source.get("split") for record in self.records]
        if all(name in _SPLITS for name in stated):
            parts = [[i for i, name in enumerate(stated) if name == part] for part in _SPLITS]
            return Splits(*parts)
        clusters = [
            self._works[r.midi].cluster if r.midi in self._works else r.midi for r in self.records
        ]
        parts_of = {"validation": self.val_fraction, "test": self.test_fraction}
        return split_by_cluster(clusters, **parts_of, seed=self.split_seed)

    def _collate(self) -> Callable[[Sequence[Any]], Any]:
        collate = self._representation().collate

        def collated(items: Sequence[tuple[Tensor, Tensor | None]]) -> dict[str, Tensor]:
            batch: dict[str, Tensor] = collate([rows for rows, _ in items])
            features = [row for _, row in items if row is not None]
            return batch | ({"features": torch.stack(features)} if features else {})

        return collated

    def _blank(self) -> Callable[[Any], Any]:
        return _unanswered


def _unanswered(item: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
    """The blank of an item: its question alone, without a target."""
    rows, features = item
    return rows[rows[:, 0] != ANSWER], features


def moved(piece: Any, shift: int) -> Any:
    """A piece moved by semitones.

    Args:
        piece: A tune, which moves to the key with that interval that has the fewest accidentals; or
            a symusic score, whose drums stay.
        shift: Semitones; beyond those of a tune's nearest keys (-5 to 6) it stays within them.
    """
    if not isinstance(piece, Tune):
        other = piece.copy()
        for track in other.tracks:
            if not track.is_drum:
                track.shift_pitch(shift, inplace=True)
        return other
    own = signature_key(piece)
    wanted = (shift + 5) % 12 - 5
    keys = [key for key in KEYS if key_interval(own, key) == wanted]
    return transpose(piece, min(keys, key=lambda key: (len(key), key))) if keys else piece
