"""A corpus as a sequence of works, and the Parquet file that it is kept in."""

from __future__ import annotations

import io
import json
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
from musiczoo.music.near_duplicates import Shingles, clusters
from musiczoo.music.recipes.labels import LabelRule, Labels, TagRule

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("path", pa.string()),
        ("number", pa.int32()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
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
        ("tags", pa.list_(pa.string())),
        ("skipped", pa.string()),
        ("left_out", pa.string()),
    ]
)
"""A row is a piece, or a file or tune that was skipped, or a file that was left out: every file has at least one."""

_NOTE = b"musiczoo"


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
        tags: What else the corpus says, such as ``"topmagd:Jazz"``.
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
        """The piece, read anew at each access."""
        return read_abc(self.abc)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that holds no piece of the corpus, or a tune of a file: ``number`` is 0 for the whole file, ``reason`` says why."""

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


def with_clusters(table: pa.Table) -> pa.Table:
    """The table with the cluster of each work filled in."""
    works = pc.is_valid(table["shingles"]).to_numpy(zero_copy_only=False)
    first = clusters(
        [np.frombuffer(value, dtype="<u4") for value in table["shingles"].drop_null().to_pylist()]
    )
    names = table["id"].filter(works).to_pylist()
    column = np.full(table.num_rows, None, dtype=object)
    column[works] = [names[index] for index in first]
    return _with(table, "cluster", column)


def with_labels(table: pa.Table, label: LabelRule | None, tags: TagRule | None) -> pa.Table:
    """The table with the labels and tags of each work filled in, as far as the rules tell them."""
    columns: dict[str, list[Any]] = {
        name: [] for name in ("period", "composer", "instrumentation", "tags")
    }
    for batch in table.select(["path", "abc"]).to_batches(max_chunksize=4096):
        for path, abc in zip(batch["path"].to_pylist(), batch["abc"].to_pylist(), strict=True):
            labels = label(path, abc) if label and abc is not None else None
            for name in ("period", "composer", "instrumentation"):
                columns[name].append(None if labels is None else getattr(labels, name))
            columns["tags"].append(list(tags(path)) if tags and abc is not None else None)
    for name, values in columns.items():
        table = _with(table, name, values)
    return table


def _with(table: pa.Table, name: str, values: Any) -> pa.Table:
    index = SCHEMA.get_field_index(name)
    return table.set_column(
        index, SCHEMA.field(index), pa.array(values, SCHEMA.field(index).type, from_pandas=True)
    )


def _refused(table: pa.Table, column: str) -> list[Skipped]:
    rows = table.filter(pc.is_valid(table[column])).select(["path", "number", column]).to_pylist()
    return [Skipped(row["path"], row["number"], row[column]) for row in rows]


def write_table(table: pa.Table, path: Path, note: dict[str, str] | None = None) -> None:
    """Write a table of works as one Parquet file, whole or not at all.

    Equal tables and notes give equal files, whatever parts the table was put together from.

    Args:
        table: Rows of :data:`SCHEMA`.
        path: The file.
        note: Kept in the file's header, for :func:`read_note`.

    Raises:
        MusicZooError: The folder cannot be written to, or the disk is full.
    """
    header = {_NOTE: json.dumps(note, sort_keys=True).encode()} if note else None
    buffer = io.BytesIO()
    pq.write_table(
        table.combine_chunks().replace_schema_metadata(header), buffer, compression="zstd"
    )
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
            f"The cached corpus cannot be read: {error}.",
            path=path,
            remedy="Delete the file; it is made again.",
        ) from error
    if not table.schema.equals(SCHEMA):
        raise MusicZooError(
            "The cached corpus has another format.",
            path=path,
            remedy="Delete the file; it is made again.",
        )
    return table


def read_note(path: Path) -> dict[str, str]:
    """The note in the header of a file of :func:`write_table`.

    Empty where there is none, or no readable file.
    """
    try:
        found = (pq.read_schema(path).metadata or {}).get(_NOTE)
    except (pa.ArrowException, OSError):
        return {}
    return {} if found is None else dict(json.loads(found))
