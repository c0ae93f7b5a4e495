"""Tracks of a score as rows of numbers, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from musiczoo.music.errors import MusicZooError
from musiczoo.representations.octuple_codes import Codes

DRUMS = 128


def notes_of_track(track: Any) -> Codes:
    """The notes of a track as numbers.

    Args:
        track: A track of a symusic score in ticks.

    Returns:
        (notes, 5): onset and duration in ticks, program, pitch, velocity; of drums program 128, and
        128 more than their pitch.

    Raises:
        MusicZooError: A number that MIDI does not have.

    Example:
        >>> from symusic import Note, Track
        >>> track = Track("", 3, False)
        >>> track.notes.append(Note(0, 480, 60, 80))
        >>> notes_of_track(track).tolist()
        [[0, 480, 3, 60, 80]]
    """
    notes = track.notes.numpy()
    drums = bool(track.is_drum)
    program = np.full(len(notes["time"]), DRUMS if drums else track.program)
    columns = [notes["time"], notes["duration"], program, notes["pitch"], notes["velocity"]]
    found: Codes = np.stack(columns, axis=1).astype(np.int64)
    # Such values would become ids of another field.
    wrong = (found[:, [0, 2, 3, 4]] < 0).any(axis=1) | (found[:, 3:] > 127).any(axis=1)
    wrong |= found[:, 2] > (DRUMS if drums else DRUMS - 1)
    if wrong.any():
        tick, _, number, pitch, velocity = found[wrong.argmax()].tolist()
        raise MusicZooError(
            f"MIDI has no note of program {number}, pitch {pitch} and velocity {velocity}"
            f" at tick {tick}.",
            where=f"track {track.name!r}",
            remedy="Leave it out, or move it: the numbers are 0 to 127, and time begins at 0.",
        )
    found[:, 3] += DRUMS * drums
    return found
