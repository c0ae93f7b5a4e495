"""A corpus as a sequence of works."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.corpora.table import SCHEMA as SCHEMA  # users import these from here
from musiczoo.music.corpora.table import read_table as read_table
from musiczoo.music.corpora.table import with_clusters as with_clusters
from musiczoo.music.corpora.table import with_labels as with_labels
from musiczoo.music.near_duplicates import Shingles
from musiczoo.music.parquet_cache import read_note as read_note
from musiczoo.music.parquet_cache import write_table as write_table
from musiczoo.music.recipes.labels import Labels


@dataclass(frozen=True)
class Work:
    """One piece of a corpus.

    Attributes:
        id: Unique and lasting: corpus, path inside it, and the number of the tune in a file of
            several (``"ryan/Reel.abc#1"``).
        source: Name of the corpus or folder.
        path: The file it was read from, relative to the corpus.
        number: Position among the tunes of its file, from 1.
        abc: The tune as standard ABC text.
        voices: Number of voices.
        bars: Bars of the longest voice.
        notes: Sounding notes, ties merged.
        staves: Staves of the score.
        sha256: Of ``abc``.
        shingles: Fingerprint of the melody, see :mod:`musiczoo.music.near_duplicates`.
        cluster: ``id`` of the first work of its cluster of near-duplicates.
        labels: Period, composer and instrumentation where the corpus knows them.
        tags: Other tags of the corpus, such as ``"topmagd:Jazz"``.
    """

    id: str
    source: str
    path: str
    number: int
    abc: str = field(repr=False)
    voices: int
    bars: int
    notes: int
    staves: int
    sha256: str = field(repr=False)
    shingles: Shingles = field(repr=False, compare=False)
    cluster: str
    labels: Labels | None = None
    tags: tuple[str, ...] = ()

    @property
    def tune(self) -> Tune:
        """The piece, read from :attr:`abc` at each access."""
        return read_abc(self.abc)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that holds no piece of the corpus, or a tune of a file.

    Attributes:
        path: The file, relative to the corpus.
        number: Of the tune in the file; 0 for the whole file.
        reason: Why it was skipped or left out.
    """

    path: str
    number: int
    reason: str


class Corpus(Sequence[Work]):
    """The works of a corpus, in order of path and number.

    Args:
        table: Rows of :data:`SCHEMA`.
        name: Of the corpus or folder.
        path: The Parquet file.
        licence: What is known of the rights.

    Attributes:
        skipped: Files and tunes that could not be read.
        left_out: Files that were not to be read: no music, duplicates, or what a recipe leaves out.
    """

    def __init__(self, table: pa.Table, *, name: str, path: Path, licence: str = "") -> None:
        self.name = name
        self.path = path
        self.licence = licence
        valid = pc.and_(pc.is_null(table["skipped"]), pc.is_null(table["left_out"]))
        self._table = table.filter(valid).drop_columns(["size", "mtime_ns", "skipped", "left_out"])
        self.skipped = _refused(table, "skipped")
        self.left_out = _refused(table, "left_out")

    @cached_property
    def _columns(self) -> dict[str, list[object]]:
        return {name: self._table[name].to_pylist() for name in self._table.column_names}

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, index: int) -> Work: ...

    @overload
    def __getitem__(self, index: slice) -> list[Work]: ...

    def __getitem__(self, index: int | slice) -> Work | list[Work]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        row: dict[str, Any] = {name: column[index] for name, column in self._columns.items()}
        labels = [row.pop(name) for name in ("period", "composer", "instrumentation")]
        row["shingles"] = np.frombuffer(row["shingles"], dtype="<u4")
        row["tags"] = tuple(row["tags"] or ())
        return Work(**row, labels=None if labels[0] is None else Labels(*labels))

    def __iter__(self) -> Iterator[Work]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return (
            f"Corpus({self.name!r}, works={len(self)}, clusters={self.clusters},"
            f" skipped={len(self.skipped)})"
        )

    @property
    def clusters(self) -> int:
        """Number of clusters of near-duplicates."""
        return len(set(self._columns["cluster"]))


def _refused(table: pa.Table, column: str) -> list[Skipped]:
    rows = table.filter(pc.is_valid(table[column])).select(["path", "number", column]).to_pylist()
    return [Skipped(row["path"], row["number"], row[column]) for row in rows]
