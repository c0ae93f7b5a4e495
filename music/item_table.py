"""Tables in the cache that are made item by item, so that only what has changed is made again.

The state of each item (of a file: its size and time of change) stands in its rows. While a table is
made, its finished chunks lie as parts in a folder beside it; a run that was killed is resumed from
them. Several processes may make the same table.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from musiczoo.music.errors import MusicZooError
from musiczoo.music.parquet_cache import (
    CACHE_VARIABLE,
    note_of,
    parts_of,
    remove_table,
    stored_table,
    tables_named,
    write_table,
)
from musiczoo.music.workers import WorkerPool

Item = TypeVar("Item")
Row = dict[str, Any]

_ABANDONED = 3600.0
_log = logging.getLogger(__name__)


def rows_in_order(table: pa.Table, column: str, items: Sequence[str]) -> pa.Table:
    """A table in the order of items; the rows of one item keep their order."""
    place = {item: index for index, item in enumerate(items)}
    return table.take(
        pc.array_sort_indices(
            pa.array([place[item] for item in table[column].to_pylist()], pa.int64())
        )
    )


@dataclass(frozen=True)
class ItemTable:
    """A table in the cache whose rows are about items.

    Attributes:
        path: The Parquet file.
        schema: Of the table.
        item: The column with the item's name.
        state: The columns with the state that the item was in when its rows were made.
        note: Kept in the header of the file and of its parts: what they were made of.
    """

    path: Path
    schema: pa.Schema
    item: str
    state: tuple[str, ...]
    note: Mapping[str, Any]

    @property
    def parts(self) -> Path:
        """The folder of the finished chunks."""
        return parts_of(self.path)

    def stored(self) -> pa.Table | None:
        """What the file holds; None where there is none."""
        return stored_table(self.path, self.schema)

    def write(self, table: pa.Table) -> None:
        """Write the whole table, and remove its parts.

        Raises:
            MusicZooError: The folder cannot be written to, or the disk is full.
        """
        write_table(table, self.path, self.note)
        shutil.rmtree(self.parts, ignore_errors=True)

    def unchanged(self, table: pa.Table | None, states: Mapping[str, tuple[Any, ...]]) -> pa.Table:
        """The rows of items that are in the state in which their rows were made.

        Args:
            table: Of this schema; None counts as empty.
            states: Item -> its state now, the values of the columns :attr:`state`.
        """
        if table is None:
            return self.schema.empty_table()
        columns = [table[name].to_pylist() for name in self.state]
        same = [
            states.get(item) == state
            for item, state in zip(
                table[self.item].to_pylist(), zip(*columns, strict=True), strict=True
            )
        ]
        return table if all(same) else table.filter(pa.array(same, pa.bool_()))

    def resumed(self, states: Mapping[str, tuple[Any, ...]]) -> tuple[list[pa.Table], set[str]]:
        """What a run that was killed has finished.

        Args:
            states: As of :meth:`unchanged`.

        Returns:
            The rows of items that have not changed, and these items.
        """
        tables: list[pa.Table] = []
        done: set[str] = set()
        for part in sorted(self.parts.glob("*.parquet")):
            left = {item: state for item, state in states.items() if item not in done}
            table = self.unchanged(stored_table(part, self.schema), left)
            tables.append(table)
            done |= set(table[self.item].to_pylist())
        return tables, done

    def make_parts(
        self,
        items: Sequence[Item],
        state_of: Callable[[Item], tuple[Any, ...]],
        pool: WorkerPool[Item, list[Row]],
        *,
        chunk: int,
        show: Callable[[int], None],
    ) -> list[pa.Table]:
        """Work on items in chunks, and keep the rows of each chunk as a part.

        Args:
            items: Those that are left.
            state_of: Gives an item's name and state.
            pool: Gives the rows of an item.
            chunk: Items in a chunk.
            show: Is called with the number of items of each chunk that is finished.

        Returns:
            The rows of each chunk.

        Raises:
            MusicZooError: A part cannot be written. Those that were written stay for the next run.
        """
        chunks = [items[start : start + chunk] for start in range(0, len(items), chunk)]
        tables = []
        for index, results in pool.run(chunks):
            table = pa.Table.from_pylist(
                [row for rows in results for row in rows], schema=self.schema
            )
            states = json.dumps([state_of(item) for item in chunks[index]])
            # Made each time: another process that made the same table may have ended and removed
            # the folder.
            self.parts.mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256(states.encode()).hexdigest()[:16]
            write_table(table, self.parts / f"{name}.parquet", self.note)
            tables.append(table)
            show(len(chunks[index]))
        return tables

    def remove_stale(self, is_stale: Callable[[dict[str, Any]], bool]) -> None:
        """Remove the tables of the same corpus that other code has made, and what killed runs left.

        Args:
            is_stale: Whether a table with this note, empty where it has none, is out of date.
        """
        name = self.path.stem.rpartition("-")[0]
        for other in tables_named(name, self.path.parent):
            if other != self.path and is_stale(note_of(other)):
                _log.info("%s is out of date and removed.", other)
                remove_table(other)
        # A young file may belong to a process that is running.
        for half in (*self.path.parent.glob(".*.part"), *self.path.parent.glob(".probe-*")):
            with contextlib.suppress(OSError):
                if time.time() - half.stat().st_mtime > _ABANDONED:
                    half.unlink()


@contextlib.contextmanager
def making(path: Path, work: str) -> Iterator[None]:
    """While a table is made: its folder is checked first, and errors state what is kept.

    Args:
        path: The table's file.
        work: What was done with the items that are kept, such as ``"read"``.

    Raises:
        MusicZooError: The cache cannot be written to, or an error of the work itself.
    """
    _check_writable(path.parent)
    try:
        yield
    except (OSError, MusicZooError) as error:
        message = (
            error.message
            if isinstance(error, MusicZooError)
            else f"The cache cannot be written: {error.strerror or error}."
        )
        raise MusicZooError(
            message,
            path=getattr(error, "path", None) or path,
            remedy=(
                f"Free some space or move the cache ({CACHE_VARIABLE}); the next run continues from"
                f" what was {work}."
            ),
        ) from error


@contextlib.contextmanager
def progress_bar(
    title: str, unit: str, *, total: int, done: int, shown: bool
) -> Iterator[Callable[[int], None]]:
    """A progress bar on the standard error stream; gives the function that advances it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task(title, total=total, completed=done)
        yield lambda count: bar.advance(task, count)


def _check_writable(folder: Path) -> None:
    """Find out before hours of work, not after them, that nothing can be written."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"?")
        probe.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
        raise MusicZooError(
            f"The cache folder cannot be written to: {error.strerror or error}.",
            path=folder,
            remedy=f"Set {CACHE_VARIABLE} to a folder with free space that you may write to.",
        ) from error
