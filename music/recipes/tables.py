"""Metadata tables of corpora: CSV, TSV and JSON files, whose errors are raised as ours."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from musiczoo.music.errors import MusicZooError

_REMEDY = "Download it again, or read the folder without its recipe (--recipe none)."


def rows(path: Path, *needed: str, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """The rows of a table with a header; missing cells are empty.

    Raises:
        MusicZooError: The table cannot be read, is not UTF-8, or lacks a needed column.
    """
    csv.field_size_limit(2**24)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, delimiter=delimiter, restval="")
            if missing := set(needed) - set(reader.fieldnames or ()):
                raise MusicZooError(
                    f"The table has no column {', '.join(sorted(missing))}.",
                    path=path,
                    remedy=_REMEDY,
                )
            for row in reader:
                yield {name: value or "" for name, value in row.items() if name}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MusicZooError(
            f"The table cannot be read ({error}).", path=path, remedy=_REMEDY
        ) from error


def json_file(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        MusicZooError: It cannot be read.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise MusicZooError(
            f"The file cannot be read ({error}).", path=path, remedy=_REMEDY
        ) from error


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file with one JSON object a line.

    Raises:
        MusicZooError: It cannot be read.
    """
    line = 0
    try:
        with path.open(encoding="utf-8") as stream:
            for text in stream:
                line += 1
                if text.strip():
                    yield json.loads(text)
    except (OSError, ValueError) as error:
        raise MusicZooError(
            f"The file cannot be read ({error}).", path=path, where=f"line {line}", remedy=_REMEDY
        ) from error


def years(born: str, died: str) -> tuple[int, int] | None:
    """Two years from a table; None where one of them is missing or no number."""
    try:
        return int(float(born)), int(float(died))
    except ValueError:
        return None
