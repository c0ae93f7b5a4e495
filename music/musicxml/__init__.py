"""MusicXML and compressed MusicXML to a :class:`~musiczoo.music.abc.Tune`, and back."""

__path__.append("musiczoo.moved")  # finds modules by the paths that they had
