"""The file of mined tags: one JSON line a work, which a run that was killed continues."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from musiczoo.llm.works_table import WorkRow
from musiczoo.music.atomic import atomic_stream
from musiczoo.music.errors import MusicZooError

Status = Literal["mined", "no text", "unread", "no answer"]


@dataclass(frozen=True)
class MinedTag:
    """The value of a tag, and the sentence of the text that it rests on."""

    value: str
    quote: str


@dataclass(frozen=True)
class MinedWork:
    """What was mined about a work.

    Attributes:
        work: The work.
        status: ``"mined"``, ``"no text"`` (nothing was found about it), ``"unread"`` (its text
            cannot be read) or ``"no answer"`` (of the model). The next run tries the last two
            again.
        reason: Why there is nothing.
        origin: File or address of the text.
        text_sha256: Of the text.
        writer: Name of the model.
        tags: Those with a quote that stands in the text.
        unknown: Those that the text does not give.
        dropped: Why others are not used.
    """

    work: WorkRow
    status: Status
    reason: str = ""
    origin: str = ""
    text_sha256: str = ""
    writer: str = ""
    tags: Mapping[str, MinedTag] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    dropped: Mapping[str, str] = field(default_factory=dict)

    def to_row(self) -> dict[str, Any]:
        """The work as plain JSON values."""
        row = asdict(self)
        return {**row.pop("work"), **row, "unknown": list(self.unknown)}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> MinedWork:
        """The work of a row.

        Raises:
            MusicZooError: The row is not of such a file.
        """
        try:
            own = {name: row[name] for name in WorkRow.__dataclass_fields__}
            rest = {name: row[name] for name in cls.__dataclass_fields__ if name != "work"}
            rest["tags"] = {name: MinedTag(**tag) for name, tag in rest["tags"].items()}
            return cls(WorkRow(**own), **{**rest, "unknown": tuple(rest["unknown"])})
        except (KeyError, TypeError, AttributeError) as error:
            raise MusicZooError(
                f"This is no row of mined tags: {type(error).__name__}: {error}.",
                remedy="Give a file that musiczoo qa mine has written.",
            ) from error


class MinedFile:
    """A file of mined works that grows row by row; each row is on disk before the next one.

    Args:
        path: JSON lines; made where there is no such file. A last line that was cut short when a
            run was killed is removed.

    Attributes:
        rows: The last row of each work, by its file.

    Raises:
        MusicZooError: The file cannot be read or written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            if not self.path.parent.is_dir():
                self.path.parent.mkdir(parents=True)
            self._stream: BinaryIO = self.path.open("a+b")
            self._stream.seek(0)
            whole, newline, torn = self._stream.read().rpartition(b"\n")
            if torn:
                self._stream.truncate(len(whole) + len(newline))
        except OSError as error:
            raise _unreadable(self.path, error) from error
        self.rows = {row.work.midi: row for row in _parsed(whole.decode(errors="replace"), path)}

    def append(self, row: MinedWork) -> None:
        """Adds a row.

        Raises:
            MusicZooError: The disk is full.
        """
        line = json.dumps(row.to_row(), ensure_ascii=False) + "\n"
        try:
            self._stream.write(line.encode())
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise _unreadable(self.path, error) from error
        self.rows[row.work.midi] = row

    def close(self, order: Iterable[str] | None = None) -> None:
        """Ends the writing.

        Args:
            order: Files of works, in whose order the rows are written once more, without those that
                a later one has replaced.
        """
        self._stream.close()
        if order is None:
            return
        places = {name: place for place, name in enumerate(order)}
        rows = sorted(self.rows.values(), key=lambda row: places.get(row.work.midi, len(places)))
        with atomic_stream(self.path) as stream:
            for row in rows:
                stream.write((json.dumps(row.to_row(), ensure_ascii=False) + "\n").encode())


def read_mined(path: str | Path) -> list[MinedWork]:
    """The last row of each work in a file of mined tags; a line cut short is left out.

    Raises:
        MusicZooError: The file cannot be read.
    """
    try:
        whole = Path(path).read_bytes().rpartition(b"\n")[0]
    except OSError as error:
        raise _unreadable(Path(path), error) from error
    return list({row.work.midi: row for row in _parsed(whole.decode(), path)}.values())


def _parsed(text: str, path: str | Path) -> list[MinedWork]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(MinedWork.from_row(json.loads(line)))
        except (ValueError, MusicZooError) as error:
            reason = error.message if isinstance(error, MusicZooError) else f"No JSON: {error}."
            raise MusicZooError(
                reason,
                path=path,
                where=f"line {number}",
                remedy="Give a file that musiczoo qa mine has written, or remove the line.",
            ) from error
    return found


def _unreadable(path: Path, error: OSError) -> MusicZooError:
    return MusicZooError(
        f"The file cannot be used: {error.strerror or error}.",
        path=path,
        remedy="Check its name, its rights and the free space.",
    )
