"""Reads the files of a corpus with worker processes, in chunks that survive an interruption.

A file or tune that cannot be read becomes a row with the reason. That holds even for a file that
kills its worker process. What the rows are depends on the files alone: not on the number of
processes, nor on how often the reading was interrupted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from musiczoo.music.abc import Tune, decode_abc, read_abc_book, staff_count, write_abc
from musiczoo.music.corpora.corpus import SCHEMA, Work, read_table, write_table
from musiczoo.music.corpora.files import CorpusFile
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import MAX_BYTES, read
from musiczoo.music.near_duplicates import shingles, skyline

Row = dict[str, Any]

_CHUNK_FILES = 16
_MOST_CHUNKS = 4096
_log = logging.getLogger(__name__)


def read_files(
    root: Path,
    files: Sequence[CorpusFile],
    source: str,
    title: str,
    *,
    parts: Path,
    note: dict[str, str] | None = None,
    workers: int | None = None,
    progress: bool = True,
    start_method: str | None = None,
) -> pa.Table:
    """The rows of all files, in no particular order of files.

    Those of one file stand in their order.

    Args:
        root: Folder of the corpus.
        files: The files.
        source: Name of the corpus.
        title: What the progress bar says.
        parts: Folder for finished chunks. A file whose rows lie there from an interrupted run is
            not read again if it is still the same.
        note: Kept with the chunks: what they were made of.
        workers: Processes; None for one a core, 1 for this process.
        progress: Show a progress bar.
        start_method: Of the worker processes; None for ``fork`` where the platform has it. Forked
            workers run no threads of this process and no torch, and, unlike spawned ones, work from
            a script without a ``__main__`` guard.

    Raises:
        MusicZooError: A finished chunk cannot be written. What was written before stays for the
            next run.
    """
    parts.mkdir(parents=True, exist_ok=True)
    tables, done = _finished(parts, {file.path: file for file in files})
    left = [file for file in files if file.path not in done]
    size = max(_CHUNK_FILES, len(files) // _MOST_CHUNKS)
    chunks = [left[start : start + size] for start in range(0, len(left), size)]
    processes = min(workers or os.cpu_count() or 1, len(chunks))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task(f"Reading {title}", total=len(files), completed=len(done))
        for index, rows in _read_chunks(
            root,
            [[file.path for file in chunk] for chunk in chunks],
            source,
            processes,
            start_method,
        ):
            states = {
                file.path: {"size": file.size, "mtime_ns": file.mtime_ns} for file in chunks[index]
            }
            table = pa.Table.from_pylist([row | states[row["path"]] for row in rows], schema=SCHEMA)
            # Made anew each time: another process that read the same corpus may have finished and
            # tidied up.
            parts.mkdir(parents=True, exist_ok=True)
            write_table(
                table,
                parts / f"{hashlib.sha256(json.dumps(states).encode()).hexdigest()[:16]}.parquet",
                note,
            )
            tables.append(table)
            bar.advance(task, len(chunks[index]))
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def _finished(parts: Path, files: dict[str, CorpusFile]) -> tuple[list[pa.Table], set[str]]:
    """What an interrupted run has read of these files as they are now: its rows, and the paths."""
    tables: list[pa.Table] = []
    done: set[str] = set()
    for part in sorted(parts.glob("*.parquet")):
        try:
            table = read_table(part)
        except MusicZooError as error:
            _log.warning("%s", error)
            continue
        rows = zip(*(table[name].to_pylist() for name in ("path", "size", "mtime_ns")), strict=True)
        same = {
            path
            for path, *state in rows
            if path in files and state == [files[path].size, files[path].mtime_ns]
        } - done
        tables.append(table.filter(pc.is_in(table["path"], pa.array(sorted(same), pa.string()))))
        done |= same
    return tables, done


def work_of(tune: Tune) -> Work:
    """A tune that comes from no file as a work, named by what it is.

    Raises:
        MusicZooError: A tune without notes, or with music code that cannot be read.
    """
    row = _row("tune", "", 1, tune)
    name = f"tune/{row['sha256'][:16]}"
    row |= {
        "id": name,
        "path": tune.path or "",
        "cluster": name,
        "shingles": np.frombuffer(row["shingles"], dtype="<u4"),
    }
    for column in (
        "size",
        "mtime_ns",
        "period",
        "composer",
        "instrumentation",
        "tags",
        "skipped",
        "left_out",
    ):
        del row[column]
    return Work(**row)


def read_chunk(root: Path, files: Sequence[str], source: str) -> list[Row]:
    """The rows of some files; runs in a worker process."""
    return [row for name in files for row in _read_file(root, name, source)]


def _read_chunks(
    root: Path, chunks: list[list[str]], source: str, processes: int, start_method: str | None
) -> Iterator[tuple[int, list[Row]]]:
    if processes <= 1:
        for index, chunk in enumerate(chunks):
            yield index, read_chunk(root, chunk, source)
        return
    if start_method is None and "fork" in multiprocessing.get_all_start_methods():
        start_method = "fork"
    context = multiprocessing.get_context(start_method)
    broken: list[int] = []
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_parent) as pool:
        running: dict[Future[list[Row]], int] = {
            pool.submit(read_chunk, root, chunk, source): index
            for index, chunk in enumerate(chunks)
        }
        try:
            for future in as_completed(running):
                index = running[future]
                try:
                    rows = future.result()
                except BrokenProcessPool:
                    # A file has killed a worker (a fault in native code, no memory left), and with
                    # it the whole pool.
                    broken.append(index)
                    continue
                yield index, rows
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for index in broken:
        yield (
            index,
            [row for name in chunks[index] for row in _read_alone(root, name, source, context)],
        )


def _end_with_parent() -> None:
    """End this worker when the process that started it is killed: workers that wait for its next order would wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _read_alone(
    root: Path, name: str, source: str, context: multiprocessing.context.BaseContext
) -> list[Row]:
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
    rows += [_skipped(name, source, 0, _reason(error)) for error in errors]
    return rows or [_skipped(name, source, 0, "There is no tune in it.")]


def _read_tunes(path: Path) -> tuple[Sequence[Tune], Sequence[MusicZooError]]:
    """The pieces of a file, and the errors of those of a tune book that could not be read."""
    if path.suffix.lower() == ".abc" and path.stat().st_size <= MAX_BYTES:
        book = read_abc_book(decode_abc(path.read_bytes(), str(path)), str(path))
        return book.tunes, book.errors
    piece = read(path)
    if isinstance(piece, Tune):
        return [piece], []
    # Not at the top: symusic is needed for MIDI files alone.
    from musiczoo.music.midi.to_tune import from_score

    return [from_score(piece)], []


def _row(name: str, source: str, number: int, tune: Tune) -> Row:
    notes = tune.notes()
    if not notes:
        raise MusicZooError("There are no notes in it.")
    abc = write_abc(tune)
    return dict.fromkeys(SCHEMA.names) | {
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
    }


def _skipped(name: str, source: str, number: int, reason: str) -> Row:
    return dict.fromkeys(SCHEMA.names) | {
        "source": source,
        "path": name,
        "number": number,
        "skipped": reason,
    }


def _reason(error: Exception) -> str:
    """Why a piece was not read.

    An error outside our family is a defect of a reader: it costs one piece, not the run, and stays
    visible.
    """
    if isinstance(error, MusicZooError):
        return ", ".join(part for part in (error.where, error.message) if part)
    return f"Unexpected {type(error).__name__}: {error}"
