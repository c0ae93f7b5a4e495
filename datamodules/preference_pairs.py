"""Preference pairs from files, from corpora by degradation, and from memory.

Files of pairs are JSON lines or Parquet with a row for each pair, or the published format of
NotaGen (Wang et al. 2025, arXiv 2502.18008): ``{"chosen": [paths], "rejected": [paths]}``, which
means every chosen piece against every rejected one. The columns of a row are:

* ``chosen``, ``rejected``: ABC text (standard or interleaved, bar counters allowed), or the path of
  a file of any format that :func:`musiczoo.music.read` opens, relative to the folder of the file of
  pairs.
* ``period``, ``composer``, ``instrumentation``: the prompt of both sides; all three or none.
* ``id``: a name that lasts, because crops follow from it; without one, the name of the file and the
  number of the row.
* ``group``: pairs of one group are never split between training and validation.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from musiczoo.datamodules.paired_pieces import (
    SIDES,
    Found,
    PieceLists,
    PreferencePair,
    SkippedPair,
    ready,
)
from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.abc.cleaning import clean
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.degradation.notation import Degradation, degrade
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import read
from musiczoo.music.recipes.labels import Labels

__all__ = [
    "Found",
    "PieceLists",
    "PreferencePair",
    "SkippedPair",
    "pairs_by_degradation",
    "pairs_in_memory",
    "pairs_of_file",
    "ready",
]

_LABELS = ("period", "composer", "instrumentation")
_COLUMNS = (*SIDES, *_LABELS, "id", "group")


def pairs_of_file(path: str | Path, *, prompts: bool = True) -> Found:
    """Reads a file of pairs.

    Args:
        path: JSON lines (``.jsonl``), Parquet, or NotaGen's JSON.
        prompts: Put labels before both sides.

    Raises:
        MusicZooError: The file cannot be read, or is of another format.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    found = Found()
    if suffix not in (".jsonl", ".ndjson", ".parquet", ".json"):
        raise MusicZooError(
            f"Pairs are not read from {suffix or 'files without suffix'}.",
            path=file,
            remedy="Give JSON lines (.jsonl), Parquet or JSON.",
        )
    if suffix == ".json":
        return _notagen(file, found)
    rows = _parquet_rows(file) if suffix == ".parquet" else _json_lines(file)
    for number, row in enumerate(rows, 1):
        name = f"{file.name}#{number}"
        if not isinstance(row, Mapping):
            found.skipped.append(SkippedPair(name, str(row)))
            continue
        found.ignored |= {str(column) for column in row if column not in _COLUMNS}
        _add(found, name, row, file.parent, prompts=prompts)
    return found


def pairs_in_memory(pairs: Iterable[Any], *, prompts: bool = True) -> Found:
    """Pairs and the contents of files of pairs, ready to train on.

    Args:
        pairs: :class:`PreferencePair`; or ``(chosen, rejected)`` with tunes, ABC texts or paths; or
            paths of files of pairs.
        prompts: Put labels before both sides.

    Raises:
        MusicZooError: Something else, or a file that cannot be read.
    """
    found = Found()
    for number, item in enumerate(pairs):
        name = f"pairs[{number}]"
        if isinstance(item, str | Path):
            other = pairs_of_file(item, prompts=prompts)
            found.pairs += other.pairs
            found.lists += other.lists
            found.skipped += other.skipped
            found.ignored |= other.ignored
        elif isinstance(item, PreferencePair):
            try:
                found.pairs.append(ready(item, prompts))
            except MusicZooError as error:
                found.skipped.append(SkippedPair(item.id, _reason(error)))
        elif isinstance(item, tuple | list) and len(item) == 2:
            _add(found, name, dict(zip(SIDES, item, strict=True)), Path(), prompts=prompts)
        else:
            raise MusicZooError(
                f"A {type(item).__name__} is no pair.",
                where=name,
                remedy="Give PreferencePair, (chosen, rejected), or files of pairs.",
            )
    return found


def pairs_by_degradation(
    works: Iterable[Work],
    degradation: Degradation | None = None,
    *,
    prompts: bool = True,
    seed: int = 0,
) -> Found:
    """Works against worse versions of themselves under the same prompt.

    Args:
        works: The chosen pieces.
        degradation: What is done to them.
        prompts: Put labels before both sides.
        seed: The result follows from it and the work's id alone.
    """
    found = Found()
    for work in works:
        try:
            chosen = clean(work.tune)
            rejected, operations = degrade(
                chosen, degradation, rng=random.Random(f"{seed}:{work.id}")
            )
            found.pairs.append(
                ready(
                    PreferencePair(chosen, rejected, work.id, "", work.labels, tuple(operations)),
                    prompts,
                )
            )
        except MusicZooError as error:
            found.skipped.append(SkippedPair(work.id, _reason(error)))
    return found


