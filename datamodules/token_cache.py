"""The cache of tokenised corpora: one Parquet file a corpus, representation and set of rules.

The state of each file or tune when it was tokenised stands in its rows, so that only new and
changed ones are tokenised again. The name of the file is made of the corpus, the settings and the
code that makes tokens; one that other code has made of the same is out of date and removed.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache as remember
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from musiczoo.datamodules.tokenising import TOKEN_TYPE, Row, StreamRules, Tokeniser, Unread
from musiczoo.music.code_digest import digest_of_code, modules_behind
from musiczoo.music.errors import MusicZooError
from musiczoo.music.item_table import ItemTable, making, progress_bar, rows_in_order
from musiczoo.music.near_duplicates import clusters
from musiczoo.music.parquet_cache import (
    cache_folder,
    path_of_key,
    read_note,
    stored_table,
    write_table,
)
from musiczoo.music.workers import WorkerPool
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
"""A row is a piece with its tokens (uint16), or what was left out with the reason.

Every file has at least one row.
"""

_CLUSTERS = pa.schema([("cluster", pa.int32())])
_FORMAT = 1
_CHUNK_ITEMS = 16
_MOST_CHUNKS = 512
# The rows of an item are the work of this module and of what it imports; so are clusters of the
# second one.
_TOKENISING = "musiczoo.datamodules.tokenising"
_CLUSTERING = "musiczoo.music.near_duplicates"
_LIBRARIES = ("miditok", "music21", "symusic", "lxml")
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
    note = {"identity": source.identity, "settings": _settings(representation, rules)}
    key = [_FORMAT, note, _code(_TOKENISING, type(representation).__module__)]
    path = path_of_key(tokens_folder(cache), source.name, key)
    item_table = ItemTable(path, SCHEMA, "item", ("state",), note)
    states = {item.id: (item.state,) for item in source.items}
    kept = item_table.unchanged(item_table.stored(), states)
    known = set(kept["item"].to_pylist())
    if known == states.keys():
        return kept
    with making(path, "tokenised"):
        tables, done = item_table.resumed(
            {item: state for item, state in states.items() if item not in known}
        )
        left = [item for item in source.items if item.id not in known | done]
        with progress_bar(
            f"Tokenising {source.name}",
            "items",
            total=len(source.items),
            done=len(source.items) - len(left),
            shown=progress,
        ) as show:
            tables += item_table.make_parts(
                left,
                lambda item: (item.id, item.state),
                _pool(source, representation, rules, workers),
                chunk=max(_CHUNK_ITEMS, len(left) // _MOST_CHUNKS),
                show=show,
            )
        table = rows_in_order(pa.concat_tables([kept, *tables]), "item", list(states))
        item_table.write(table)
    item_table.remove_stale(lambda other: other == note)
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

    Clusters are of all corpora together, without what was left out, so they are kept beside
    the tables, not in them.
    """
    digest = hashlib.sha256(json.dumps([piece.id for piece in pieces]).encode())
    for piece in pieces:
        digest.update(piece.shingles.tobytes())
    note = {"pieces": digest.hexdigest(), "rules": _code(_CLUSTERING)}
    sources = "-".join(sorted({piece.source for piece in pieces}))
    names = hashlib.sha256(sources.encode()).hexdigest()[:16]
    path = tokens_folder(cache) / f"clusters-{names}.parquet"
    if (
        read_note(path) == note
        and (table := stored_table(path, _CLUSTERS)) is not None
        and table.num_rows == len(pieces)
    ):
        return list(table["cluster"].to_pylist())
    found = clusters([piece.shingles for piece in pieces])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(pa.table([pa.array(found, pa.int32())], schema=_CLUSTERS), path, note)
    except (OSError, MusicZooError) as error:  # they are only computed again the next time
        _log.warning("The clusters of near-duplicates cannot be kept: %s", error)
    return found


def tokens_folder(cache: str | Path | None = None) -> Path:
    """The folder of the tables inside a cache folder."""
    return (Path(cache) if cache is not None else cache_folder()) / "tokens"


def _pool(
    source: TokenSource,
    representation: Representation[Any],
    rules: StreamRules,
    workers: int | None,
) -> WorkerPool[Unread, list[Row]]:
    here = Tokeniser(representation, rules, source.name, source.root)
    arguments = (type(representation), representation.to_config(), rules, source.name, source.root)
    return WorkerPool(
        Tokeniser.of,
        arguments,
        lambda item: [here.refused(item, "The process that read it died.")],
        workers=workers,
    )


def _settings(representation: Representation[Any], rules: StreamRules) -> dict[str, Any]:
    kind = type(representation)
    return {
        "kind": f"{kind.__module__}.{kind.__qualname__}",
        "config": representation.to_config(),
        "rules": rules.to_config(),
    }


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


@remember
def _code(*modules: str) -> str:
    """A digest of the code that makes tokens or clusters, ours and that of the libraries."""
    return digest_of_code(modules_behind(*modules), _LIBRARIES)
