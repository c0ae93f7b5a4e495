"""Pieces in every form, opened again and checked."""

from __future__ import annotations

import wave
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from musiczoo.music import MusicZooError, Tune, piano_roll_picture, read, write

SUFFIXES = ("abc", "musicxml", "mid", "svg", "png", "wav")


def write_all(
    pieces: Mapping[str, Tune], folder: Path
) -> tuple[list[tuple[Path, Tune]], list[str]]:
    """Writes pieces in every form; what cannot be made is said, and the rest is made.

    Args:
        pieces: The pieces by the names of their files.
        folder: Where they go.

    Returns:
        The files with their pieces, and a sentence for each file that could not be made.
    """
    written: list[tuple[Path, Tune]] = []
    missing: list[str] = []
    for name, piece in pieces.items():
        for suffix in SUFFIXES:
            path = folder / f"{name}.{suffix}"
            try:
                write(piece, path)
                written.append((path, piece))
            except MusicZooError as error:
                missing.append(f"{path.name}: {error}")
        path = folder / f"{name}_roll.png"
        piano_roll_picture(piece, path)
        written.append((path, piece))
    return written, missing


def check(path: Path, piece: Tune) -> str:
    """Opens a file that was written and says what is in it; fails when it is not the piece."""
    notes = len(piece.notes())
    match path.suffix:
        case ".abc" | ".musicxml" | ".mid":
            again = read(path)
            found = len(again.notes()) if isinstance(again, Tune) else again.note_num()
            # A MIDI file plays the repeats that notation only marks.
            notes = notes if isinstance(again, Tune) else len(piece.notes(expand_repeats=True))
            assert found == notes, f"{path} holds {found} notes instead of {notes}"
            return f"{found} notes"
        case ".svg":
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
            return "a page"
        case ".png":
            with Image.open(path) as picture:
                picture.load()
                return f"{picture.width} x {picture.height} pixels"
        case ".wav":
            with wave.open(str(path)) as sound:
                seconds = sound.getnframes() / sound.getframerate()
            assert seconds > 1.0
            return f"{seconds:.0f} seconds"
    raise AssertionError(path)
