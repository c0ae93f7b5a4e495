"""Performed music: MIDI files, their text form, and the way from and to notated tunes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from musiczoo.music.lazy import lazy_names

if TYPE_CHECKING:
    from musiczoo.music.midi.from_tune import (
        BASE_RESOLUTION,
        DEFAULT_TEMPO,
        FALLBACK_RESOLUTION,
        MAX_RESOLUTION,
        ticks_per_quarter,
        to_score,
    )
    from musiczoo.music.midi.to_tune import DEFAULT_GRID, MAX_VOICES_OF_A_TRACK, from_score

__all__ = [
    "BASE_RESOLUTION",
    "DEFAULT_GRID",
    "DEFAULT_TEMPO",
    "FALLBACK_RESOLUTION",
    "MAX_RESOLUTION",
    "MAX_VOICES_OF_A_TRACK",
    "from_score",
    "ticks_per_quarter",
    "to_score",
]

_HOMES = {
    "from_tune": (
        "BASE_RESOLUTION",
        "DEFAULT_TEMPO",
        "FALLBACK_RESOLUTION",
        "MAX_RESOLUTION",
        "ticks_per_quarter",
        "to_score",
    ),
    "to_tune": ("DEFAULT_GRID", "MAX_VOICES_OF_A_TRACK", "from_score"),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
