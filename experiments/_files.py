"""Writes pieces in every format, opens them again and checks them."""

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
    """Writes pieces in every format; a format that fails is reported, and the others are written.

    Args:
        pieces: The pieces by the names of their files.
        folder: Where they go.

    Returns:
        The files with their pieces, and a sentence for each file that could not be written.
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
    """Opens a file again and describes its contents; fails when they are not the piece."""
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


def check_bars(piece: Tune, first: int) -> None:
    """Fails when a bar is longer than its meter, or a bar inside the piece shorter.

    Args:
        piece: A generated piece.
        first: The first bar that was generated; with 0 the piece may begin with an upbeat.
    """
    for voice in piece.parsed:
        for index, bar in enumerate(voice.bars[first:], first):
            assert bar.nominal is not None, f"bar {index + 1} has no meter"
            may_be_short = index in (0, len(voice.bars) - 1)
            fits = bar.duration <= bar.nominal if may_be_short else bar.duration == bar.nominal
            assert fits, f"bar {index + 1} lasts {bar.duration} instead of {bar.nominal} quarters"
