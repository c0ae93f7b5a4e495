"""Values of octuples -> a symusic score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from musiczoo.representations.octuple_codes import (
    DEFAULT_SIGNATURE,
    DURATIONS,
    GRID,
    SIGNATURES,
    Codes,
    bar_length,
    signature_code,
    tempo_of,
)

if TYPE_CHECKING:
    from symusic.core import ScoreTick

_DRUMS = 128
_TICKS = 480  # a quarter note


def score_of(values: Codes) -> ScoreTick:
    """The score of notes as values of the eight fields, (notes, 8), at least one.

    >>> score = score_of(np.array([[1, 32, 0, 60, 16, 20, 9, 35]]))
    >>> score.ticks_per_quarter, score.tracks[0].notes[0].time, score.tracks[0].notes[0].duration
    (480, 2880, 480)
    """
    from symusic.core import NoteTick, ScoreTick, TempoTick, TimeSignatureTick, TrackTick

    step = _TICKS // GRID
    signatures = _signatures(values)
    lengths = np.array([bar_length(int(code)) for code in signatures])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    score = ScoreTick(_TICKS)
    before = -1
    for start, code in zip(starts.tolist(), signatures.tolist(), strict=True):
        if code != before:
            score.time_signatures.append(TimeSignatureTick(start * step, *SIGNATURES[code]))
            before = code
    onsets = starts[values[:, 0]] + values[:, 1]
    moments, place = np.unique(onsets, return_inverse=True)
    means = np.rint(np.bincount(place, values[:, 7]) / np.bincount(place)).astype(np.int64)
    before = -1
    for onset, code in zip(moments.tolist(), means.tolist(), strict=True):
        if code != before:
            score.tempos.append(TempoTick(onset * step if before >= 0 else 0, tempo_of(code)))
            before = code
    # A duration of nothing is played as one tick, which is nothing again on the grid.
    durations = np.maximum(DURATIONS[values[:, 4]] * step, 1)
    for program in np.unique(values[:, 2]).tolist():
        track = TrackTick("", 0 if program == _DRUMS else program, program == _DRUMS)
        of_track = values[:, 2] == program
        for row, onset, duration in zip(
            values[of_track], onsets[of_track], durations[of_track], strict=True
        ):
            pitch = int(row[3]) % 128
            velocity = 4 * int(row[5]) + 2
            track.notes.append(NoteTick(int(onset) * step, int(duration), pitch, velocity))
        score.tracks.append(track)
    return score


def _signatures(values: Codes) -> Codes:
    """The time signature of each bar, (bars,): the most frequent of its notes, else the last."""
    bars = int(values[:, 0].max()) + 1
    counts = np.zeros((bars, len(SIGNATURES)), np.int64)
    np.add.at(counts, (values[:, 0], values[:, 6]), 1)
    found = counts.argmax(axis=1)
    present = counts.any(axis=1)
    last = np.maximum.accumulate(np.where(present, np.arange(bars), -1))
    return np.where(last >= 0, found[last], signature_code(*DEFAULT_SIGNATURE))
