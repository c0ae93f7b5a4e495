"""The tracks of a score in the one order that REMI tokens have."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symusic.core import ScoreTick


def one_track(score: ScoreTick) -> ScoreTick:
    """All notes of a score except those of drums, as one track of program 0."""
    from symusic.core import TrackTick

    pitched = [track for track in score.tracks if not track.is_drum]
    if len(pitched) == len(score.tracks) == 1 and pitched[0].program == 0:
        return score
    track = TrackTick("Piano", 0, False)
    for other in pitched:
        track.notes.extend(other.notes)
    track.notes.sort(key=lambda note: (note.time, note.pitch, note.duration))
    merged = score.copy()
    merged.tracks.clear()
    merged.tracks.append(track)
    return merged


def by_program(score: ScoreTick) -> ScoreTick:
    """A score whose tracks are ordered by program, drums last.

    Notes of one moment follow each other in the order of their tracks. Ids do not hold that order:
    decoded, tracks come in the order in which they begin. Without a fixed order the same music
    would have several rows of ids.
    """
    order = [(track.is_drum, track.program) for track in score.tracks]
    if order == sorted(order):
        return score
    tracks = sorted(score.tracks, key=lambda track: (track.is_drum, track.program))
    ordered = score.copy()
    ordered.tracks.clear()
    for track in tracks:
        ordered.tracks.append(track)
    return ordered
