"""MusicXML and compressed MusicXML to a :class:`~musiczoo.music.abc.Tune`, and back."""
