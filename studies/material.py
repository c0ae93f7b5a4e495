"""The pieces, captions and labels of a study, read from the user's folders and tables."""

from __future__ import annotations

import csv
import io
import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import ABC_SUFFIXES, MIDI_SUFFIXES, MUSICXML_SUFFIXES, read_all

if TYPE_CHECKING:
    from symusic.core import ScoreTick

    Piece = Tune | ScoreTick

#: Notation first: where a folder holds one piece in several formats, the first of these is used.
SUFFIXES = (
    *sorted(ABC_SUFFIXES),
    ".musicxml",
    ".mxl",
    ".xml",
    ".mid",
    ".midi",
    *sorted(MIDI_SUFFIXES - {".mid", ".midi"}),
)
assert set(SUFFIXES) == ABC_SUFFIXES | MUSICXML_SUFFIXES | MIDI_SUFFIXES


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file, item or line that is not in the study, and why."""

    what: str
    reason: str


@dataclass(frozen=True)
class Version:
    """What one system made of one item."""

    path: Path | None = None
    piece: Piece | None = None
    caption: str = ""


@dataclass
class Material:
    """Everything a study is made from.

    Attributes:
        systems: Names of the systems.
        versions: For each item what each system made of it.
        clips: For each item the piece that captions describe; empty in the other kinds.
        captions: For each item a text that stands above all of its versions.
        labels: For each item its labels by their column.
        skipped: What could not be used.
    """

    systems: tuple[str, ...]
    versions: dict[str, dict[str, Version]]
    clips: dict[str, Version] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)


def read_pieces(
    folders: Mapping[str, str | Path],
    *,
    pair: str = "name",
    captions: str | Path | None = None,
    labels: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Material:
    """The pieces of several systems, brought together by item.

    Args:
        folders: A folder of ABC, MusicXML or MIDI files (subfolders too) for each system.
        pair: ``"name"``: files of the same name (path in the folder, without suffix) are versions
            of one item; ``"order"``: the first files of all folders in alphabetical order are, then
            the second ones, and so on.
        captions: A table with the columns ``item`` and ``caption``, and ``system`` where the
            systems' captions differ.
        labels: A table with the column ``item`` and any others.
        progress: Called with the number of files read and of all files.

    Raises:
        MusicZooError: Fewer than two systems, a folder that cannot be read, a table that cannot be
            used, or no item of which every system has a readable version.
    """
    if len(folders) < 2:
        raise MusicZooError(
            "A study compares two or more systems.",
            remedy="Name two folders: --system NAME=FOLDER --system NAME=FOLDER.",
        )
    skipped: list[Skipped] = []
    files = {system: _pieces_in(Path(folder), skipped) for system, folder in folders.items()}
    if pair == "order":
        files = {
            system: {f"{number:04d}": path for number, path in enumerate(found.values(), 1)}
            for system, found in files.items()
        }
    everywhere = [
        name
        for name in next(iter(files.values()))
        if all(name in found for found in files.values())
    ]
    for system, found in files.items():
        missing = [path for name, path in found.items() if name not in everywhere]
        skipped += [
            Skipped(str(path), f"has no counterpart in every other system's folder ({system} has)")
            for path in missing
        ]
    if not everywhere:
        raise MusicZooError(
            "The systems' folders have no file name in common.",
            path=next(iter(folders.values())),
            remedy=(
                "Give versions of one item the same name, or pair them by alphabetical order"
                " (--pair order)."
            ),
        )
    versions: dict[str, dict[str, Version]] = {}
    for number, name in enumerate(everywhere):
        row = {system: _version(files[system][name], skipped) for system in folders}
        if all(version is not None for version in row.values()):
            versions[name] = {
                system: version for system, version in row.items() if version is not None
            }
        else:
            skipped.append(
                Skipped(
                    name,
                    "the item is left out, because not every system has a version that can be used",
                )
            )
        if progress is not None:
            progress(number + 1, len(everywhere))
    _require(versions, skipped)
    material = Material(tuple(folders), versions, skipped=skipped)
    if captions is not None:
        _put_captions(material, Path(captions))
    if labels is not None:
        _put_labels(material, Path(labels))
    return material


def read_captions(
    pieces: str | Path,
    captions: str | Path,
    *,
    labels: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Material:
    """Clips, and what each system says of them.

    Args:
        pieces: A folder of ABC, MusicXML or MIDI files.
        captions: A table with the columns ``item`` (name of a clip), ``system`` and ``caption``.
        labels: A table with the column ``item`` and any others.
        progress: Called with the number of files read and of all files.

    Raises:
        MusicZooError: A folder or table that cannot be used, fewer than two systems, or no clip
            that every system describes.
    """
    skipped: list[Skipped] = []
    files = _pieces_in(Path(pieces), skipped)
    said: dict[str, dict[str, Version]] = {name: {} for name in files}
    systems: dict[str, None] = {}
    for place, row in _table(Path(captions), ("item", "system", "caption")):
        name = _item(row["item"], files)
        if (
            name is None
            or not row["caption"].strip()
            or not row["system"].strip()
            or row["system"] in said[name]
        ):
            twice = name is not None and row["system"] in said[name]
            reason = (
                "this system has a caption for the clip already"
                if twice
                else "no such clip, no caption or no system"
            )
            skipped.append(Skipped(f"{captions}, {place}", reason))
            continue
        systems[row["system"]] = None
        said[name][row["system"]] = Version(caption=row["caption"].strip())
    if len(systems) < 2:
        raise MusicZooError(
            "Captions of two or more systems are needed.",
            path=captions,
            remedy="Name them in the column system.",
        )
    clips, versions = {}, {}
    for number, (name, path) in enumerate(files.items()):
        if len(said[name]) < len(systems):
            skipped.append(Skipped(str(path), "not every system has a caption for it"))
        elif (clip := _version(path, skipped)) is not None:
            clips[name], versions[name] = clip, {system: said[name][system] for system in systems}
        if progress is not None:
            progress(number + 1, len(files))
    _require(versions, skipped)
    material = Material(tuple(systems), versions, clips, skipped=skipped)
    if labels is not None:
        _put_labels(material, Path(labels))
    return material


def _require(versions: Mapping[str, object], skipped: Sequence[Skipped]) -> None:
    if not versions:
        raise MusicZooError(
            f"Not one item can be used; the first of {len(skipped)} reasons: {skipped[0].what}:"
            f" {skipped[0].reason}",
            remedy="Every system needs a readable version of an item.",
        )


def _pieces_in(folder: Path, skipped: list[Skipped]) -> dict[str, Path]:
    """The files of a folder by item, in alphabetical order."""
    if not folder.is_dir():
        raise MusicZooError("There is no such folder.", path=folder)
    found: dict[str, Path] = {}
    problems: list[OSError] = []
    paths = sorted(
        Path(root, name)
        for root, _, names in os.walk(folder, onerror=problems.append)
        for name in names
    )
    skipped += [
        Skipped(str(error.filename), f"the folder cannot be read ({error.strerror})")
        for error in problems
    ]
    rank = {suffix: number for number, suffix in enumerate(SUFFIXES)}
    for path in sorted(paths, key=lambda path: rank.get(path.suffix.lower(), len(rank))):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if path.suffix.lower() not in rank:
            skipped.append(Skipped(str(path), "is neither ABC nor MusicXML nor MIDI by its suffix"))
        elif name in found:
            skipped.append(
                Skipped(str(path), f"{found[name].name} is the same piece in another format")
            )
        else:
            found[name] = path
    if not found:
        raise MusicZooError("The folder holds no ABC, MusicXML or MIDI file.", path=folder)
    return dict(sorted(found.items()))


def _version(path: Path, skipped: list[Skipped]) -> Version | None:
    """The one piece of a file, or None with the reason put down."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tunes left out of a book: told below
            pieces = read_all(path)
        if len(pieces) > 1:
            raise MusicZooError(
                f"The file holds {len(pieces)} tunes.", remedy="Give each a file of its own."
            )
        piece = pieces[0]
        notes = len(piece.notes()) if isinstance(piece, Tune) else int(piece.note_num())
        if not notes:
            raise MusicZooError("The piece has no notes.")
    except MusicZooError as error:
        skipped.append(Skipped(str(path), f"{error.message} {error.remedy or ''}".strip()))
        return None
    return Version(path, piece)


