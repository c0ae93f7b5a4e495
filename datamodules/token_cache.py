"""The cache of tokenised corpora: one Parquet file for each corpus, representation and set of rules.

What each file or tune was when it was tokenised stands in its rows, so that only new and changed
ones are tokenised again. The name of the file tells the corpus, the settings and the code that
makes tokens; one that other code has made of the same is out of date and removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import logging
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache as remember
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from musiczoo.datamodules.tokenising import TOKEN_TYPE, Row, StreamRules, Tokeniser, Unread
from musiczoo.datamodules.worker_pool import WorkerPool
from musiczoo.music.atomic import write_atomically
from musiczoo.music.corpora.cache import CACHE_VARIABLE, cache_folder
from musiczoo.music.errors import MusicZooError
from musiczoo.music.near_duplicates import clusters
from musiczoo.representations.base import Representation

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("item", pa.string()),
        ("state", pa.string()),
        ("source", pa.string()),
        ("path", pa.string()),
        ("number", pa.int32()),
        ("tokens", pa.binary()),
        ("notes", pa.int32()),
        ("bars", pa.int32()),
        ("shingles", pa.binary()),
        ("reason", pa.string()),
    ]
)
"""A row is a piece with its tokens (uint16), or what was left out with the reason: every file has at least one."""

_CLUSTERS = pa.schema([("cluster", pa.int32())])
_FORMAT = 1
_CHUNK_ITEMS = 16
_MOST_CHUNKS = 512
_NOTE = b"musiczoo"
# Where the code that makes tokens begins; what these import belongs to it.
_FIRST_MODULES = (
    "musiczoo.datamodules.tokenising",
    "musiczoo.music.files",
    "musiczoo.music.midi.from_tune",
    "musiczoo.music.midi.to_tune",
)
_IMPORT = re.compile(r"^[ \t]*from (musiczoo[\w.]*) import", re.MULTILINE)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TokenSource:
    """A corpus to tokenise.

    Attributes:
        name: Of the corpus.
        identity: What tells it from others of the same name, such as its folder.
        root: The folder of its files.
        items: Its files and tunes.
        refused: (path, reason) of what cannot be tokenised, because it is no music or was not read.
    """

    name: str
    identity: str
    root: Path | None
    items: Sequence[Unread] = field(repr=False)
    refused: Sequence[tuple[str, str]] = field(default=(), repr=False)


@dataclass(frozen=True)
class TokenisedPiece:
    """One piece of a corpus as tokens.

    Attributes:
        id: Unique and lasting: corpus, path inside it, and the number of the piece in its file
            (``"jazz/standards.abc#3"``).
        source: Name of the corpus.
        path: The file, relative to the corpus.
        tokens: (tokens,) uint16, BOS and EOS included.
        notes: Notes after the reduction.
        bars: Bars up to that of the last onset.
        shingles: Fingerprint of the melody, see :mod:`musiczoo.music.near_duplicates`.
    """

    id: str
    source: str
    path: str
    tokens: NDArray[np.uint16] = field(repr=False, compare=False)
    notes: int
    bars: int
    shingles: NDArray[np.uint32] = field(repr=False, compare=False)


def tokenised(
    source: TokenSource,
    representation: Representation[Any],
    rules: StreamRules,
    *,
    cache: str | Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> pa.Table:
    """The rows of a corpus, from the cache as far as nothing has changed.

    Args:
        source: The corpus.
        representation: Turns a score into tokens.
        rules: What is kept.
        cache: Cache folder; by default ``MUSICZOO_CACHE`` or the user's cache folder of the
            platform.
        workers: Worker processes; None for one a core, 1 for this process.
        progress: Show a progress bar.

    Returns:
        Rows of :data:`SCHEMA`, in the order of the source's items; without those of ``refused``.

    Raises:
        MusicZooError: The cache cannot be written to. What was tokenised before stays for the next
            run.
    """
    folder = tokens_folder(cache)
    note = {"identity": source.identity, "settings": _settings(representation, rules)}
    key = json.dumps([_FORMAT, note, _code(type(representation).__module__)])
    path = folder / f"{source.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.parquet"
    states = {item.id: item.state for item in source.items}
    kept = _rows_of(_read(path), states)
    known = set(kept["item"].to_pylist())
    if known == states.keys():
        return kept
    parts = path.with_suffix(".parts")
    try:
        parts.mkdir(parents=True, exist_ok=True)
        tables = [kept]
        for part in sorted(parts.glob("*.parquet")):
            finished = _rows_of(
                _read(part), {name: state for name, state in states.items() if name not in known}
            )
            tables.append(finished)
            known |= set(finished["item"].to_pylist())
        left = [item for item in source.items if item.id not in known]
        tables += _tokenise(source, left, representation, rules, parts, note, workers, progress)
        table = _in_order(pa.concat_tables(tables), list(states))
        _write(table, path, note)
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
                " what was tokenised."
            ),
        ) from error
    shutil.rmtree(parts, ignore_errors=True)
    _remove_stale(path, note)
    return table


def pieces_of(table: pa.Table) -> list[TokenisedPiece]:
    """The pieces among rows of :data:`SCHEMA`; their tokens are views of the table."""
    table = table.filter(pc.is_null(table["reason"]))
    columns = [table[name].to_pylist() for name in ("id", "source", "path")]
    tokens, prints = (
        _arrays(table[name], kind)
        for name, kind in (("tokens", TOKEN_TYPE), ("shingles", np.dtype("<u4")))
    )
    counts = [table[name].to_pylist() for name in ("notes", "bars")]
    return [TokenisedPiece(*row) for row in zip(*columns, tokens, *counts, prints, strict=True)]


def cached_clusters(
    pieces: Sequence[TokenisedPiece], *, cache: str | Path | None = None
) -> list[int]:
    """For each piece the index of the first one of its cluster of near-duplicates.

    Clusters are of all corpora together and of whatever is left in them, so they are kept beside
    the tables, not in them.
    """
    digest = hashlib.sha256(json.dumps([piece.id for piece in pieces]).encode())
    for piece in pieces:
        digest.update(piece.shingles.tobytes())
    note = {"pieces": digest.hexdigest(), "rules": _code("musiczoo.music.near_duplicates")}
    sources = "-".join(sorted({piece.source for piece in pieces}))
    names = hashlib.sha256(sources.encode()).hexdigest()[:16]
    path = tokens_folder(cache) / f"clusters-{names}.parquet"
    if (
        _read_note(path) == note
        and (table := _read(path, _CLUSTERS)) is not None
        and table.num_rows == len(pieces)
    ):
        return list(table["cluster"].to_pylist())
    found = clusters([piece.shingles for piece in pieces])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(pa.table([pa.array(found, pa.int32())], schema=_CLUSTERS), path, note)
    except (OSError, MusicZooError) as error:  # they are only found anew the next time
        _log.warning("The clusters of near-duplicates cannot be kept: %s", error)
    return found


def tokens_folder(cache: str | Path | None = None) -> Path:
    """The folder of the tables inside a cache folder."""
    return (Path(cache) if cache is not None else cache_folder()) / "tokens"


def _tokenise(
    source: TokenSource,
    items: Sequence[Unread],
    representation: Representation[Any],
    rules: StreamRules,
    parts: Path,
    note: dict[str, Any],
    workers: int | None,
    progress: bool,
) -> list[pa.Table]:
    size = max(_CHUNK_ITEMS, len(items) // _MOST_CHUNKS)
    chunks = [items[start : start + size] for start in range(0, len(items), size)]
    here = Tokeniser(representation, rules, source.name, source.root)
    arguments = (type(representation), representation.to_config(), rules, source.name, source.root)
    pool: WorkerPool[Unread, list[Row]] = WorkerPool(
        Tokeniser.of,
        arguments,
        lambda item: [here.refused(item, "The process that read it died.")],
        workers=workers,
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("items"),
        TimeRemainingColumn(),
    )
    tables = []
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task(
            f"Tokenising {source.name}",
            total=len(source.items),
            completed=len(source.items) - len(items),
        )
        for index, results in pool.run(chunks):
            table = pa.Table.from_pylist(
                [dict.fromkeys(SCHEMA.names) | row for rows in results for row in rows],
                schema=SCHEMA,
            )
            name = hashlib.sha256(
                json.dumps([[item.id, item.state] for item in chunks[index]]).encode()
            ).hexdigest()[:16]
            # Made anew each time: another process that tokenised the same corpus may have finished
            # and tidied up.
            parts.mkdir(parents=True, exist_ok=True)
            _write(table, parts / f"{name}.parquet", note)
            tables.append(table)
            bar.advance(task, len(chunks[index]))
    return tables


def _settings(representation: Representation[Any], rules: StreamRules) -> dict[str, Any]:
    kind = type(representation)
    return {
        "kind": f"{kind.__module__}.{kind.__qualname__}",
        "config": representation.to_config(),
        "rules": rules.to_config(),
    }


def _rows_of(table: pa.Table | None, states: dict[str, str]) -> pa.Table:
    """The rows of items that are as they were."""
    if table is None:
        return SCHEMA.empty_table()
    same = [
        states.get(item) == state
        for item, state in zip(table["item"].to_pylist(), table["state"].to_pylist(), strict=True)
    ]
    return table if all(same) else table.filter(pa.array(same, pa.bool_()))


def _in_order(table: pa.Table, items: Sequence[str]) -> pa.Table:
    place = {item: index for index, item in enumerate(items)}
    # Stable: the rows of one file stay in the order of its pieces.
    return table.take(
        pc.array_sort_indices(
            pa.array([place[item] for item in table["item"].to_pylist()], pa.int64())
        )
    )


def _arrays(column: pa.ChunkedArray, kind: np.dtype[Any]) -> list[NDArray[Any]]:
    """The values of a binary column without nulls as arrays, without copying them."""
    found: list[NDArray[Any]] = []
    for chunk in column.chunks:
        _, offsets, data = chunk.buffers()
        ends = np.frombuffer(offsets, np.int32)[
            chunk.offset : chunk.offset + len(chunk) + 1
        ].tolist()
        values = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
        found += [values[start:end].view(kind) for start, end in pairwise(ends)]
    return found


def _write(table: pa.Table, path: Path, note: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    header = {_NOTE: json.dumps(note, sort_keys=True).encode()}
    pq.write_table(
        table.combine_chunks().replace_schema_metadata(header), buffer, compression="zstd"
    )
    write_atomically(path, buffer.getvalue())


def _read(path: Path, schema: pa.Schema = SCHEMA) -> pa.Table | None:
    """A table, or None where there is none; a damaged one is told of and counts as none."""
    if not path.exists():
        return None
    try:
        # Not read_table, which imports pyarrow.dataset and, where it is installed, all of pandas.
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        _log.warning("%s cannot be read (%s); it is made again.", path, error)
        return None
    return table.replace_schema_metadata(None) if table.schema.equals(schema) else None


def _read_note(path: Path) -> dict[str, Any]:
    try:
        found = (pq.read_schema(path).metadata or {}).get(_NOTE)
    except (pa.ArrowException, OSError):
        return {}
    return {} if found is None else dict(json.loads(found))


def _remove_stale(path: Path, note: dict[str, Any]) -> None:
    """Removes the tables of the same corpus and settings that other code has made."""
    for other in path.parent.glob(f"{path.name.rpartition('-')[0]}-*.parquet"):
        if other != path and _read_note(other) == note:
            with contextlib.suppress(OSError):
                other.unlink()
            shutil.rmtree(other.with_suffix(".parts"), ignore_errors=True)


@remember
def _code(module: str) -> str:
    """A digest of the code that makes tokens, ours and that of the libraries, so that no release can forget to make old ones invalid."""
    libraries = [
        f"{name} {importlib.metadata.version(name)}"
        for name in ("miditok", "music21", "symusic", "lxml")
    ]
    digest = hashlib.sha256("\n".join(libraries).encode())
    for name, file in sorted(modules_behind(module, *_FIRST_MODULES).items()):
        digest.update(name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def modules_behind(*names: str) -> dict[str, Path]:
    """The files of modules and of what they import of musiczoo, directly or not, at their top or inside their functions."""
    found: dict[str, Path] = {}
    left = list(names)
    while left:
        name = left.pop()
        if name in found:
            continue
        spec = None
        with contextlib.suppress(
            ValueError, ModuleNotFoundError
        ):  # a class of one's own, defined in a notebook or script
            spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            continue
        found[name] = Path(spec.origin)
        left += _IMPORT.findall(found[name].read_text("utf-8"))
    return found
