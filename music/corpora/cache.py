"""The cache of read corpora: one Parquet file a corpus, made again file by file when files have changed.

The name of the file tells the corpus, its folder and the code that reads music; a file of another
such name that was made of the same folder is out of date and removed. What each file of the corpus
was when it was read (size and time of change) stands in the rows, so that only new and changed
files are read again. Labels, tags and clusters are worked out anew whenever anything has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache as remember
from pathlib import Path, PurePosixPath

import platformdirs
import pyarrow as pa
import pyarrow.compute as pc

from musiczoo.music.corpora.corpus import (
    SCHEMA,
    read_note,
    read_table,
    with_clusters,
    with_labels,
    write_table,
)
from musiczoo.music.corpora.files import MUSESCORE, CorpusFile
from musiczoo.music.corpora.reading import read_files
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes import Plan, Recipe
from musiczoo.music.recipes.labels import LabelRule

CACHE_VARIABLE = "MUSICZOO_CACHE"
"""Environment variable that moves the cache folder."""

_FORMAT = 3
_ABANDONED = 3600.0
_log = logging.getLogger(__name__)
# Code that never decides what a piece is when it is read: it writes, draws and plays, or it names
# and labels, which is done anew each time.
_NOT_READING = (
    "abc/note_heads.py",
    "abc/transposed_part.py",
    "audio.py",
    "built_in_corpora.py",
    "cleaning.py",
    "composers.py",
    "corpora.py",
    "corpus_cache.py",
    "corpus_files.py",
    "corpus_report.py",
    "degradation.py",
    "engrave.py",
    "labels.py",
    "midi_text.py",
    "music_font.py",
    "musicxml/writer.py",
    "performance.py",
    "performance_degradation.py",
    "performance_takes.py",
    "piano_stream.py",
    "pictures.py",
    "recipes/",
    "render_workers.py",
    "rendering.py",
    "resampling.py",
    "soundfont.py",
    "synthesis.py",
    "voice.py",
)
_RULES = (
    "built_in_corpora.py",
    "composers.py",
    "corpus_cache.py",
    "corpus_files.py",
    "labels.py",
    "recipes/",
)


@dataclass(frozen=True)
class Source:
    """Where a corpus comes from.

    Attributes:
        name: Of the corpus; works are called after it.
        title: For people.
        root: The folder.
        licence: What is known of the rights.
        restricted: True where the terms restrict use.
        files: The files that make it up, where they are named; None for all of the folder.
        label: The rule for labels, where there is one without a recipe.
        recipe: For a copy of a published corpus.
    """

    name: str
    title: str
    root: Path
    licence: str = ""
    restricted: bool = False
    files: tuple[str, ...] | None = None
    label: LabelRule | None = None
    recipe: Recipe | None = None


def cache_folder() -> Path:
    """``MUSICZOO_CACHE`` if it is set, else the user's cache folder of the platform."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_cache_dir("musiczoo", appauthor=False))


def table_path(source: Source, folder: Path) -> Path:
    """The Parquet file of a corpus in a cache folder."""
    key = [_FORMAT, _code_of_reading(), _identity(source)]
    return (
        folder
        / f"{source.name}-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.parquet"
    )


def load_table(source: Source, files: list[CorpusFile], path: Path) -> pa.Table | None:
    """The cached table, if it is that of these files.

    A damaged one is told of and counts as none.
    """
    if read_note(path) != _note(source):
        return None
    table = _old_table(path)
    if table is None:
        return None
    states = {
        row["path"]: (row["size"], row["mtime_ns"])
        for row in table.select(["path", "size", "mtime_ns"]).to_pylist()
    }
    return table if states == {file.path: (file.size, file.mtime_ns) for file in files} else None


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
    _writable(path.parent)
    plan = Plan(label=source.label)
    if source.recipe is not None:
        plan = source.recipe.plan(
            source.root, [file.path for file in files if file.left_out is None]
        )
    files = _decided(files, plan)
    wanted = [file for file in files if file.left_out is None]
    kept = _kept(path, wanted)
    known = set(kept["path"].to_pylist())
    parts = path.with_suffix(".parts")
    try:
        read = read_files(
            source.root,
            [file for file in wanted if file.path not in known],
            source.name,
            source.title,
            parts=parts,
            note=_note(source),
            workers=workers,
            progress=progress,
        )
        others = pa.Table.from_pylist(
            [_row_of(source, file) for file in files if file.left_out is not None], schema=SCHEMA
        )
        table = _in_order(pa.concat_tables([kept, read, others]), files)
        table = with_labels(with_clusters(table), plan.label, plan.tags)
        write_table(table, path, _note(source))
    except (OSError, MusicZooError) as error:
        said = (
            error.message
            if isinstance(error, MusicZooError)
            else f"The cache cannot be written: {error.strerror or error}."
        )
        raise MusicZooError(
            said,
            path=getattr(error, "path", None) or path,
            remedy=(
                f"Free some space or move the cache ({CACHE_VARIABLE}); the next run goes on from"
                " what was read."
            ),
        ) from error
    shutil.rmtree(parts, ignore_errors=True)
    _remove_stale(source, path)
    return table


