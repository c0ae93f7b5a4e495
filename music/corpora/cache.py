"""The cache of read corpora: one Parquet file a corpus, made file by file when files have changed.

The name of the file is made of the corpus, its folder and the code that reads music; a file of
another such name that was made of the same folder is out of date and removed. The state of each
file of the corpus when it was read (size and time of change) stands in the rows, so that only new
and changed files are read again. Labels, tags and clusters are computed whenever anything has
changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache as remember
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from musiczoo.music.code_digest import digest_of_code, modules_behind
from musiczoo.music.corpora.files import MUSESCORE, CorpusFile
from musiczoo.music.corpora.reading import read_files, state_of
from musiczoo.music.corpora.source import NO_RECIPE
from musiczoo.music.corpora.source import Source as Source  # users import it from here
from musiczoo.music.corpora.table import SCHEMA, with_clusters, with_labels
from musiczoo.music.item_table import ItemTable, making, rows_in_order
from musiczoo.music.parquet_cache import CACHE_VARIABLE as CACHE_VARIABLE  # users import them
from musiczoo.music.parquet_cache import cache_folder as cache_folder  # from here
from musiczoo.music.parquet_cache import note_of, path_of_key, read_note, remove_table, tables_named
from musiczoo.music.recipes.recipe import Plan

_FORMAT = 3
# The rows of a file are the work of this module and of what it imports.
_READING = "musiczoo.music.corpora.rows"
# These decide what belongs to a corpus and how its works are labelled, and so does this module.
_RULES = (
    "musiczoo.music.corpora.built_in",
    "musiczoo.music.corpora.files",
    "musiczoo.music.corpora.table",
    "musiczoo.music.recipes",
)


def table_path(source: Source, folder: Path) -> Path:
    """The Parquet file of a corpus in a cache folder."""
    return path_of_key(folder, source.name, [_FORMAT, _code_of_reading(), _identity(source)])


def load_table(source: Source, files: list[CorpusFile], path: Path) -> pa.Table | None:
    """The cached table, if it is that of these files.

    A damaged one counts as none, with a warning.
    """
    if read_note(path) != _note(source):
        return None
    table = _item_table(source, path).stored()
    if table is None:
        return None
    columns = [table[name].to_pylist() for name in ("path", "size", "mtime_ns")]
    states = {name: tuple(state) for name, *state in zip(*columns, strict=True)}
    return table if states == {file.path: state_of(file) for file in files} else None


def make_table(
    source: Source, files: list[CorpusFile], path: Path, *, workers: int | None, progress: bool
) -> pa.Table:
    """Reads what has to be read and writes the table.

    Args:
        source: The corpus.
        files: All of its files.
        path: The Parquet file, from :func:`table_path`.
        workers: Worker processes; None for one a core, 1 for this process.
        progress: Show a progress bar.

    Raises:
        MusicZooError: The cache cannot be written to, or a table of the recipe cannot be read.
            Nothing half-written is left; chunks of files that were read stay for the next run.
    """
    plan = Plan(label=source.label)
    if source.recipe is not None:
        plan = source.recipe.plan(
            source.root, [file.path for file in files if file.left_out is None]
        )
    files = _decided(files, plan)
    item_table = _item_table(source, path)
    with making(path, "read"):
        wanted = {file.path: file for file in files if file.left_out is None}
        kept = item_table.unchanged(
            _only_read(item_table.stored()), {name: state_of(wanted[name]) for name in wanted}
        )
        known = set(kept["path"].to_pylist())
        read = read_files(
            item_table,
            source.root,
            [file for file in wanted.values() if file.path not in known],
            source.name,
            source.title,
            workers=workers,
            progress=progress,
        )
        others = pa.Table.from_pylist(
            [_row_of(source, file) for file in files if file.left_out is not None], schema=SCHEMA
        )
        table = rows_in_order(
            pa.concat_tables([kept, read, others]), "path", [file.path for file in files]
        )
        table = with_labels(with_clusters(table), plan.label, plan.tags)
        item_table.write(table)
    identity = _identity(source)
    # Tables without a note are of a format that no code reads any more.
    item_table.remove_stale(lambda note: not note or identity.items() <= note.items())
    return table


def forget_tables(name: str, root: Path, folder: Path) -> list[Path]:
    """Removes what a cache folder holds of a corpus, of all recipes and versions of the code.

    Returns:
        The tables removed.
    """
    tables = [
        path
        for path in tables_named(name, folder)
        if note_of(path).get("root") == str(root.resolve())
    ]
    for path in tables:
        remove_table(path)
    return [path for path in tables if not path.exists()]


def _item_table(source: Source, path: Path) -> ItemTable:
    return ItemTable(path, SCHEMA, "path", ("size", "mtime_ns"), _note(source))


def _identity(source: Source) -> dict[str, str]:
    one_file = source.files[0] if source.files is not None and len(source.files) == 1 else ""
    return {
        "root": str(source.root.resolve()),
        "file": one_file,
        "recipe": source.recipe.name if source.recipe else NO_RECIPE,
    }


def _note(source: Source) -> Mapping[str, str]:
    return _identity(source) | {"rules": _code_of_rules()}


def _only_read(table: pa.Table | None) -> pa.Table | None:
    """A table without the rows of files that were not to be read."""
    return None if table is None else table.filter(pc.is_null(table["left_out"]))


def _row_of(source: Source, file: CorpusFile) -> dict[str, Any]:
    return {
        "source": source.name,
        "path": file.path,
        "number": 0,
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "left_out": file.left_out,
    }


def _decided(files: list[CorpusFile], plan: Plan) -> list[CorpusFile]:
    """The files with what the recipe leaves out.

    MuseScore's files that lie beside an export are marked as copies of it.
    """
    files = [replace(file, left_out=plan.left_out.get(file.path, file.left_out)) for file in files]
    exports = {
        str(PurePosixPath(file.path).with_suffix("")): file.path
        for file in files
        if file.left_out is None
    }
    for place, file in enumerate(files):
        export = exports.get(str(PurePosixPath(file.path).with_suffix("")))
        if file.left_out == MUSESCORE and export:
            files[place] = replace(file, left_out=f"the same score as {export}")
    return files


@remember
def _code_of_reading() -> str:
    """A digest of the code that reads, ours and that of the libraries."""
    return digest_of_code(modules_behind(_READING), ("music21", "symusic", "lxml"))


@remember
def _code_of_rules() -> str:
    """A digest of the code that decides what belongs to a corpus and how it is labelled."""
    return digest_of_code({*modules_behind(*_RULES), __name__})