def _put_captions(material: Material, path: Path) -> None:
    for place, row in _table(path, ("item", "caption")):
        name = _item(row["item"], material.versions)
        system = row.get("system", "")
        if name is None or (system and system not in material.systems):
            material.skipped.append(
                Skipped(f"{path}, {place}", "there is no such item or system in the study")
            )
        elif system:
            old = material.versions[name][system]
            material.versions[name][system] = Version(old.path, old.piece, row["caption"].strip())
        else:
            material.captions[name] = row["caption"].strip()


def _put_labels(material: Material, path: Path) -> None:
    for place, row in _table(path, ("item",)):
        name = _item(row["item"], material.versions)
        if name is None:
            material.skipped.append(
                Skipped(f"{path}, {place}", "there is no such item in the study")
            )
        else:
            material.labels[name] = {
                column: value for column, value in row.items() if column != "item"
            }


def _item(text: str, known: Iterable[str]) -> str | None:
    """The item that a table means, with or without a suffix."""
    name = PurePosixPath(text.strip()).as_posix()
    if name in known:
        return name
    bare = PurePosixPath(name).with_suffix("").as_posix() if name not in ("", ".") else name
    return bare if bare in known else None


def _table(path: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """The rows of a CSV file with a header, or of a JSON list of objects, each with the place where it stands."""
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
    raw: list[tuple[str, dict[Any, Any]]]
    if path.suffix.lower() == ".json":
        try:
            rows = json.loads(text)
        except ValueError as error:
            raise MusicZooError(f"This is no JSON ({error}).", path=path, remedy=remedy) from None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise MusicZooError("The table is no list of objects.", path=path, remedy=remedy)
        raw = [(f"row {number}", row) for number, row in enumerate(rows, 1)]
    else:
        reader = csv.DictReader(io.StringIO(text))
        try:
            raw = [(f"line {reader.line_num}", row) for row in reader]
        except csv.Error as error:
            raise MusicZooError(
                f"This is no CSV ({error}).",
                path=path,
                where=f"line {reader.line_num}",
                remedy=remedy,
            ) from None
    table = []
    for place, row in raw:
        if missing := [column for column in columns if row.get(column) is None]:
            raise MusicZooError(
                f"There is no {' and no '.join(missing)}.", path=path, where=place, remedy=remedy
            )
        table.append(
            (
                place,
                {
                    str(column): str(value)
                    for column, value in row.items()
                    if column is not None and value is not None
                },
            )
        )
    return table
