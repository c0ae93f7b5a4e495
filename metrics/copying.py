"""Copy rate: the part of new pieces that is in the training corpus already.

A piece is cut into all its spans of a few successive bars. A span is described by what sounds in
it, free of its key: for every note its onset in the bar, its written length, and its distance in
semitones from the span's first note. Two spans with the same description are the same music in
another key. What makes a difference:

* Voices: all notes of all voices together, so the order, number and names of voices, and doublings
  in unison, make no difference. ``voices="top"`` means the first voice of the body alone, its
  highest note where it has chords.
* Octaves: a span that is moved as a whole, by any number of semitones, is a copy; one voice moved
  by an octave against the others is not.
* Note values: must be equal as they sound (quarter notes), whatever unit or meter they are written
  in; so must the lengths of bars.
* Ties, slurs, grace notes, decorations, chord symbols, lyrics, bar-lines and repeats make no
  difference; repeats are not played. Tied notes stay two notes.
* Spans in which nothing sounds are not counted. Pieces with fewer bars than a span have no spans.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.to_tune import from_score

Voices = Literal["all", "top"]
Hashes = NDArray[np.uint64]

SPAN = 4
"""Bars of a span."""


def span_hashes(
    tune: Tune, bars: int = SPAN, voices: Voices = "all"
) -> tuple[Hashes, NDArray[np.intp]]:
    """The spans of a piece.

    Args:
        tune: Any tune.
        bars: Bars of a span.
        voices: ``"all"``, or ``"top"`` for the first voice alone.

    Returns:
        64-bit hashes of the sounding spans in order, and for each the index of its first bar.

    Raises:
        MusicZooError: Music code that cannot be read.
    """
    digests, references = _bar_digests(tune, voices)
    if len(digests) < bars:
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.intp)
    # (spans, bars)
    windows = sliding_window_view(digests, bars)
    pitches = sliding_window_view(references, bars)
    sounding = pitches >= 0
    (places,) = np.nonzero(sounding.any(axis=1))
    windows, pitches, sounding = windows[places], pitches[places], sounding[places]
    # (spans, 1): the pitch of the first note
    first = np.take_along_axis(pitches, sounding.argmax(axis=1)[:, None], axis=1)
    intervals = np.where(sounding, pitches - first, 0)
    hashes = np.zeros(len(places), dtype=np.uint64)
    for digest, interval in zip(windows.T, intervals.T, strict=True):
        hashes = _mixed(hashes ^ _mixed(digest + interval.astype(np.uint64)))
    return hashes, places


def _mixed(values: Hashes) -> Hashes:
    """A permutation of the 64-bit numbers that spreads every bit (splitmix64's finaliser)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _bar_digests(tune: Tune, voices: Voices) -> tuple[Hashes, NDArray[np.int64]]:
    """For each bar a digest of its notes relative to the first one's pitch, and that pitch.

    The pitch is -1 where nothing sounds.

    Returns:
        (bars,) uint64 and (bars,) int64.
    """
    parsed = tune.parsed if voices == "all" else tune.parsed[:1]
    count = max((len(voice.bars) for voice in parsed), default=0)
    notes: list[set[tuple[Fraction, int, Fraction]]] = [set() for _ in range(count)]
    lengths = [Fraction(0)] * count
    for voice in parsed:
        starts = [span.onset for span in voice.bars]
        for index, span in enumerate(voice.bars):
            lengths[index] = max(lengths[index], span.duration)
        for event in voice.events:
            if event.heads and not event.grace:
                onset = event.onset - starts[event.bar]
                heads = (
                    event.heads
                    if voices == "all"
                    else (max(event.heads, key=lambda head: head.pitch.midi),)
                )
                notes[event.bar].update((onset, head.pitch.midi, head.duration) for head in heads)
    digests = np.zeros(count, dtype=np.uint64)
    references = np.full(count, -1, dtype=np.int64)
    for index, (length, bar) in enumerate(zip(lengths, notes, strict=True)):
        numbers = array("q", (length.numerator, length.denominator))
        for onset, pitch, duration in sorted(bar):
            if references[index] < 0:
                references[index] = pitch
            numbers.extend(
                (
                    *onset.as_integer_ratio(),
                    pitch - int(references[index]),
                    *duration.as_integer_ratio(),
                )
            )
        digests[index] = int.from_bytes(hashlib.blake2b(numbers.tobytes(), digest_size=8).digest())
    return digests, references


class SpanIndex:
    """The spans of a corpus, for looking up spans of other pieces.

    Args:
        hashes: From :func:`span_hashes`, in any order, repeated or not.
        bars: Bars of a span.
        voices: Which voices the spans are of.
    """

    def __init__(self, hashes: Hashes, bars: int = SPAN, voices: Voices = "all") -> None:
        self.hashes: Hashes = np.unique(hashes)
        self.bars = bars
        self.voices: Voices = voices

    @classmethod
    def of(cls, tunes: Iterable[Tune], bars: int = SPAN, voices: Voices = "all") -> SpanIndex:
        """The index of tunes.

        Raises:
            MusicZooError: Spans of less than one bar, or music code that cannot be read.
        """
        if bars < 1:
            raise MusicZooError(
                f"A span cannot have {bars} bars.", where="bars", remedy="Give 1 or more."
            )
        found = [span_hashes(tune, bars, voices)[0] for tune in tunes]
        return cls(np.concatenate(found) if found else np.empty(0, dtype=np.uint64), bars, voices)

    def __len__(self) -> int:
        """Number of different spans."""
        return len(self.hashes)

    def copied(self, tune: Tune) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        """Whether the spans of a piece are in the corpus.

        Returns:
            For each sounding span whether it is, and the index of its first bar.

        Raises:
            MusicZooError: Music code that cannot be read.
        """
        hashes, places = span_hashes(tune, self.bars, self.voices)
        if not len(self.hashes):
            return np.zeros(len(hashes), dtype=bool), places
        nearest = np.searchsorted(self.hashes, hashes).clip(max=len(self.hashes) - 1)
        return self.hashes[nearest] == hashes, places


def longest_run(copied: NDArray[np.bool_], places: NDArray[np.intp], bars: int = SPAN) -> int:
    """Bars of the longest passage all of whose spans are copies; 0 without one.

    Args:
        copied: From :meth:`SpanIndex.copied`.
        places: From the same call.
        bars: Bars of a span.

    Example:
        >>> longest_run(np.array([True, True, False, True]), np.array([0, 1, 2, 3]))
        5
    """
    longest = run = 0
    previous = -2
    for flag, place in zip(copied.tolist(), places.tolist(), strict=True):
        run = (run + 1 if place == previous + 1 else 1) if flag else 0
        previous = place
        longest = max(longest, run)
    return longest + bars - 1 if longest else 0


class CopyRate(Metric):
    r"""Copied spans in percent of all spans of all pieces (micro-average).

    The module defines what a copy is.

    For comparison, measure held-out human pieces of the same kind against the same index: real
    music shares formulas, too. NaN while no span was seen. Generated pieces that
    cannot be read have no spans.

    Args:
        index: The spans of the training corpus.
        settings: Of :class:`torchmetrics.Metric`.

    Example:
        >>> from musiczoo.music.abc import read_abc, transpose
        >>> known = read_abc("L:1/4\nK:C\nCDEF|GABc|dcBA|GFED|C4|\n")
        >>> metric = CopyRate(SpanIndex.of([known]))
        >>> other = read_abc("L:1/4\nK:C\nCDEF|GABc|dcBA|GFEE|C4|\n")
        >>> metric.update([transpose(known, "G"), other])
        >>> metric.compute()
        tensor(50.)
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    copied: Tensor
    spans: Tensor

    def __init__(self, index: SpanIndex, **settings: Any) -> None:
        super().__init__(**settings)
        self.index = index
        self.add_state("copied", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("spans", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, pieces: Iterable[Tune | Generated]) -> None:
        """Adds pieces.

        Args:
            pieces: Tunes or results of generation.

        Raises:
            MusicZooError: A tune with music code that cannot be read.
        """
        for piece in pieces:
            tune = piece if isinstance(piece, Tune) else piece.piece
            if tune is None:
                continue
            try:
                copied, _ = self.index.copied(tune if isinstance(tune, Tune) else from_score(tune))
            except MusicZooError:
                if isinstance(piece, Tune):
                    raise
                # A generated text need not be music: Validity counts such pieces.
                continue
            self.copied += int(copied.sum())
            self.spans += len(copied)

    def compute(self) -> Tensor:
        """Scalar, percent."""
        return 100.0 * self.copied / self.spans
