"""Tables of a study's captions and labels, as CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from musiczoo.music.errors import MusicZooError


def item_named(text: str, known: Iterable[str]) -> str | None:
    """The item that a table means, with or without a suffix."""
    name = PurePosixPath(text.strip()).as_posix()
    if name in known:
        return name
    bare = PurePosixPath(name).with_suffix("").as_posix() if name not in ("", ".") else name
    return bare if bare in known else None


def read_table(path: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """The rows of a CSV file with a header, or of a JSON list of objects.

    Args:
        path: The file; JSON by its suffix ``.json``, otherwise CSV.
        columns: Columns that every row must have.

    Returns:
        The place (``"line 3"``) and the values by column of each row.

    Raises:
        MusicZooError: A file that cannot be read, or a row without one of the columns.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MusicZooError(
            f"The table cannot be read ({error}).",
            path=path,
            remedy="Give a CSV or JSON file in UTF-8.",
        ) from None
    remedy = (
        f"Give a CSV file with the columns {', '.join(columns)}, or a JSON list of objects with"
        " these fields."
    )
    rows_of = _json_rows if path.suffix.lower() == ".json" else _csv_rows
    raw = rows_of(path, text, remedy)
    table = []
    for place, row in raw:
        if missing := [column for column in columns if row.get(column) is None]:
            raise MusicZooError(
                f"There is no {' and no '.join(missing)}.", path=path, where=place, remedy=remedy
            )
        known = {
            str(column): str(value)
            for column, value in row.items()
            if column is not None and value is not None
        }
        table.append((place, known))
    return table


def _json_rows(path: Path, text: str, remedy: str) -> list[tuple[str, dict[Any, Any]]]:
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise MusicZooError(f"This is no JSON ({error}).", path=path, remedy=remedy) from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MusicZooError("The table is no list of objects.", path=path, remedy=remedy)
    return [(f"row {number}", row) for number, row in enumerate(rows, 1)]


def _csv_rows(path: Path, text: str, remedy: str) -> list[tuple[str, dict[Any, Any]]]:
    reader = csv.DictReader(io.StringIO(text))
    try:
        return [(f"line {reader.line_num}", row) for row in reader]
    except csv.Error as error:
        raise MusicZooError(
            f"This is no CSV ({error}).",
            path=path,
            where=f"line {reader.line_num}",
            remedy=remedy,
        ) from None
