"""The pieces, captions and labels of a study, read from the user's folders and tables."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import ABC_SUFFIXES, MIDI_SUFFIXES, MUSICXML_SUFFIXES, read_all
from musiczoo.studies.tables import item_named, read_table

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
    """One system's version of one item: a piece, or a caption."""

    path: Path | None = None
    piece: Piece | None = None
    caption: str = ""


@dataclass
class Material:
    """Everything a study is made from.

    Attributes:
        systems: Names of the systems.
        versions: For each item the version of each system.
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
            of one item; ``"order"``: the first files of all folders in alphabetical order are one
            item, the second ones another, and so on.
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
    items = _common_items(files, folders, skipped)
    versions = _versions(files, items, skipped, progress)
    _require(versions, skipped)
    material = Material(tuple(folders), versions, skipped=skipped)
    if captions is not None:
        _put_captions(material, Path(captions))
    if labels is not None:
        _put_labels(material, Path(labels))
    return material


def _common_items(
    files: Mapping[str, Mapping[str, Path]],
    folders: Mapping[str, str | Path],
    skipped: list[Skipped],
) -> list[str]:
    """The items of which every system has a file, in the order of the first system."""
    everywhere = [
        name
        for name in next(iter(files.values()))
        if all(name in found for found in files.values())
    ]
    for system, found in files.items():
        skipped += [
            Skipped(str(path), f"has no counterpart in every other system's folder ({system} has)")
            for name, path in found.items()
            if name not in everywhere
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
    return everywhere


def _versions(
    files: Mapping[str, Mapping[str, Path]],
    items: Sequence[str],
    skipped: list[Skipped],
    progress: Callable[[int, int], None] | None,
) -> dict[str, dict[str, Version]]:
    """Every system's version of each item, as far as all of them can be read."""
    versions: dict[str, dict[str, Version]] = {}
    for number, name in enumerate(items, 1):
        row = {system: _version(found[name], skipped) for system, found in files.items()}
        readable = {system: version for system, version in row.items() if version is not None}
        if len(readable) == len(row):
            versions[name] = readable
        else:
            reason = "the item is left out, because not every system has a version that can be used"
            skipped.append(Skipped(name, reason))
        if progress is not None:
            progress(number, len(items))
    return versions


def read_captions(
    pieces: str | Path,
    captions: str | Path,
    *,
    labels: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Material:
    """Clips, and the captions that each system wrote of them.

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
    given: dict[str, dict[str, Version]] = {name: {} for name in files}
    systems: dict[str, None] = {}
    for place, row in read_table(Path(captions), ("item", "system", "caption")):
        name = item_named(row["item"], files)
        if (
            name is None
            or not row["caption"].strip()
            or not row["system"].strip()
            or row["system"] in given[name]
        ):
            twice = name is not None and row["system"] in given[name]
            reason = (
                "this system has a caption for the clip already"
                if twice
                else "no such clip, no caption or no system"
            )
            skipped.append(Skipped(f"{captions}, {place}", reason))
            continue
        systems[row["system"]] = None
        given[name][row["system"]] = Version(caption=row["caption"].strip())
    if len(systems) < 2:
        raise MusicZooError(
            "Captions of two or more systems are needed.",
            path=captions,
            remedy="Name them in the column system.",
        )
    clips, versions = {}, {}
    for number, (name, path) in enumerate(files.items()):
        if len(given[name]) < len(systems):
            skipped.append(Skipped(str(path), "not every system has a caption for it"))
        elif (clip := _version(path, skipped)) is not None:
            clips[name], versions[name] = clip, {system: given[name][system] for system in systems}
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
    """The one piece of a file, or None with the reason in ``skipped``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tunes left out of a book are reported below
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
    for place, row in read_table(path, ("item", "caption")):
        name = item_named(row["item"], material.versions)
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
    for place, row in read_table(path, ("item",)):
        name = item_named(row["item"], material.versions)
        if name is None:
            material.skipped.append(
                Skipped(f"{path}, {place}", "there is no such item in the study")
            )
        else:
            material.labels[name] = {
                column: value for column, value in row.items() if column != "item"
            }
