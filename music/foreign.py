"""Formats that music21 reads and we do not: Humdrum, MEI, Capella, NoteWorthy, MuseData, RomanText.

It reads them and passes them on as MusicXML.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path

from musiczoo.music.abc.tune import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.musicxml.reader import read_musicxml
from musiczoo.music.musicxml.source import SIZE_LIMIT

#: Suffix -> music21's name of the format. Only these: music21 also opens its own pickles, which run
#: code, and guesses at any text.
FORMATS = {
    ".krn": "humdrum",
    ".mei": "mei",
    ".capx": "capella",
    ".nwc": "noteworthy",
    ".nwctxt": "noteworthytext",
    ".md": "musedata",
    ".musedata": "musedata",
    ".rntxt": "romantext",
}
_ENTITY = re.compile(rb"<!(?:ENTITY|DOCTYPE[^>]*\[)")


def read_foreign(path: str | Path) -> Tune:
    """Read a file in a format of :data:`FORMATS` by music21.

    Args:
        path: The file.

    Returns:
        The score as our MusicXML reader understands music21's MusicXML of it.

    Raises:
        MusicZooError: The format is none of these, the file is too large, empty or unsafe, or
            music21 cannot read it.
    """
    file = Path(path)
    kind = FORMATS.get(file.suffix.lower())
    if kind is None:
        raise MusicZooError(
            f"files named {file.suffix or 'without a suffix'} are not read.",
            path=path,
            remedy=(
                "Convert the piece to MusicXML, MIDI or ABC; besides those,"
                f" {', '.join(sorted(FORMATS))} are read."
            ),
        )
    _check(file)
    # The import of music21 takes two seconds; reading MusicXML and ABC does not wait for it.
    from music21 import converter, stream
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Without forceSource music21 would open a pickle of an earlier parse from the folder
            # for temporary files.
            score = converter.parse(file, format=kind, forceSource=True)
            pieces = list(score.scores) if isinstance(score, stream.Opus) else [score]
            data = GeneralObjectExporter(pieces[0]).parse() if len(pieces) == 1 else b""
    except Exception as error:  # music21 lets errors of every kind out of damaged files
        raise MusicZooError(
            f"music21 cannot read the file as {kind} ({type(error).__name__}: {error}).",
            path=path,
            remedy="Check the file, or convert it to MusicXML.",
        ) from error
    if len(pieces) != 1:
        raise MusicZooError(
            f"the file holds {len(pieces)} pieces.",
            path=path,
            remedy="Split it into files of one piece.",
        )
    tune = read_musicxml(data, path=path)
    if not tune.notes():
        raise MusicZooError(
            f"music21 finds no notes in the file when it reads it as {kind}.",
            path=path,
            remedy="Check the file.",
        )
    return tune


def _check(file: Path) -> None:
    try:
        size = file.stat().st_size
        if size > SIZE_LIMIT:
            raise MusicZooError(
                f"the file has {size / 2**20:.0f} MiB; more than {SIZE_LIMIT // 2**20} MiB is not"
                " opened.",
                path=file,
                remedy="Split the piece.",
            )
        data = file.read_bytes()
        if data.startswith(b"PK"):
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > SIZE_LIMIT:
                raise MusicZooError(
                    f"the archive unpacks to {unpacked / 2**20:.0f} MiB.",
                    path=file,
                    remedy="Split the piece.",
                )
    except (OSError, zipfile.BadZipFile) as error:
        raise MusicZooError(
            f"the file cannot be read: {error}.", path=file, remedy="Check its name and its rights."
        ) from error
    if not data.strip():
        raise MusicZooError("the file is empty.", path=file, remedy="Export the piece again.")
    if file.suffix.lower() == ".mei" and (
        _ENTITY.search(data) or _ENTITY.search(data.replace(b"\0", b""))
    ):
        raise MusicZooError(
            "the document declares entities, which can do harm.",
            path=file,
            remedy="Export the piece again without them.",
        )
