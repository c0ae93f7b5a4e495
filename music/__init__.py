"""The musical domain: notated tunes, performed scores, the formats they come in, and pictures and sound of them.

Notated music is a :class:`Tune` (ABC music code with exact parsed notes), performed music a
``symusic.Score``. :func:`read` opens any format that a user may own, :func:`write` writes any that
makes sense for a piece::

    from musiczoo.music import read, write

    tune = read("chorale.musicxml")
    write(tune, "chorale.abc")
    write(tune, "chorale.png")

Nothing here imports torch; engraving, MIDI and plotting libraries are loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from musiczoo.music.abc import Tune, read_abc, write_abc
    from musiczoo.music.files import read, read_all, write
    from musiczoo.music.midi.convert import from_score, to_score
    from musiczoo.music.musicxml.reader import read_musicxml
    from musiczoo.music.musicxml.writer import write_musicxml
    from musiczoo.music.pictures.engraving import engrave, svg_to_png
    from musiczoo.music.pictures.piano_roll import piano_roll_picture
    from musiczoo.music.sound.audio import find_soundfont, render_audio, write_flac, write_wav

__all__ = [
    "MusicZooError",
    "Tune",
    "engrave",
    "find_soundfont",
    "from_score",
    "piano_roll_picture",
    "read",
    "read_abc",
    "read_all",
    "read_musicxml",
    "render_audio",
    "svg_to_png",
    "to_score",
    "write",
    "write_abc",
    "write_flac",
    "write_musicxml",
    "write_wav",
]

_HOMES = {
    "abc": ("Tune", "read_abc", "write_abc"),
    "sound.audio": ("find_soundfont", "render_audio", "write_flac", "write_wav"),
    "pictures.engraving": ("engrave", "svg_to_png"),
    "files": ("read", "read_all", "write"),
    "midi.convert": ("from_score", "to_score"),
    "musicxml.reader": ("read_musicxml",),
    "musicxml.writer": ("write_musicxml",),
    "pictures.piano_roll": ("piano_roll_picture",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
