"""The files of a folder: which ones may hold music, and for every other one what it is instead."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from musiczoo.music.errors import MusicZooError

SUFFIXES = frozenset(
    {".abc", ".capx", ".kar", ".krn", ".mei", ".mid", ".midi", ".musicxml", ".mxl", ".rmi", ".xml"}
)
"""Endings of the files that are read, in lower case."""

MUSESCORE = (
    "MuseScore's own format, which is not read: export it to MusicXML (mscore -o score.musicxml"
    " score.mscx)"
)
_NOTATION = "a notation program's own format: export it to MusicXML"
_ARCHIVE = "an archive: unpack it first"
_WHAT_ELSE = {
    **dict.fromkeys((".mscx", ".mscz"), MUSESCORE),
    **dict.fromkeys(
        (
            ".musx",
            ".mus",
            ".sib",
            ".cap",
            ".enc",
            ".nwc",
            ".gp",
            ".gp3",
            ".gp4",
            ".gp5",
            ".gpx",
            ".dorico",
            ".ly",
        ),
        _NOTATION,
    ),
    **dict.fromkeys(
        (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"), _ARCHIVE
    ),
    **dict.fromkeys((".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aac"), "sound"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".svg", ".psd"), "a picture"),
    ".pdf": "a document: its MusicXML is needed",
    ".rntxt": "a harmonic analysis, not a score",
}


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """A file of a corpus.

    Attributes:
        path: Relative to the corpus, with slashes.
        size: Bytes.
        mtime_ns: Time of the last change in nanoseconds. With the path and the size it
            decides whether a file has to be read again.
        left_out: Why it is not read; None where it is.
    """

    path: str
    size: int
    mtime_ns: int
    left_out: str | None = None


def files_below(root: Path, *, without: Path | None = None) -> list[CorpusFile]:
    """Every file of a folder and the folders below it, in order of path.

    Links to files count as files; links to folders are listed and not followed, so that no file is
    met twice and the search always ends. A hidden folder (``.git``) is listed as one.

    Args:
        root: The folder.
        without: A folder that is passed over: that of our own cache, should it lie inside.

    Raises:
        MusicZooError: The folder itself cannot be opened.
    """
    found: list[CorpusFile] = []

    def unreadable(error: OSError) -> None:
        if Path(error.filename) == root:
            raise MusicZooError(
                f"The folder cannot be opened: {error.strerror}.",
                path=root,
                remedy="Check its permissions.",
            ) from error
        name = Path(error.filename).relative_to(root).as_posix()
        found.append(CorpusFile(name, 0, 0, f"a folder that cannot be opened: {error.strerror}"))

    passed_over = None if without is None else without.resolve()
    for folder, folders, names in os.walk(root, onerror=unreadable):
        below = Path(folder).relative_to(root)
        found += [_file(root, (below / name).as_posix()) for name in names]
        for name in list(folders):
            if os.path.islink(os.path.join(folder, name)):
                found.append(
                    CorpusFile(
                        (below / name).as_posix(),
                        0,
                        0,
                        "a link to a folder: give the folder itself",
                    )
                )
            elif name.startswith("."):
                found.append(CorpusFile((below / name).as_posix(), 0, 0, "a hidden folder"))
                folders.remove(name)
            elif passed_over is not None and Path(folder, name).resolve() == passed_over:
                folders.remove(name)
    return sorted(found, key=lambda file: file.path)


def files_named(root: Path, names: Sequence[str]) -> list[CorpusFile]:
    """The given files, whatever their endings."""
    files = []
    for name in names:
        stat = (root / name).stat()
        files.append(CorpusFile(name, stat.st_size, stat.st_mtime_ns))
    return files


def what_else(name: str) -> str | None:
    """What a file is, by its name, when it is no music that can be read.

    None for what is to be read.
    """
    last = name.rpartition("/")[2]
    if last.startswith("."):
        return "a hidden file"
    suffix = os.path.splitext(last)[1].lower()
    if suffix in SUFFIXES:
        return None
    return _WHAT_ELSE.get(suffix, f"not music: {suffix or 'no ending'}")


def _file(root: Path, name: str) -> CorpusFile:
    try:
        stat = (root / name).stat()
    except OSError as error:
        return CorpusFile(name, 0, 0, f"cannot be opened: {error.strerror}")
    if not (root / name).is_file():
        return CorpusFile(name, 0, 0, "not a file (a pipe, socket or device)")
    return CorpusFile(name, stat.st_size, stat.st_mtime_ns, what_else(name))
