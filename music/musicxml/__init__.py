"""MusicXML and its compressed form: reading straight to a :class:`~musiczoo.music.abc.Tune` and writing from one."""
