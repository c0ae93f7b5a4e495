"""Tables that are kept in the user's cache folder, one Parquet file each.

The name of a file holds a digest of what the table was made of and of the code that made it; the
header of the file holds a note of what it was made of.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
import pyarrow as pa
import pyarrow.parquet as pq

from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError

CACHE_VARIABLE = "MUSICZOO_CACHE"
"""Environment variable that moves the cache folder."""

_NOTE = b"musiczoo"
_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """``MUSICZOO_CACHE`` if it is set, else the user's cache folder of the platform."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_cache_dir("musiczoo", appauthor=False))


def path_of_key(folder: Path, name: str, key: Any) -> Path:
    """The Parquet file of a table in a folder.

    Args:
        folder: In the cache.
        name: Of the corpus; the file's name begins with it.
        key: What the table is made of, as plain JSON values; the file's name ends in its digest.
    """
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return folder / f"{name}-{digest[:16]}.parquet"


def write_table(table: pa.Table, path: Path, note: Mapping[str, Any] | None = None) -> None:
    """Write a table as one Parquet file, whole or not at all.

    Equal tables and notes give equal files, whatever parts the table was put together from.

    Args:
        table: Any table.
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


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a table of a schema.

    Raises:
        MusicZooError: The file is damaged or of another format.
    """
    try:
        # Not pq.read_table, which imports pyarrow.dataset and, where it is installed, all of
        # pandas.
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise MusicZooError(
            f"The cached table cannot be read: {error}.",
            path=path,
            remedy="Delete the file; it is made again.",
        ) from error
    if not table.schema.equals(schema):
        raise MusicZooError(
            "The cached table has another format.",
            path=path,
            remedy="Delete the file; it is made again.",
        )
    return table.replace_schema_metadata(None)


def stored_table(path: Path, schema: pa.Schema) -> pa.Table | None:
    """As :func:`read_table`, or None where there is no file, or with a warning no readable one."""
    if not path.exists():
        return None
    try:
        return read_table(path, schema)
    except MusicZooError as error:
        _log.warning("%s: %s It is made again.", path, error.message)
        return None


def read_note(path: Path) -> dict[str, Any]:
    """The note in the header of a file of :func:`write_table`.

    Empty where there is none, or no readable file.
    """
    try:
        found = (pq.read_schema(path).metadata or {}).get(_NOTE)
    except (pa.ArrowException, OSError):
        return {}
    return {} if found is None else dict(json.loads(found))


def tables_named(name: str, folder: Path) -> list[Path]:
    """The tables of corpora of a name, those too of which only parts exist."""
    pattern = re.compile(re.escape(name) + r"-[0-9a-f]{16}")
    paths = list(folder.iterdir()) if folder.is_dir() else []
    found = [
        path
        for path in paths
        if path.suffix in (".parquet", ".parts") and pattern.fullmatch(path.stem)
    ]
    return sorted({path.with_suffix(".parquet") for path in found})


def note_of(path: Path) -> dict[str, Any]:
    """The note of a table, or of its parts where only these exist."""
    part = next(iter(sorted(parts_of(path).glob("*.parquet"))), None)
    return read_note(path) or (read_note(part) if part else {})


def remove_table(path: Path) -> None:
    """Remove a table with its parts and its report."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        path.with_suffix(".report.json").unlink(missing_ok=True)
    shutil.rmtree(parts_of(path), ignore_errors=True)


def parts_of(path: Path) -> Path:
    """The folder of the finished chunks of a table that is being made."""
    return path.with_suffix(".parts")
