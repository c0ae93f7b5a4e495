"""Degradations of performances, to train audio scorers: a piece as a poor player plays it.

Each kind spoils one side of a performance and leaves the others alone, with a strength from 0 (a
listener notices it) to 1 (little is left):

============  ====================================================================================
pitch         notes moved by 1 to 6 semitones: 25 to 80 % of them
timing        onsets jittered: the standard deviation is 20 to 50 % of the median time between
              onsets, or of 0.2 s if that is less
order         pitches (and with strength from 0.5 on, lengths of steps) exchanged between notes:
              50 to 100 % of them
gaps          all notes left out that begin in some 1 to 3 holes, which cover 35 to 85 % of the time
clutter       random notes added: 0.6 to 3 times the number of notes
duration      lengths multiplied by random factors: from 0.4 to 3 up to from 0.1 to 12
register      notes moved by 1 to 3 octaves: 30 to 90 % of them
stuck         from some moment on, one note or up to one quarter of music again and again
random        notes of random pitch, onset and length; the strength is how far their number is from
              the piece's
============  ====================================================================================

No paper gives these settings; they are ours. The first five follow what MusPy and SMART (arXiv
2504.16839, section 4) see in music of poor models: notes outside the scale, uneven density, empty
beats, texture that is too thick.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from symusic.core import ScoreTick

LOWEST, HIGHEST = 21, 108
"""The keys of a piano: no note on it is moved beyond them."""

_DEFAULT_TEMPO = 120.0  # of a MIDI file that names none


@dataclass(frozen=True)
class _Pace:
    """Ticks of a quarter note, and of a second at the first tempo."""

    quarter: int
    second: float


@dataclass
class _Notes:
    """The notes of all pitched tracks, sorted by onset.

    Times and durations are ticks, pitches MIDI numbers, velocities 1 to 127, tracks indices.
    """

    time: NDArray[np.int64]
    duration: NDArray[np.int64]
    pitch: NDArray[np.int64]
    velocity: NDArray[np.int64]
    track: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.time)

    @property
    def end(self) -> int:
        return int((self.time + self.duration).max())

    def take(self, index: NDArray[Any]) -> _Notes:
        return _Notes(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def joined(self, other: _Notes) -> _Notes:
        return _Notes(
            *(
                np.concatenate([getattr(self, name), getattr(other, name)])
                for name in self.__dataclass_fields__
            )
        )

    def step(self) -> float:
        """Median ticks from one onset to the next."""
        onsets = np.unique(self.time)
        return (
            float(np.median(np.diff(onsets)))
            if len(onsets) > 1
            else float(np.median(self.duration))
        )


def _some(count: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Distinct indices: a share of them, but one at least."""
    return rng.choice(count, size=max(1, round(share * count)), replace=False)


