"""A score as one table of notes in seconds, which a synthesizer plays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from symusic.core import ScoreSecond, ScoreTick, TrackSecond

#: More notes are noise, not music, however they are spread over the seconds that are played.
MOST_NOTES, MOST_NOTES_A_SECOND = 10_000, 200
_SHORTEST_QUARTER = 1000  # microseconds; 60,000 quarters a minute


@dataclass(frozen=True)
class Performance:
    """Notes in the order in which they begin.

    Those that begin together in the order of their tracks.

    Attributes:
        onset: Seconds from the beginning, (n,) float64.
        duration: Seconds, (n,) float64, above 0.
        pitch: MIDI numbers, (n,) int64.
        velocity: 1 to 127, (n,) int64.
        program: General MIDI programs from 0, (n,) int64.
        drum: Whether it is a drum, (n,) bool.
        seconds: Where the last event of the score ends; a release that sounds on is not counted.
    """

    onset: NDArray[np.float64]
    duration: NDArray[np.float64]
    pitch: NDArray[np.int64]
    velocity: NDArray[np.int64]
    program: NDArray[np.int64]
    drum: NDArray[np.bool_]
    seconds: float

    def __len__(self) -> int:
        return len(self.onset)


def performance(
    score: ScoreTick, *, max_beats: float | None = None, max_seconds: float | None = None
) -> Performance:
    """The notes of a score in seconds.

    Args:
        score: In ticks.
        max_beats: Quarter notes after which the score is cut; notes that sound on beyond them are
            left out, as ``Score.clip`` with ``clip_end`` has it.
        max_seconds: Notes that begin later are left out; those that sound on keep their ends, and
            ``seconds`` stays that of the score.

    Raises:
        MusicZooError: No ticks a quarter, a tempo of 0 or less or beyond 60,000 quarters a minute,
            or more notes than 10,000 and 200 a second within what is played.
    """
    _check_playable(score)
    if max_beats is not None and int(score.end()) > max_beats * int(score.ticks_per_quarter):
        score = score.clip(0, int(max_beats * int(score.ticks_per_quarter)), clip_end=True)
    timed = cast("ScoreSecond", score.to("second"))
    latest = np.inf if max_seconds is None else max_seconds
    columns = [_columns(track, latest) for track in timed.tracks if len(track.notes)]
    seconds = float(timed.end())
    if not columns:
        empty = np.zeros(0, np.int64)
        return Performance(
            np.zeros(0), np.zeros(0), empty, empty, empty, np.zeros(0, np.bool_), seconds
        )
    most = int(MOST_NOTES + MOST_NOTES_A_SECOND * min(seconds, latest))
    if (count := sum(len(column[0]) for column in columns)) > most:
        raise MusicZooError(
            f"{count:,} notes within what is to be played are too many.",
            remedy=f"At most {most:,} are; check the piece.",
        )
    onset, duration, pitch, velocity, program, drum = (
        np.concatenate(parts) for parts in zip(*columns, strict=True)
    )
    order = np.argsort(onset, kind="stable")
    return Performance(
        onset[order],
        duration[order],
        pitch[order],
        velocity[order],
        program[order],
        drum[order],
        seconds,
    )


def _check_playable(score: ScoreTick) -> None:
    resolution = int(score.ticks_per_quarter)
    if resolution <= 0:
        raise MusicZooError(
            f"The score has {resolution} ticks a quarter note.",
            remedy="A score needs at least 1; 480 are usual.",
        )
    for tempo in score.tempos:
        if not int(tempo.mspq) >= _SHORTEST_QUARTER:
            raise MusicZooError(
                f"The score has a tempo of {tempo.qpm:,.0f} quarters a minute, which cannot be"
                " played.",
                where=f"tick {tempo.time}",
                remedy="Take the tempo out or mend it.",
            )


def _columns(track: TrackSecond, latest: float) -> list[NDArray[np.generic]]:
    """Onset, duration, pitch, velocity, program and drum of the notes of a track that sound."""
    notes = track.notes.numpy()
    start, length = notes["time"].astype(np.float64), notes["duration"].astype(np.float64)
    length = length + np.minimum(start, 0)  # the part before the beginning is not played
    start = np.maximum(start, 0)
    sounds = (length > 0) & (notes["velocity"] > 0) & (start < latest)
    count = int(sounds.sum())
    return [
        start[sounds],
        length[sounds],
        notes["pitch"][sounds].astype(np.int64),
        notes["velocity"][sounds].astype(np.int64),
        np.full(count, int(track.program), np.int64),
        np.full(count, bool(track.is_drum)),
    ]
