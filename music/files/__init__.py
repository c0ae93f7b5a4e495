"""Pieces from files and to files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from musiczoo.music.lazy import lazy_names

if TYPE_CHECKING:
    from musiczoo.music.files.reading import (
        ABC_SUFFIXES,
        MAX_BYTES,
        MIDI_SUFFIXES,
        MUSICXML_SUFFIXES,
        read,
        read_all,
    )
    from musiczoo.music.files.writing import WRITTEN_SUFFIXES, write

__all__ = [
    "ABC_SUFFIXES",
    "MAX_BYTES",
    "MIDI_SUFFIXES",
    "MUSICXML_SUFFIXES",
    "WRITTEN_SUFFIXES",
    "read",
    "read_all",
    "write",
]

_HOMES = {
    "reading": (
        "ABC_SUFFIXES",
        "MAX_BYTES",
        "MIDI_SUFFIXES",
        "MUSICXML_SUFFIXES",
        "read",
        "read_all",
    ),
    "writing": ("WRITTEN_SUFFIXES", "write"),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
