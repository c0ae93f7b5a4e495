"""Where labelled pieces come from: folders, tables, corpora and pairs."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from musiczoo.datamodules.works import listed, works_of
from musiczoo.music.abc.cleaning import clean
from musiczoo.music.corpora.corpus import Corpus, Work
from musiczoo.music.corpora.files import files_below
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import read

BY = ("composer", "period", "instrumentation", "source")
_TABLES = (".csv", ".parquet", ".tsv")


class Labelled(NamedTuple):
    """A piece that has not been read yet.

    Attributes:
        name: Unique and lasting.
        read: Reads it.
        labels: Its labels.
    """

    name: str
    read: Callable[[], Any]
    labels: tuple[str, ...]


def labelled_pieces(
    source: Any, by: str, *, cache: str | Path | None = None, progress: bool = True
) -> list[Labelled]:
    """The pieces of a source with their labels; see ``LabelledMidiDataModule``.

    Raises:
        MusicZooError: A source that cannot be used.
    """
    if isinstance(source, str | Path) and Path(source).is_dir():
        return list(_of_folder(Path(source)))
    if isinstance(source, str | Path) and Path(source).suffix.lower() in _TABLES:
        return list(_of_table(Path(source)))
    parts = listed(source)
    if parts and isinstance(parts[0], str | Path | Corpus | Work):
        if by not in BY:
            raise MusicZooError(
                f"A corpus has no labels {by!r}.", where="by", remedy=f"Give {', '.join(BY)}."
            )
        return list(_of_works(works_of(source, cache=cache, progress=progress), by))
    return [_of_pair(number, pair) for number, pair in enumerate(parts)]


def _of_folder(folder: Path) -> Iterator[Labelled]:
    for file in files_below(folder):
        label, inside, _ = file.path.partition(os.sep if os.sep in file.path else "/")
        if inside and file.left_out is None:
            yield Labelled(file.path, _reader(folder / file.path), (label,))


def _of_table(path: Path) -> Iterator[Labelled]:
    for number, row in enumerate(_rows(path), 2):
        stated = row.get("labels") or row.get("label")
        if not row.get("path") or stated is None:
            raise MusicZooError(
                "A row has no path or no label.",
                path=path,
                where=f"line {number}",
                remedy="Give the columns path and label (or labels, divided by ;).",
            )
        parts = stated if isinstance(stated, list) else str(stated).split(";")
        labels = tuple(sorted({part.strip() for part in parts if part.strip()}))
        yield Labelled(str(row["path"]), _reader(path.parent / str(row["path"])), labels)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet as pq

            rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
            return rows
        with open(path, encoding="utf-8-sig", newline="") as stream:
            tab = "\t" if path.suffix.lower() == ".tsv" else ","
            return list(csv.DictReader(stream, delimiter=tab))
    except (OSError, ValueError, csv.Error) as error:
        raise MusicZooError(
            f"The table cannot be read ({error}).", path=path, remedy="Give CSV or Parquet."
        ) from error


def _of_works(works: Iterator[Work], by: str) -> Iterator[Labelled]:
    for work in works:
        if by == "source":
            label: str | None = work.source
        else:
            label = None if work.labels is None else str(getattr(work.labels, by))
        labels = () if not label else (label,)
        yield Labelled(work.id, _work_reader(work), labels)


def _of_pair(number: int, pair: Any) -> Labelled:
    try:
        piece, stated = pair
    except (TypeError, ValueError):
        raise MusicZooError(
            f"Entry {number} is no pair of a piece and its labels.",
            where="source",
            remedy="Give pairs, a folder, a table or corpora.",
        ) from None
    labels: Sequence[str] = (stated,) if isinstance(stated, str) else tuple(stated)
    if isinstance(piece, str | Path):
        return Labelled(str(piece), _reader(Path(piece)), tuple(labels))
    return Labelled(f"{number:06d}", lambda: piece, tuple(labels))


def _reader(path: Path) -> Callable[[], Any]:
    return lambda: read(path)


def _work_reader(work: Work) -> Callable[[], Any]:
    return lambda: clean(work.tune)
