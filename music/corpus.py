"""A corpus as a sequence of works, and the Parquet file that it is kept in."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError
from musiczoo.music.labels import LabelRule, Labels
from musiczoo.music.near_duplicates import Shingles, clusters

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("path", pa.string()),
        ("number", pa.int32()),
        ("abc", pa.string()),
        ("voices", pa.int32()),
        ("bars", pa.int32()),
        ("notes", pa.int32()),
        ("staves", pa.int32()),
        ("sha256", pa.string()),
        ("shingles", pa.binary()),
        ("cluster", pa.string()),
        ("period", pa.string()),
        ("composer", pa.string()),
        ("instrumentation", pa.string()),
        ("skipped", pa.string()),
    ]
)


@dataclass(frozen=True)
class Work:
    """One piece of a corpus.

    Attributes:
        id: Unique and lasting: corpus, path inside it, and the number of the tune in a file of several (``"ryan/Reel.abc#1"``).
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

    @property
    def tune(self) -> Tune:
        """The piece, read anew at each access."""
        return read_abc(self.abc)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file, or a tune of a file, that could not be read: ``number`` is 0 for the whole file."""

    path: str
    number: int
    reason: str


class Corpus(Sequence[Work]):
    """The works of a built-in corpus or a folder, in order of path and number.

    Args:
        table: Rows of :data:`SCHEMA`.
        name: Of the corpus or folder.
        path: The Parquet file.
        licence: What is known of the rights.
    """

    def __init__(self, table: pa.Table, *, name: str, path: Path, licence: str = "") -> None:
        self.name = name
        self.path = path
        self.licence = licence
        valid = pc.is_null(table["skipped"])
        self._table = table.filter(valid).drop_columns("skipped")
        refused = table.filter(pc.invert(valid)).select(["path", "number", "skipped"]).to_pylist()
        self.skipped = [Skipped(row["path"], row["number"], row["skipped"]) for row in refused]

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
        return Work(**row, labels=None if labels[0] is None else Labels(*labels))

    def __iter__(self) -> Iterator[Work]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"Corpus({self.name!r}, works={len(self)}, clusters={self.clusters}, skipped={len(self.skipped)})"

    @property
    def clusters(self) -> int:
        """Number of clusters of near-duplicates."""
        return len(set(self._columns["cluster"]))


def table_of(rows: list[dict[str, Any]], label: LabelRule | None = None) -> pa.Table:
    """Rows as a table, with the cluster of each work filled in, and its labels where a rule tells them."""
    works = [row for row in rows if row["skipped"] is None]
    first = clusters([np.frombuffer(row["shingles"], dtype="<u4") for row in works])
    for row, index in zip(works, first, strict=True):
        row["cluster"] = works[index]["id"]
        labels = label(row["path"], row["abc"]) if label else None
        if labels is not None:
            row |= {"period": labels.period, "composer": labels.composer, "instrumentation": labels.instrumentation}
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table of works as one Parquet file, whole or not at all."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_atomically(path, buffer.getvalue())


def read_table(path: Path) -> pa.Table:
    """Read a table of works.

    Raises:
        MusicZooError: The file is damaged or of another format.
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise MusicZooError(
            f"The cached corpus cannot be read: {error}.", path=path, remedy="Delete the file; it is made again."
        ) from error
    if not table.schema.equals(SCHEMA):
        raise MusicZooError("The cached corpus has another format.", path=path, remedy="Delete the file; it is made again.")
    return table
