"""Performed music: MIDI files, their text form, and the way from and to notated tunes."""

from musiczoo.music.midi.convert import from_score, ticks_per_quarter, to_score

__all__ = ["from_score", "ticks_per_quarter", "to_score"]
