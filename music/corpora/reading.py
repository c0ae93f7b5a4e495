"""Reads the files of a corpus with worker processes, in chunks that survive an interruption.

A file or tune that cannot be read becomes a row with the reason. That holds even for a file that
kills its worker process. What the rows are depends on the files alone: not on the number of
processes, nor on how often the reading was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from musiczoo.music.abc import Tune
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.corpora.files import CorpusFile
from musiczoo.music.corpora.rows import Row, row_of, row_reader, rows_of_deadly
from musiczoo.music.item_table import ItemTable, progress_bar
from musiczoo.music.workers import WorkerPool

_CHUNK_FILES = 16
_MOST_CHUNKS = 4096


def read_files(
    table: ItemTable,
    root: Path,
    files: Sequence[CorpusFile],
    source: str,
    title: str,
    *,
    workers: int | None = None,
    progress: bool = True,
    start_method: str | None = None,
) -> pa.Table:
    """The rows of all files, in no particular order of files; those of one file in their order.

    Args:
        table: The table in the cache that they belong to. A file whose rows are among its parts
            from an interrupted run is not read again if it is still the same.
        root: Folder of the corpus.
        files: The files.
        source: Name of the corpus.
        title: For the progress bar.
        workers: Processes; None for one a core, 1 for this process.
        progress: Show a progress bar.
        start_method: Of the worker processes, see :class:`musiczoo.music.workers.WorkerPool`.

    Raises:
        MusicZooError: A finished chunk cannot be written. What was written before stays for the
            next run.
    """
    tables, done = table.resumed({file.path: state_of(file) for file in files})
    pool: WorkerPool[CorpusFile, list[Row]] = WorkerPool(
        row_reader,
        (root, source),
        partial(rows_of_deadly, source),
        workers=workers,
        start_method=start_method,
    )
    with progress_bar(
        f"Reading {title}", "files", total=len(files), done=len(done), shown=progress
    ) as show:
        tables += table.make_parts(
            [file for file in files if file.path not in done],
            lambda file: (file.path, *state_of(file)),
            pool,
            chunk=max(_CHUNK_FILES, len(files) // _MOST_CHUNKS),
            show=show,
        )
    return pa.concat_tables(tables) if tables else table.schema.empty_table()


def state_of(file: CorpusFile) -> tuple[Any, ...]:
    """What a file was when it was read: its rows hold as long as this stays the same."""
    return file.size, file.mtime_ns


def work_of(tune: Tune) -> Work:
    """A tune that comes from no file as a work, named by what it is.

    Raises:
        MusicZooError: A tune without notes, or with music code that cannot be read.
    """
    row = row_of("tune", "", 1, tune)
    name = f"tune/{row['sha256'][:16]}"
    row |= {
        "id": name,
        "path": tune.path or "",
        "cluster": name,
        "shingles": np.frombuffer(row["shingles"], dtype="<u4"),
    }
    return Work(**row)
