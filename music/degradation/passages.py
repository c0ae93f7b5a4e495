"""Short passages of a piece, each played by a piano in a tempo, key and velocity of its own.

Notated music and the music that models of MIDI generate differ in tempo, register, loudness and
length. An audio scorer that is trained on the first must not judge the second by these, so passages
differ in all of them.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.from_tune import to_score
from musiczoo.music.midi.piano_stream import ALL_AS_PIANO, reduced

if TYPE_CHECKING:
    from symusic.core import ScoreTick

_FEWEST = 6  # notes that make music, where the piece has as many
_A_LITTLE = 1e-4  # symusic's seconds are of single precision
_LOWEST, _HIGHEST = 21, 108  # the keys of a piano


@dataclass(frozen=True)
class Passages:
    """How passages are drawn.

    Attributes:
        least_seconds: The shortest passage.
        most_seconds: The longest one.
        tempo: Slowest, commonest and fastest quarters a minute; drawn from a triangle over their
            logarithms.
        transpose: Semitones up or down at most.
        velocity: Lowest and highest velocity of a passage; its notes vary by a few around it.

    Raises:
        MusicZooError: A setting out of range.
    """

    least_seconds: float = 2.0
    most_seconds: float = 10.0
    tempo: tuple[float, float, float] = (40.0, 110.0, 250.0)
    transpose: int = 12
    velocity: tuple[int, int] = (40, 120)

    def __post_init__(self) -> None:
        # Settings from YAML come as lists.
        object.__setattr__(self, "tempo", tuple(self.tempo))
        object.__setattr__(self, "velocity", tuple(self.velocity))
        allowed = {
            "least_seconds": 0 < self.least_seconds <= self.most_seconds,
            "tempo": len(self.tempo) == 3 and 0 < self.tempo[0] <= self.tempo[1] <= self.tempo[2],
            "transpose": self.transpose >= 0,
            "velocity": (
                len(self.velocity) == 2 and 1 <= self.velocity[0] <= self.velocity[1] <= 127
            ),
        }
        for name, good in allowed.items():
            if not good:
                raise MusicZooError(
                    f"The setting {name}={getattr(self, name)!r} is out of range.", where=name
                )

    def seconds(self, rng: random.Random) -> float:
        """A length for a passage, drawn uniformly over its logarithm."""
        return math.exp(rng.uniform(math.log(self.least_seconds), math.log(self.most_seconds)))

    def draw(self, piece: Tune | ScoreTick, seconds: float, rng: random.Random) -> ScoreTick:
        """A passage of a piece.

        Args:
            piece: A tune, or a symusic score in ticks; all its pitched tracks are played.
            seconds: Its length; longer (up to ``most_seconds``) where it would have only a few
                notes, and shorter where the piece ends before.
            rng: Source of chance; the same state gives the same passage.

        Returns:
            One track of program 0 that begins at 0, and one tempo.

        Raises:
            MusicZooError: The piece has no pitched note, or cannot be read.
        """
        from symusic.core import NoteTickList, ScoreTick, TempoTick, TrackTick

        score = reduced(to_score(piece) if isinstance(piece, Tune) else piece, ALL_AS_PIANO)
        notes = {
            name: np.asarray(values, dtype=np.int64)
            for name, values in score.tracks[0].notes.numpy().items()
        }
        slowest, commonest, fastest = (math.log(tempo) for tempo in self.tempo)
        tempo = math.exp(rng.triangular(slowest, fastest, commonest))
        second = int(score.ticks_per_quarter) * tempo / 60.0
        onsets = np.unique(notes["time"])
        last = int(np.searchsorted(onsets, notes["time"][-1] - seconds * second, side="right")) - 1
        begin = int(onsets[rng.randint(0, max(0, last))])
        stop = begin + round(seconds * second)
        following = notes["time"][notes["time"] >= begin]
        if len(following) >= _FEWEST:
            stop = max(
                stop,
                min(int(following[_FEWEST - 1]) + 1, begin + round(self.most_seconds * second)),
            )
        chosen = (notes["time"] >= begin) & (notes["time"] < stop)
        time = notes["time"][chosen] - begin
        duration = np.maximum(1, np.minimum(notes["duration"][chosen], stop - begin - time))
        pitch = notes["pitch"][chosen]
        lowest, highest = (
            max(-self.transpose, _LOWEST - int(pitch.min())),
            min(self.transpose, _HIGHEST - int(pitch.max())),
        )
        if lowest <= highest:
            pitch = pitch + rng.randint(lowest, highest)
        centre, spread = rng.randint(*self.velocity), rng.choice((0.0, 0.0, 3.0, 8.0))
        chance = np.random.default_rng(rng.getrandbits(64))
        velocity = np.clip(np.rint(centre + chance.normal(0.0, 1.0, len(time)) * spread), 1, 127)
        passage = ScoreTick(int(score.ticks_per_quarter))
        passage.tempos.append(TempoTick(0, tempo))
        track = TrackTick("Piano", 0, False)
        track.notes = NoteTickList.from_numpy(
            time.astype(np.int32),
            duration.astype(np.int32),
            pitch.astype(np.int8),
            velocity.astype(np.int8),
        )
        passage.tracks.append(track)
        return passage


Takes = Passages  # the name until 0.1


def sounding_classes(score: ScoreTick, seconds: float, steps: int) -> NDArray[np.bool_]:
    """Which pitch classes sound at equally spaced moments.

    Args:
        score: With any tracks; percussion does not count.
        seconds: From one moment to the next; the first is 0.
        steps: Number of moments.

    Returns:
        (steps, 12) bool; C is 0.
    """
    sounding = np.zeros((steps, 12), dtype=bool)
    seconds_score: Any = score.to("second")
    for track in seconds_score.tracks:
        if not track.is_drum:
            notes = track.notes.numpy()
            first = np.ceil(notes["time"] / seconds - _A_LITTLE).astype(int)
            last = np.ceil((notes["time"] + notes["duration"]) / seconds - _A_LITTLE).astype(int)
            for begin, end, pitch in zip(first, last, notes["pitch"], strict=True):
                sounding[begin:end, int(pitch) % 12] = True
    return sounding
