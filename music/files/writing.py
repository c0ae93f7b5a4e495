"""Pieces to files, in any format that makes sense for a piece."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from musiczoo.music.abc import Tune, write_abc
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files.reading import MIDI_SUFFIXES, MUSICXML_SUFFIXES

if TYPE_CHECKING:
    from symusic.core import ScoreTick

WRITTEN_SUFFIXES = (
    ".abc",
    ".musicxml",
    ".xml",
    ".mxl",
    ".mid",
    ".midi",
    ".svg",
    ".png",
    ".wav",
    ".flac",
)
_CONTAINER = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<container><rootfiles><rootfile'
    ' full-path="score.musicxml"'
    ' media-type="application/vnd.recordare.musicxml+xml"/></rootfiles></container>\n'
)


def write(piece: Tune | ScoreTick, path: str | Path) -> Path:
    """Write a piece in the format that the suffix names; the file appears whole or not at all.

    ``.abc``, ``.musicxml``, ``.xml``, ``.mxl`` are notation, ``.mid`` and ``.midi`` play repeats
    out, ``.svg`` and ``.png`` are engraved on one sheet as long as needed (beyond some twenty pages
    the rest follows in ``name-2.svg``, ``name-3.svg`` ...), ``.wav`` and ``.flac`` need a
    soundfont. A score is quantised into a tune where notation is asked for.

    Args:
        piece: A tune or a symusic score.
        path: Where to write; the folder must exist.

    Returns:
        The path written.

    Raises:
        MusicZooError: An unknown suffix, a piece that cannot be written so, no soundfont, or a path
            that cannot be written.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix not in WRITTEN_SUFFIXES:
        raise MusicZooError(
            f"The format {suffix or '(no suffix)'} cannot be written.",
            path=file,
            remedy=f"Use one of {', '.join(WRITTEN_SUFFIXES)}.",
        )
    if suffix in (".wav", ".flac"):
        from musiczoo.music.sound.audio import render_audio, write_flac, write_wav

        return (write_wav if suffix == ".wav" else write_flac)(file, render_audio(piece))
    if suffix in MIDI_SUFFIXES:
        return write_atomically(file, _midi_bytes(piece))
    tune = piece if isinstance(piece, Tune) else _quantised(piece)
    if suffix == ".abc":
        return write_atomically(file, write_abc(tune).encode())
    if suffix in MUSICXML_SUFFIXES:
        from musiczoo.music.musicxml.writer import write_musicxml

        document = write_musicxml(tune).encode()
        return write_atomically(file, _compressed(document) if suffix == ".mxl" else document)
    from musiczoo.music.pictures.engraving import engrave, svg_to_png

    for number, page in enumerate(engrave(tune, one_page=True), 1):
        target = file if number == 1 else file.with_name(f"{file.stem}-{number}{file.suffix}")
        write_atomically(target, svg_to_png(page) if suffix == ".png" else page.encode())
    return file


def _midi_bytes(piece: Tune | ScoreTick) -> bytes:
    from musiczoo.music.midi.from_tune import to_score

    score = to_score(piece) if isinstance(piece, Tune) else piece
    data: bytes = score.dumps_midi()
    return data


def _quantised(score: ScoreTick) -> Tune:
    from musiczoo.music.midi.to_tune import from_score

    return from_score(score)


def _compressed(document: bytes) -> bytes:
    """A .mxl container.

    Its entries carry the earliest date that ZIP knows, so that equal pieces give equal files.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            zipfile.ZipInfo("mimetype"), "application/vnd.recordare.musicxml", zipfile.ZIP_STORED
        )
        for name, content in (
            ("META-INF/container.xml", _CONTAINER.encode()),
            ("score.musicxml", document),
        ):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()