def _add(found: Found, name: str, row: Mapping[str, Any], folder: Path, *, prompts: bool) -> None:
    """Adds the pair of a row of columns, or the reason why it cannot be used."""
    try:
        sides = [_side(row, side, folder) for side in SIDES]
        labels = _labels(row)
        pair = PreferencePair(
            sides[0], sides[1], str(row.get("id") or name), str(row.get("group") or ""), labels
        )
        found.pairs.append(ready(pair, prompts))
    except MusicZooError as error:
        found.skipped.append(SkippedPair(str(row.get("id") or name), _reason(error)))


def _notagen(file: Path, found: Found) -> Found:
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from error
    lists = [content.get(side) if isinstance(content, Mapping) else None for side in SIDES]
    if not all(isinstance(paths, list) for paths in lists):
        raise MusicZooError(
            "The file does not hold lists of chosen and rejected pieces.",
            path=file,
            remedy=(
                'Write {"chosen": [paths], "rejected": [paths]}, or one row for each pair as JSON'
                " lines (.jsonl)."
            ),
        )
    found.ignored |= {str(name) for name in content if name not in SIDES}
    sides: list[tuple[tuple[str, Tune], ...]] = []
    for side, paths in zip(SIDES, lists, strict=True):
        pieces: list[tuple[str, Tune]] = []
        for number, value in enumerate(paths or [], 1):
            name = (
                value
                if isinstance(value, str) and "\n" not in value
                else f"{file.name} {side}#{number}"
            )
            try:
                tune = clean(_side({side: value}, side, file.parent))
                if not tune.notes():
                    raise MusicZooError(f"the {side} side has no notes")
                pieces.append((name, tune))
            except MusicZooError as error:
                found.skipped.append(SkippedPair(name, _reason(error)))
        sides.append(tuple(pieces))
    # A piece on both sides would be better than itself.
    both = [tune for _, tune in sides[0] if any(tune == other for _, other in sides[1])]
    for pieces_of_side in sides:
        found.skipped += [
            SkippedPair(name, "the piece is on both sides")
            for name, tune in pieces_of_side
            if tune in both
        ]
    found.lists.append(
        PieceLists(*(tuple(piece for piece in side if piece[1] not in both) for side in sides))
    )
    return found


def _json_lines(file: Path) -> Iterator[Any]:
    """The objects of a file; for a line without one, the reason as text."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from error
    for line in lines:
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                yield f"the line is no JSON: {error}"
                continue
            yield row if isinstance(row, dict) else "the line is no JSON object"


def _parquet_rows(file: Path) -> Sequence[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(file, error) from error
    return rows


def _unreadable(file: Path, error: Exception) -> MusicZooError:
    return MusicZooError(
        f"The file of pairs cannot be read: {error}",
        path=file,
        remedy="Check the path and the format.",
    )


def _side(row: Mapping[str, Any], side: str, folder: Path) -> Tune:
    if side not in row:
        raise MusicZooError(
            f"there is no {side} side among {', '.join(map(str, row)) or 'no columns'}"
        )
    value = row[side]
    if isinstance(value, Tune):
        return value
    if not isinstance(value, str | Path):
        raise MusicZooError(
            f"the {side} side is {'empty' if value is None else f'a {type(value).__name__}'}"
        )
    if not str(value).strip():
        raise MusicZooError(f"the {side} side is empty")
    try:
        piece = (
            read_abc(value) if isinstance(value, str) and "\n" in value else read(folder / value)
        )
    except MusicZooError as error:
        raise MusicZooError(f"the {side} side cannot be read: {error}") from error
    if not isinstance(piece, Tune):
        raise MusicZooError(f"the {side} side is performed music, not notation")
    return piece


def _labels(row: Mapping[str, Any]) -> Labels | None:
    given = {name: str(row[name]) for name in _LABELS if row.get(name)}
    if given and len(given) < len(_LABELS):
        raise MusicZooError(f"of the prompt only {', '.join(given)} is given")
    return Labels(**given) if given else None


def _reason(error: MusicZooError) -> str:
    return ", ".join(part for part in (error.where, error.message) if part)
