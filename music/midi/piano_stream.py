"""Performed music reduced to one stream of notes, and measures to judge and compare streams.

Jonason, Casini and Sturm 2025, "SMART" (arXiv 2504.16839), section 3.1: only the tracks with a
piano program are kept, merged into one track without duplicate notes; pieces with more than 300
notes in a bar and those with more than 20 % empty bars are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.errors import MusicZooError
from musiczoo.music.near_duplicates import Shingles, shingles
from musiczoo.music.quantisation import score_bars

if TYPE_CHECKING:
    from symusic.core import ScoreTick

Programs = Sequence[int] | Literal["all-as-piano"] | None

PIANO = tuple(range(8))
"""The programs 1 to 8 of General MIDI, as files count them."""

ALL_AS_PIANO: Literal["all-as-piano"] = "all-as-piano"
"""Every pitched track counts as piano, whatever its program."""

MAX_NOTES = 100_000
"""A piece of more notes is left out: an hour of the densest piano music has some 60,000."""

_Notes = dict[str, NDArray[np.signedinteger]]


def reduced(score: ScoreTick, programs: Programs = PIANO) -> ScoreTick:
    """The notes of some programs as one piano track, or those of each program as one track.

    Of notes of one track with the same onset and pitch the longest is kept, of equally long ones
    the loudest. Tempos and signatures stay; those that no music has (a tempo of 0, a meter of 0
    beats) go, and so do controllers, pedals, lyrics and markers, which the representations do not
    hold.

    Args:
        score: The piece, in ticks. It is not changed.
        programs: Programs (0 to 127) that are kept and become one track of program 0;
            ``"all-as-piano"`` does so with every track but drums; None keeps all programs and
            drums, each as one track.

    Raises:
        MusicZooError: No note is left, more than :data:`MAX_NOTES` are, or the score has no ticks
            per quarter note.
    """
    from symusic.core import NoteTickList, TrackTick

    if int(score.ticks_per_quarter) <= 0:
        raise MusicZooError(
            "The score has no ticks per quarter note.",
            remedy="Read it from a MIDI file with a sound header.",
        )
    together = _kept_notes(score, programs)
    if sum(len(notes["time"]) for group in together.values() for notes in group) > MAX_NOTES:
        raise MusicZooError(f"It has more than {MAX_NOTES:,} notes.")
    if not together:
        what = (
            "tracks with notes"
            if programs is None or programs == ALL_AS_PIANO
            else "notes on the programs that are kept"
        )
        raise MusicZooError(f"It has no {what}.")
    result = _without_tracks(score)
    for (is_drum, program), group in sorted(together.items()):
        track = TrackTick(
            "Drums" if is_drum else "Piano" if programs is not None else "", program, is_drum
        )
        notes = _without_duplicates(
            {name: np.concatenate([part[name] for part in group]) for name in group[0]}
        )
        track.notes = NoteTickList.from_numpy(
            notes["time"], notes["duration"], notes["pitch"], notes["velocity"]
        )
        result.tracks.append(track)
    return result


def _kept_notes(score: ScoreTick, programs: Programs) -> dict[tuple[bool, int], list[_Notes]]:
    """The notes of each kept track by (is drum, program)."""
    together: dict[tuple[bool, int], list[_Notes]] = {}
    for track in score.tracks:
        is_drum, program = bool(track.is_drum), int(track.program)
        if programs is not None:
            if is_drum or (programs != ALL_AS_PIANO and program not in programs):
                continue
            program = 0
        if len(track.notes):
            together.setdefault((is_drum, program), []).append(track.notes.numpy())
    return together


def _without_tracks(score: ScoreTick) -> ScoreTick:
    """A score with the sensible signatures and tempos alone."""
    from symusic.core import ScoreTick

    result = ScoreTick(int(score.ticks_per_quarter))
    for meter in score.time_signatures:
        if int(meter.numerator) > 0 and int(meter.denominator) > 0 and int(meter.time) >= 0:
            result.time_signatures.append(meter.copy())
    for key in score.key_signatures:
        result.key_signatures.append(key.copy())
    for tempo in score.tempos:
        if 0 < float(tempo.qpm) < float("inf") and int(tempo.time) >= 0:
            result.tempos.append(tempo.copy())
    return result


def _without_duplicates(notes: _Notes) -> _Notes:
    """Notes in order of onset and pitch; of equal ones the longest, then the loudest."""
    order = np.lexsort(
        (
            -notes["velocity"].astype(np.int64),
            -notes["duration"].astype(np.int64),
            notes["pitch"],
            notes["time"],
        )
    )
    time, pitch = notes["time"][order], notes["pitch"][order]
    is_first = np.r_[True, (np.diff(time) != 0) | (np.diff(pitch) != 0)]
    return {name: np.ascontiguousarray(values[order[is_first]]) for name, values in notes.items()}


def notes_of_bars(score: ScoreTick) -> NDArray[np.int64]:
    """How many notes begin in each bar, from the first bar of the piece to that of the last onset.

    A note that is held through a bar does not fill it: in the tokens, which the paper's filters
    count, such a bar is empty too.

    Args:
        score: The piece, in ticks, with at least one note.

    Returns:
        (bars,) int64.

    Raises:
        MusicZooError: More than 10,000 bars.
    """
    resolution = int(score.ticks_per_quarter)
    onsets = np.concatenate(
        [track.notes.numpy()["time"] for track in score.tracks if len(track.notes)]
    ).astype(np.int64)
    bars = score_bars(score, Fraction(max(0, int(onsets.max())) + 1, resolution))
    starts = np.array([float(bar.start * resolution) for bar in bars])
    places = np.clip(np.searchsorted(starts, onsets, side="right") - 1, 0, None)
    return np.bincount(places, minlength=len(bars)).astype(np.int64)


def check_density(bars: NDArray[np.int64], max_notes_per_bar: int, max_empty_bars: float) -> None:
    """Whether a piece is as dense as music is (paper section 3.1).

    Args:
        bars: Of :func:`notes_of_bars`.
        max_notes_per_bar: Most notes that may begin in one bar.
        max_empty_bars: Largest part of the bars, 0 to 1, in which none may begin.

    Raises:
        MusicZooError: It is not.
    """
    if int(bars.max()) > max_notes_per_bar:
        raise MusicZooError(f"A bar has more than {max_notes_per_bar} notes.")
    if float((bars == 0).mean()) > max_empty_bars:
        raise MusicZooError(f"More than {100 * max_empty_bars:g} % of the bars are empty.")


def fingerprint(score: ScoreTick) -> Shingles:
    """The shingles of the uppermost line, without drums.

    :mod:`musiczoo.music.near_duplicates` compares works by them.
    """
    arrays = [
        track.notes.numpy() for track in score.tracks if len(track.notes) and not track.is_drum
    ]
    if not arrays:
        return shingles([])
    onsets, durations, pitches = (
        np.concatenate([notes[name] for notes in arrays]).astype(np.int64)
        for name in ("time", "duration", "pitch")
    )
    return shingles(score_skyline(onsets, durations, pitches))


def score_skyline(
    onsets: NDArray[np.int64], durations: NDArray[np.int64], pitches: NDArray[np.int64]
) -> list[int]:
    """The uppermost line of notes in any order.

    By the rule of :func:`musiczoo.music.near_duplicates.skyline`.

    Args:
        onsets: (notes,) in any unit of time.
        durations: (notes,) in the same unit.
        pitches: (notes,) MIDI note numbers.

    Returns:
        MIDI note numbers in order of onset.
    """
    # At each onset the highest note comes first.
    order = np.lexsort((-pitches, onsets))
    rows: Sequence[tuple[int, int, int]] = list(
        zip(
            onsets[order].tolist(),
            (onsets + durations)[order].tolist(),
            pitches[order].tolist(),
            strict=True,
        )
    )
    line: list[int] = []
    # (pitch, end) of the sounding notes, falling in pitch and rising in end: a lower note that ends
    # sooner is never the highest.
    above: list[tuple[int, int]] = []
    begins: list[tuple[int, int]] = []
    last = None
    for onset, end, pitch in rows:
        if onset != last:
            above = _sounding(above, begins, onset)
            begins = []
            if not above or pitch >= above[0][0]:
                line.append(pitch)
            last = onset
        begins.append((pitch, end))
    return line


def _sounding(
    above: list[tuple[int, int]], begun: list[tuple[int, int]], onset: int
) -> list[tuple[int, int]]:
    kept: list[tuple[int, int]] = []
    for pitch, end in sorted([*above, *begun], reverse=True):
        if end > onset and (not kept or end > kept[-1][1]):
            kept.append((pitch, end))
    return kept
