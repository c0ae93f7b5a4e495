"""The table of a corpus: its columns, and those that are worked out from the others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from musiczoo.music import parquet_cache
from musiczoo.music.near_duplicates import clusters

if TYPE_CHECKING:
    from musiczoo.music.recipes.labels import LabelRule, TagRule

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
"""A row is a piece, or a file or tune that was skipped, or a file that was left out.

Every file has at least one row.
"""


def read_table(path: Path) -> pa.Table:
    """Read a table of works.

    Raises:
        MusicZooError: The file is damaged or of another format.
    """
    return parquet_cache.read_table(path, SCHEMA)


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
    """The table with the labels and tags of each work filled in, as far as the rules know them."""
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
