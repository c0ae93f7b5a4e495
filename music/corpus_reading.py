"""Reads the files of a corpus with worker processes, in chunks that survive an interruption.

A file or tune that cannot be read becomes a row with the reason. That holds even for a file that kills its worker process.
"""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from musiczoo.music.abc import Tune, decode_abc, read_abc_book, staff_count, write_abc
from musiczoo.music.corpus import SCHEMA, Work, read_table, write_table
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import MAX_BYTES, read
from musiczoo.music.near_duplicates import shingles, skyline

SUFFIXES = frozenset({".abc", ".musicxml", ".xml", ".mxl", ".mid", ".midi", ".krn", ".mei"})
"""Endings of the files that a folder is searched for, in lower case."""

Row = dict[str, Any]

_CHUNK_FILES = 16
_log = logging.getLogger(__name__)


def read_files(
    root: Path,
    files: Sequence[str],
    source: str,
    title: str,
    *,
    parts: Path,
    workers: int | None = None,
    progress: bool = True,
    start_method: str | None = None,
) -> list[Row]:
    """The rows of all files.

    Args:
        root: Folder of the corpus.
        files: Paths relative to it; they give the order of the rows.
        source: Name of the corpus.
        title: What the progress bar says.
        parts: Folder for finished chunks. What lies there from an interrupted run is not read again.
        workers: Processes; None for one a core, 1 for this process.
        progress: Show a progress bar.
        start_method: Of the worker processes; None for ``fork`` where the platform has it. Forked workers run no threads and no torch, and,
            unlike spawned ones, work from a script without a ``__main__`` guard.
    """
    chunks = [list(files[start : start + _CHUNK_FILES]) for start in range(0, len(files), _CHUNK_FILES)]
    parts.mkdir(parents=True, exist_ok=True)
    done: dict[int, list[Row]] = {}
    for index in range(len(chunks)):
        part = parts / f"{index:06d}.parquet"
        if part.exists():
            try:
                done[index] = read_table(part).to_pylist()
            except MusicZooError as error:
                _log.warning("%s", error)
    waiting = [index for index in range(len(chunks)) if index not in done]
    processes = min(workers or os.cpu_count() or 1, len(waiting))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("files"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task(f"Reading {title}", total=len(files), completed=sum(len(chunks[index]) for index in done))
        for index, rows in _read_chunks(root, chunks, source, waiting, processes, start_method):
            done[index] = rows
            # Made anew each time: another process that read the same corpus may have finished and tidied up.
            parts.mkdir(parents=True, exist_ok=True)
            write_table(pa.Table.from_pylist(rows, schema=SCHEMA), parts / f"{index:06d}.parquet")
            bar.advance(task, len(chunks[index]))
    return [row for index in range(len(chunks)) for row in done[index]]


def work_of(tune: Tune) -> Work:
    """A tune that comes from no file as a work, named by what it is.

    Raises:
        MusicZooError: A tune without notes, or with music code that cannot be read.
    """
    row = _row("tune", "", 1, tune)
    name = f"tune/{row['sha256'][:16]}"
    row |= {"id": name, "path": tune.path or "", "cluster": name, "shingles": np.frombuffer(row["shingles"], dtype="<u4")}
    for column in ("skipped", "period", "composer", "instrumentation"):
        del row[column]
    return Work(**row)


def read_chunk(root: Path, files: Sequence[str], source: str) -> list[Row]:
    """The rows of some files; runs in a worker process."""
    return [row for name in files for row in _read_file(root, name, source)]


def _read_chunks(
    root: Path, chunks: list[list[str]], source: str, waiting: list[int], processes: int, start_method: str | None
) -> Iterator[tuple[int, list[Row]]]:
    if processes <= 1:
        for index in waiting:
            yield index, read_chunk(root, chunks[index], source)
        return
    if start_method is None and "fork" in multiprocessing.get_all_start_methods():
        start_method = "fork"
    context = multiprocessing.get_context(start_method)
    broken: list[int] = []
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        running: dict[Future[list[Row]], int] = {pool.submit(read_chunk, root, chunks[index], source): index for index in waiting}
        try:
            for future in as_completed(running):
                index = running[future]
                try:
                    rows = future.result()
                except BrokenProcessPool:
                    # A file has killed a worker (a fault in native code, no memory left), and with it the whole pool.
                    broken.append(index)
                    continue
                yield index, rows
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for index in broken:
        yield index, [row for name in chunks[index] for row in _read_alone(root, name, source, context)]


def _read_alone(root: Path, name: str, source: str, context: multiprocessing.context.BaseContext) -> list[Row]:
    """The rows of one file, read in a process of its own that may die."""
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(read_chunk, root, [name], source).result()
        except BrokenProcessPool:
            return [_skipped(name, source, 0, "The process that read it died.")]


def _read_file(root: Path, name: str, source: str) -> list[Row]:
    try:
        tunes, errors = _read_tunes(root / name)
    except Exception as error:
        return [_skipped(name, source, 0, _reason(error))]
    rows: list[Row] = []
    for number, tune in enumerate(tunes, 1):
        try:
            rows.append(_row(name, source, number, tune))
        except Exception as error:
            rows.append(_skipped(name, source, number, _reason(error)))
    return rows + [_skipped(name, source, 0, _reason(error)) for error in errors]


def _read_tunes(path: Path) -> tuple[Sequence[Tune], Sequence[MusicZooError]]:
    """The pieces of a file, and the errors of those of a tune book that could not be read."""
    if path.suffix.lower() == ".abc" and path.stat().st_size <= MAX_BYTES:
        book = read_abc_book(decode_abc(path.read_bytes(), str(path)), str(path))
        return book.tunes, book.errors
    piece = read(path)
    if isinstance(piece, Tune):
        return [piece], []
    # Not at the top: symusic is needed for MIDI files alone.
    from musiczoo.music.midi import from_score

    return [from_score(piece)], []


def _row(name: str, source: str, number: int, tune: Tune) -> Row:
    notes = tune.notes()
    if not notes:
        raise MusicZooError("There are no notes in it.")
    abc = write_abc(tune)
    return {
        "id": f"{source}/{name}#{number}",
        "source": source,
        "path": name,
        "number": number,
        "abc": abc,
        "voices": len(tune.voices),
        "bars": max(len(voice.bars) for voice in tune.voices),
        "notes": len(notes),
        "staves": staff_count(tune),
        "sha256": hashlib.sha256(abc.encode()).hexdigest(),
        "shingles": shingles(skyline(notes)).astype("<u4").tobytes(),
        "cluster": None,
        "period": None,
        "composer": None,
        "instrumentation": None,
        "skipped": None,
    }


def _skipped(name: str, source: str, number: int, reason: str) -> Row:
    return dict.fromkeys(SCHEMA.names) | {"source": source, "path": name, "number": number, "skipped": reason}


def _reason(error: Exception) -> str:
    """Why a piece was not read. An error outside our family is a defect of a reader: it costs one piece, not the run, and stays visible."""
    if isinstance(error, MusicZooError):
        return ", ".join(part for part in (error.where, error.message) if part)
    return f"Unexpected {type(error).__name__}: {error}"
