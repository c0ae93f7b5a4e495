"""ABC tunes: the data model, reader, writer, exact parse, transposition and rest-bar omission."""

from musiczoo.music.abc.tune import Bar, BarSpan, Event, Field, Note, NoteHead, ParsedVoice, Pitch, Tune, Voice

__all__ = ["Bar", "BarSpan", "Event", "Field", "Note", "NoteHead", "ParsedVoice", "Pitch", "Tune", "Voice"]
