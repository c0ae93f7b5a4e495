"""The musical domain: tunes, performed scores, their formats, pictures and sound.

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

from typing import TYPE_CHECKING

from musiczoo.music.errors import MusicZooError
from musiczoo.music.lazy import lazy_names

if TYPE_CHECKING:
    from musiczoo.music.abc import Tune, read_abc, write_abc
    from musiczoo.music.files.reading import read, read_all
    from musiczoo.music.files.writing import write
    from musiczoo.music.midi.from_tune import to_score
    from musiczoo.music.midi.to_tune import from_score
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

_HOMES: dict[str, tuple[str, ...]] = {
    "abc": ("Tune", "read_abc", "write_abc"),
    "files.reading": ("read", "read_all"),
    "files.writing": ("write",),
    "midi.from_tune": ("to_score",),
    "midi.to_tune": ("from_score",),
    "musicxml.reader": ("read_musicxml",),
    "musicxml.writer": ("write_musicxml",),
    "pictures.engraving": ("engrave", "svg_to_png"),
    "pictures.piano_roll": ("piano_roll_picture",),
    "sound.audio": ("find_soundfont", "render_audio", "write_flac", "write_wav"),
    "corpora": (),
    "degradation": (),
    "files": (),
    "midi": (),
    "musicxml": (),
    "pictures": (),
    "recipes": (),
    "sound": (),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)

__path__.append("musiczoo.moved")  # finds modules by the paths that they had
