"""Pictures of music: engraved scores and piano rolls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from musiczoo.music.lazy import lazy_names

if TYPE_CHECKING:
    from musiczoo.music.pictures.engraving import engrave, svg_to_png
    from musiczoo.music.pictures.piano_roll import (
        BLACK_KEYS,
        COLOURS,
        MAX_ROWS,
        ROW_LENGTH,
        piano_roll_picture,
    )

__all__ = [
    "BLACK_KEYS",
    "COLOURS",
    "MAX_ROWS",
    "ROW_LENGTH",
    "engrave",
    "piano_roll_picture",
    "svg_to_png",
]

_HOMES = {
    "engraving": ("engrave", "svg_to_png"),
    "piano_roll": ("BLACK_KEYS", "COLOURS", "MAX_ROWS", "ROW_LENGTH", "piano_roll_picture"),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
