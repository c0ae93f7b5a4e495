"""Pictures of music: engraved scores and piano rolls."""

from musiczoo.music.pictures.piano_roll import piano_roll_picture

__all__ = ["piano_roll_picture"]