def forget_tables(name: str, root: Path, folder: Path) -> list[Path]:
    """Removes what a cache folder holds of a corpus, of all recipes and versions of the code.

    Returns:
        The tables removed.
    """
    gone = [
        path for path in _tables(name, folder) if _note_of(path).get("root") == str(root.resolve())
    ]
    for path in gone:
        _remove(path)
    return [path for path in gone if not path.exists()]


def _tables(name: str, folder: Path) -> list[Path]:
    """The tables of corpora of a name, those too of which only parts are there."""
    pattern = re.compile(re.escape(name) + r"-[0-9a-f]{16}")
    paths = list(folder.iterdir()) if folder.is_dir() else []
    found = [
        path
        for path in paths
        if path.suffix in (".parquet", ".parts") and pattern.fullmatch(path.stem)
    ]
    return sorted({path.with_suffix(".parquet") for path in found})


def _note_of(path: Path) -> dict[str, str]:
    part = next(iter(sorted(path.with_suffix(".parts").glob("*.parquet"))), None)
    return read_note(path) or (read_note(part) if part else {})


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        path.with_suffix(".report.json").unlink(missing_ok=True)
    shutil.rmtree(path.with_suffix(".parts"), ignore_errors=True)


def _identity(source: Source) -> dict[str, str]:
    one_file = source.files[0] if source.files is not None and len(source.files) == 1 else ""
    return {
        "root": str(source.root.resolve()),
        "file": one_file,
        "recipe": source.recipe.name if source.recipe else "none",
    }


def _note(source: Source) -> dict[str, str]:
    return _identity(source) | {"rules": _code_of_rules()}


def _old_table(path: Path) -> pa.Table | None:
    if not path.exists():
        return None
    try:
        return read_table(path)
    except MusicZooError as error:
        _log.warning("%s It is read again.", error.message)
        return None


def _row_of(source: Source, file: CorpusFile) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(SCHEMA.names)
    row |= {"source": source.name, "path": file.path, "number": 0}
    return row | {"size": file.size, "mtime_ns": file.mtime_ns, "left_out": file.left_out}


def _decided(files: list[CorpusFile], plan: Plan) -> list[CorpusFile]:
    """The files with what the recipe leaves out, and with MuseScore's files that lie beside an export told as such."""
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


def _kept(path: Path, wanted: list[CorpusFile]) -> pa.Table:
    """The rows of files that are as they were when they were read."""
    table = _old_table(path)
    if table is None:
        return SCHEMA.empty_table()
    states = {file.path: (file.size, file.mtime_ns) for file in wanted}
    rows = zip(
        *(table[name].to_pylist() for name in ("path", "size", "mtime_ns", "left_out")), strict=True
    )
    same = [left is None and states.get(path) == (size, mtime) for path, size, mtime, left in rows]
    return table.filter(pa.array(same, pa.bool_()))


def _in_order(table: pa.Table, files: list[CorpusFile]) -> pa.Table:
    place = {file.path: index for index, file in enumerate(files)}
    # Stable: the rows of one file stay in the order of its tunes.
    return table.take(
        pc.array_sort_indices(
            pa.array([place[path] for path in table["path"].to_pylist()], pa.int64())
        )
    )


def _writable(folder: Path) -> None:
    """Find out before hours of reading, not after, that nothing can be written."""
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


def _remove_stale(source: Source, path: Path) -> None:
    """Removes the tables of the same corpus that other code has made.

    Those without a note are of a format that no code reads any more.
    """
    identity = _identity(source)
    for stale in _tables(source.name, path.parent):
        note = _note_of(stale)
        if stale != path and (not note or {name: note.get(name) for name in identity} == identity):
            _log.info("%s is out of date and removed.", stale)
            _remove(stale)
    # What a process left that was killed while it wrote; a young one may belong to a process that
    # lives.
    for half in (*path.parent.glob(".*.part"), *path.parent.glob(".probe-*")):
        with contextlib.suppress(OSError):
            if time.time() - half.stat().st_mtime > _ABANDONED:
                half.unlink()


@remember
def _code_of_reading() -> str:
    """A digest of the code that reads, ours and that of the libraries, so that no release can forget to make old results invalid."""
    libraries = [
        f"{name} {importlib.metadata.version(name)}" for name in ("music21", "symusic", "lxml")
    ]
    return _digest(lambda name: not name.startswith(_NOT_READING), *libraries)


@remember
def _code_of_rules() -> str:
    """A digest of the code that says what belongs to a corpus and how it is labelled."""
    return _digest(lambda name: name.startswith(_RULES))


def _digest(belongs: Callable[[str], bool], *more: str) -> str:
    digest = hashlib.sha256("\n".join(more).encode())
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        if belongs(name):
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
