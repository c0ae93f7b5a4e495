"""Pieces from files, in any format that a user may own."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from musiczoo.music.abc import Tune, decode_abc, read_abc, read_abc_book
from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from symusic.core import ScoreTick

MAX_BYTES = 64 * 2**20
ABC_SUFFIXES = frozenset({".abc"})
MUSICXML_SUFFIXES = frozenset({".musicxml", ".xml", ".mxl"})
MIDI_SUFFIXES = frozenset({".mid", ".midi", ".kar", ".rmi"})
_NOT_READ = {
    ".svg": "a picture",
    ".png": "a picture",
    ".pdf": "a document",
    ".wav": "sound",
    ".mp3": "sound",
    ".flac": "sound",
    ".ogg": "sound",
}
_ABC_START = re.compile(rb"^(?:%abc|X:|K:|\[V:|%%score|V:|L:)", re.MULTILINE)
_XML_START = re.compile(rb"^(?:\xef\xbb\xbf)?\s*<(?:\?xml|!DOCTYPE|!--|score-)")


def read(path: str | Path) -> Tune | ScoreTick:
    """Read a piece from a file.

    The content decides what a file is, then its suffix: MIDI gives a symusic score; ABC, MusicXML
    (also compressed), and what music21 reads besides (Humdrum, MEI ...) give a tune.

    Args:
        path: The file. Of an ABC tune book with several tunes the first is returned, with a
            warning; :func:`read_all` gives all.

    Returns:
        A :class:`Tune` or a symusic ``Score`` in ticks.

    Raises:
        MusicZooError: No such file (with the nearest names), an empty, broken or binary file, one
            of more than 64 MB, or an unknown format.
    """
    file = Path(path)
    data = _bytes_of(file)
    kind = _kind(file, data)
    if kind == "abc":
        text = decode_abc(data, str(file))
        if (count := len(re.findall(r"^X:", text, re.MULTILINE))) > 1:
            warnings.warn(
                f"{file} holds {count} tunes; this is the first. read_all() gives all.",
                UserWarning,
                stacklevel=2,
            )
        return read_abc(text, str(file))
    if kind == "midi":
        return _read_midi(data, file)
    if kind == "musicxml":
        from musiczoo.music.musicxml.reader import read_musicxml

        return read_musicxml(data, path=file)
    from musiczoo.music.foreign import read_foreign

    return read_foreign(file)


def read_all(path: str | Path) -> list[Tune | ScoreTick]:
    """Read every piece of a file: the tunes of an ABC tune book, or the piece of any other file.

    Tunes of a book that cannot be read are left out and counted in a warning that quotes the first
    error.

    Raises:
        MusicZooError: As :func:`read`, or no tune of the book can be read.
    """
    file = Path(path)
    data = _bytes_of(file)
    if _kind(file, data) != "abc":
        return [read(file)]
    book = read_abc_book(decode_abc(data, str(file)), str(file))
    if book.errors:
        if not book.tunes:
            raise book.errors[0]
        warnings.warn(
            f"{len(book.errors)} of {len(book) + len(book.errors)} tunes left out:"
            f" {book.errors[0]}",
            UserWarning,
            stacklevel=2,
        )
    return list(book.tunes)


def pieces_and_errors(
    path: Path,
) -> tuple[Sequence[Tune | ScoreTick], Sequence[MusicZooError]]:
    """The pieces of a file of a corpus, and the errors of the tunes of a book that cannot be read.

    Raises:
        MusicZooError: As :func:`read`.
    """
    if path.suffix.lower() in ABC_SUFFIXES and path.stat().st_size <= MAX_BYTES:
        book = read_abc_book(decode_abc(path.read_bytes(), str(path)), str(path))
        return book.tunes, book.errors
    return [read(path)], []


def _bytes_of(file: Path) -> bytes:
    try:
        size = file.stat().st_size
        if file.is_dir():
            raise MusicZooError(
                "This is a folder, not a file.", path=file, remedy="Name one file in it."
            )
        if size > MAX_BYTES:
            raise MusicZooError(
                f"{size / 2**20:.0f} MB are too much for a file of notes; at most"
                f" {MAX_BYTES // 2**20} MB are read.",
                path=file,
                remedy="Check that it is the right file, or split it.",
            )
        data = file.read_bytes()
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise MusicZooError(
                "There is no such file.", path=file, remedy=_nearest(file)
            ) from error
        raise MusicZooError(
            f"The file cannot be read: {error.strerror or error}.", path=file
        ) from error
    except ValueError as error:  # a NUL character in the name
        raise MusicZooError(
            f"This cannot be the name of a file: {error}.", remedy="Check the name."
        ) from error
    if not data.strip():
        raise MusicZooError(
            "The file is empty.",
            path=file,
            remedy="Check that it was written or downloaded to its end.",
        )
    return data


def _nearest(file: Path) -> str:
    if not file.parent.is_dir():
        return f"There is no folder {file.parent} either."
    names = [entry.name for entry in sorted(file.parent.iterdir())[:100_000]]
    near = (
        difflib.get_close_matches(file.name, names, n=3, cutoff=0.6)
        or [name for name in names if Path(name).stem == file.stem][:3]
    )
    return (
        f"Did you mean {' or '.join(near)}?"
        if near
        else f"The folder {file.parent} holds no file of a similar name."
    )


def _kind(file: Path, data: bytes) -> str:
    """What a file is: ``abc``, ``midi``, ``musicxml`` or ``foreign``."""
    suffix = file.suffix.lower()
    if data.startswith(b"MThd") or (data.startswith(b"RIFF") and data[8:12] == b"RMID"):
        return "midi"
    if data.startswith(b"PK\x03\x04") and suffix not in (".capx", ".zip"):
        return "musicxml"
    head = data[:65536]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", errors="replace").encode()
    if _XML_START.match(head) and (b"<score-partwise" in head or b"<score-timewise" in head):
        return "musicxml"
    if suffix in _NOT_READ:
        raise MusicZooError(
            f"{suffix} is {_NOT_READ[suffix]}; notes cannot be read from it.",
            path=file,
            remedy="Use MusicXML, ABC or MIDI.",
        )
    if suffix in ABC_SUFFIXES or suffix in MUSICXML_SUFFIXES or suffix in MIDI_SUFFIXES:
        plain_abc = b"\x00" not in head and _ABC_START.search(head) and not _XML_START.match(head)
        return (
            "abc"
            if suffix in ABC_SUFFIXES or plain_abc
            else "musicxml"
            if suffix in MUSICXML_SUFFIXES
            else "midi"
        )
    if (
        b"\x00" not in head
        and (b"\nK:" in head or head.startswith(b"K:"))
        and not head.startswith(b"!!!")
    ):
        return "abc"
    return "foreign"


def _read_midi(data: bytes, file: Path) -> ScoreTick:
    from symusic.core import ScoreTick

    from musiczoo.music.midi.checked_bytes import checked_midi

    clean = checked_midi(data, str(file))
    try:
        return ScoreTick.from_midi(clean)
    except (RuntimeError, ValueError) as error:
        raise MusicZooError(
            f"This is no readable MIDI file: {str(error).strip()}", path=file
        ) from error