def _on_keyboard(pitch: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pitches beyond the keyboard by octaves back onto it."""
    low = LOWEST + (pitch - LOWEST) % 12
    high = HIGHEST - (HIGHEST - pitch) % 12
    return np.where(pitch < LOWEST, low, np.where(pitch > HIGHEST, high, pitch))


def _pitch(notes: _Notes, strength: float, rng: np.random.Generator, pace: _Pace) -> _Notes:
    which = _some(len(notes), 0.25 + 0.55 * strength, rng)
    moved = notes.pitch[which] + rng.integers(1, 7, len(which)) * rng.choice([-1, 1], len(which))
    notes.pitch[which] = _on_keyboard(moved)
    return notes


def _timing(notes: _Notes, strength: float, rng: np.random.Generator, pace: _Pace) -> _Notes:
    spread = (0.2 + 0.3 * strength) * max(notes.step(), 0.2 * pace.second)
    notes.time = np.maximum(
        0, notes.time + np.rint(rng.normal(0.0, spread, len(notes))).astype(np.int64)
    )
    return notes


def _order(notes: _Notes, strength: float, rng: np.random.Generator, pace: _Pace) -> _Notes:
    which = _some(len(notes), 0.5 + 0.5 * strength, rng)
    notes.pitch[which] = notes.pitch[rng.permutation(which)]
    if strength >= 0.5:
        onsets, place = np.unique(notes.time, return_inverse=True)
        steps = rng.permutation(np.diff(onsets))
        moved = onsets[0] + np.concatenate([np.zeros(1, np.int64), np.cumsum(steps)])
        notes.time = moved[place]
    return notes


def _gaps(notes: _Notes, strength: float, rng: np.random.Generator, pace: _Pace) -> _Notes:
    start, length = int(notes.time.min()), notes.end - int(notes.time.min())
    holes = int(rng.integers(1, 4))
    covered = (0.35 + 0.5 * strength) * length
    widths = covered * rng.dirichlet(np.full(holes, 4.0))
    between = (length - covered) * rng.dirichlet(np.full(holes + 1, 1.0))
    begins = start + np.cumsum(between[:-1] + np.concatenate([[0.0], widths[:-1]]))
    kept = np.ones(len(notes), dtype=bool)
    for begin, width in zip(begins, widths, strict=True):
        kept &= (notes.time < begin) | (notes.time >= begin + width)
        # What still sounds would fill the hole.
        ringing = notes.time < begin
        notes.duration[ringing] = np.minimum(
            notes.duration[ringing], np.maximum(1, int(begin) - notes.time[ringing])
        )
    if not kept.any():
        kept[int(rng.integers(len(notes)))] = True
    return notes.take(np.flatnonzero(kept))


def _clutter(notes: _Notes, strength: float, rng: np.random.Generator, pace: _Pace) -> _Notes:
    return notes.joined(_chance(notes, max(2, round((0.6 + 2.4 * strength) * len(notes))), rng, 12))


def _duration(notes: _Notes, strength: float, rng: np.random.Generator, pace: _Pace) -> _Notes:
    least, most = -np.log(2.5 + 7.5 * strength), np.log(3.0 + 9.0 * strength)
    factors = np.exp(rng.uniform(least, most, len(notes)))
    notes.duration = np.maximum(1, np.rint(notes.duration * factors)).astype(np.int64)
    return notes


def _register(notes: _Notes, strength: float, rng: np.random.Generator, pace: _Pace) -> _Notes:
    which = _some(len(notes), 0.3 + 0.6 * strength, rng)
    moved = notes.pitch[which] + 12 * rng.integers(1, 4, len(which)) * rng.choice(
        [-1, 1], len(which)
    )
    # Folded back it might be where it was.
    back = _on_keyboard(moved)
    notes.pitch[which] = np.where(
        back == notes.pitch[which], _on_keyboard(2 * notes.pitch[which] - moved), back
    )
    return notes


def _stuck(notes: _Notes, strength: float, rng: np.random.Generator, pace: _Pace) -> _Notes:
    start, end = int(notes.time.min()), notes.end
    begin = start + round(0.5 * (1.0 - strength) * float(rng.uniform()) * (end - start))
    onsets = np.unique(notes.time)
    first = int(onsets[max(0, int(np.searchsorted(onsets, begin, side="right")) - 1)])
    alone = bool(rng.random() < 0.5)
    # One note or chord at its own pace, or whatever begins within a quarter.
    length = max(1, round(min(notes.step(), pace.quarter))) if alone else pace.quarter
    window = (notes.time >= first) & (notes.time < first + (1 if alone else length))
    pattern = notes.take(np.flatnonzero(window))
    pattern.duration = np.minimum(pattern.duration, length)
    times = max(1, -(-(end - first) // length))
    before = notes.take(np.flatnonzero(notes.time < first))
    loop = pattern.take(np.tile(np.arange(len(pattern)), times))
    loop.time = loop.time + length * np.repeat(np.arange(times), len(pattern))
    return before.joined(loop.take(np.flatnonzero(loop.time < end)))


def _random(notes: _Notes, strength: float, rng: np.random.Generator, pace: _Pace) -> _Notes:
    factor = float(np.exp(rng.choice([-1.0, 1.0]) * strength * np.log(4.0)))
    # Some are short too: a model may learn to stop at once.
    part = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.1, 1.0))
    return _chance(notes, max(1, round(factor * part * len(notes))), rng, 24, part)


def _chance(
    notes: _Notes, count: int, rng: np.random.Generator, beyond: int, part: float = 1.0
) -> _Notes:
    """Random notes over (a first part of) the piece's time.

    They have its pitches and ``beyond`` semitones more, its lengths and its velocities.
    """
    start = int(notes.time.min())
    end = start + max(1, round(part * (notes.end - start)))
    low, high = (
        max(LOWEST, int(notes.pitch.min()) - beyond),
        min(HIGHEST, int(notes.pitch.max()) + beyond),
    )
    of = rng.integers(len(notes), size=(3, count))
    time = rng.integers(start, end, count)
    duration = np.minimum(notes.duration[of[0]], np.maximum(1, end - time))
    pitch = rng.integers(min(low, high), max(low, high) + 1, count)
    return _Notes(time, duration, pitch, notes.velocity[of[1]], notes.track[of[2]])


_KINDS: dict[str, Callable[[_Notes, float, np.random.Generator, _Pace], _Notes]] = {
    "pitch": _pitch,
    "timing": _timing,
    "order": _order,
    "gaps": _gaps,
    "clutter": _clutter,
    "duration": _duration,
    "register": _register,
    "stuck": _stuck,
    "random": _random,
}
PERFORMANCE_DEGRADATIONS = tuple(_KINDS)
"""The names of the degradations."""

CLIP_KINDS = ("real", *PERFORMANCE_DEGRADATIONS, "mixed", "silence", "noise")
"""The kinds of clips that an audio scorer is trained with.

The piece itself, each degradation, two of them one after the other, and no notes.
"""


def degrade_performance(
    score: ScoreTick, kind: str, strength: float, *, rng: random.Random
) -> ScoreTick:
    """A worse performance of a piece; tempos, signatures and percussion stay.

    Args:
        score: The performance.
        kind: One of :data:`PERFORMANCE_DEGRADATIONS`.
        strength: From 0, which a listener notices, to 1, which leaves little of the piece.
        rng: Source of chance; the same state gives the same result.

    Returns:
        A new score with the same tracks; one without a pitched note is returned unchanged.

    Raises:
        MusicZooError: An unknown kind, or a strength outside 0 to 1.
    """
    if kind not in _KINDS:
        raise MusicZooError(
            f"There is no degradation {kind!r}.",
            where="kind",
            remedy=f"Choose of {', '.join(_KINDS)}.",
        )
    if not 0.0 <= strength <= 1.0:
        raise MusicZooError(
            f"A strength of {strength} is out of range.",
            where="strength",
            remedy="Give a number from 0 to 1.",
        )
    from symusic import Note

    result = score.copy()
    notes = _pitched_notes(score)
    if not len(notes):
        return result
    chance = np.random.default_rng(rng.getrandbits(64))
    quarter = int(score.ticks_per_quarter)
    tempo = (
        float(min(score.tempos, key=lambda item: int(item.time)).qpm)
        if len(score.tempos)
        else _DEFAULT_TEMPO
    )
    made = _KINDS[kind](notes, strength, chance, _Pace(quarter, quarter * tempo / 60.0))
    made = made.take(np.lexsort((made.pitch, made.time)))
    for index, track in enumerate(result.tracks):
        if not track.is_drum:
            own = made.take(np.flatnonzero(made.track == index))
            track.notes = Note.from_numpy(  # type: ignore[assignment]  # of ticks, see the last argument
                own.time.astype(np.int32),
                own.duration.astype(np.int32),
                own.pitch.astype(np.int8),
                own.velocity.astype(np.int8),
                "tick",
            )
    return result


def _pitched_notes(score: ScoreTick) -> _Notes:
    columns: list[list[NDArray[np.int64]]] = [[], [], [], [], []]
    for index, track in enumerate(score.tracks):
        if not track.is_drum:
            arrays = track.notes.numpy()
            for column, name in zip(
                columns, ("time", "duration", "pitch", "velocity"), strict=False
            ):
                column.append(np.asarray(arrays[name], dtype=np.int64))
            columns[4].append(np.full(len(track.notes), index, dtype=np.int64))
    joined = [np.concatenate(column) if column else np.zeros(0, np.int64) for column in columns]
    notes = _Notes(*joined)
    return notes.take(np.lexsort((notes.pitch, notes.time)))
