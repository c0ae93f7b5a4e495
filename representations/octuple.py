r"""OctupleMIDI: a note is eight tokens (MusicBERT, Zeng et al. 2021, arXiv 2106.05630).

=====  ==============  ======  =============================================================
field  what            values  ids
=====  ==============  ======  =============================================================
0      bar             256     4 to 259
1      position        128     260 to 387: sixteenths of a quarter note from the bar line
2      program         129     388 to 516; 128 is drums
3      pitch           256     517 to 772; of drums 128 more
4      duration        128     773 to 900
5      velocity        32      901 to 932
6      time signature  254     933 to 1186
7      tempo           49      1187 to 1235
=====  ==============  ======  =============================================================

Ids 0 to 3 are ``<s> <pad> </s> <unk>``, and ``<mask>`` is 1236. This is the published code's
format, not MidiTok's ``Octuple``. Bar lines follow the time signatures: a new one holds from the
next bar line on. A pickup that has a signature of its own length (as tunes and MusicXML are turned
into MIDI here) keeps its bar line.

What the format cannot hold:

- a bar longer than two whole notes: its numerator is divided, so 10/4 becomes two bars of 5/4
- a pickup that a MIDI file does not mark by a time signature: it begins a full bar
- a time signature that changes within a bar: its notes keep it, but decoded the bar has one
- the time signature of a bar in which no note begins: decoded, it has that of the bar before
- a duration of a quarter note or more to the position: decoded, it is the shortest of its code, 247
  quarter notes at most
- notes from position 65,536 on, and those of one window beyond 256 bars: they are left out
- a denominator that is no power of two, and a piece without a note: both are errors
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from musiczoo.music.abc.tune import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.base import Representation
from musiczoo.representations.octuple_codes import (
    DEFAULT_SIGNATURE,
    DEFAULT_TEMPO,
    DURATIONS,
    Codes,
    duration_codes,
    signature_code,
    tempo_codes,
)
from musiczoo.representations.octuple_decoding import score_of
from musiczoo.representations.octuple_grid import Timeline, bars_of, positions
from musiczoo.representations.octuple_tracks import DRUMS as DRUMS
from musiczoo.representations.octuple_tracks import notes_of_track

if TYPE_CHECKING:
    from symusic.core import ScoreTick

FIELDS = ("bar", "position", "program", "pitch", "duration", "velocity", "signature", "tempo")
SIZES = (256, 128, 129, 256, len(DURATIONS), 32, 254, 49)
BEGIN, PAD, END, UNKNOWN, MASK = 0, 1, 2, 3, 1236
FIRST_IDS: Codes = np.cumsum([4, *SIZES[:-1]])
#: Notes from this position on are left out (published code).
LAST_POSITION = 65_536
_PLAIN_VELOCITY = 80

#: The names of all tokens in the order of their ids.
TOKENS: tuple[str, ...] = (
    *("<s>", "<pad>", "</s>", "<unk>"),
    *(f"<{field}-{value}>" for field, size in enumerate(SIZES) for value in range(size)),
    "<mask>",
)
_INDEX = {name: number for number, name in enumerate(TOKENS)}


class OctupleMidi(Representation["ScoreTick"]):
    r"""Symusic scores as rows of eight tokens.

    Args:
        max_length: Rows of a piece at most, the two of ``<s>`` and ``</s>`` included; MusicBERT
            has 1,002.
        plain: Keep of a piece what notation states as well (ours, for models that are trained on
            notation): drums are left out, every program is 0, every velocity 80 and every tempo
            120.

    Attributes:
        vocabulary: The 1,237 tokens in the order of their ids; a row has eight of them.

    Raises:
        MusicZooError: A length that leaves no place for a note.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> representation = OctupleMidi()
        >>> ids = representation.encode(read_abc("M:4/4\nL:1/4\nK:C\nC E G c|"))
        >>> ids.shape, representation.text(ids[1:2])
        (torch.Size([6, 8]), '<0-0> <1-0> <2-0> <3-60> <4-16> <5-20> <6-9> <7-35>')
        >>> [note.pitch for note in representation.decode(ids).tracks[0].notes]
        [60, 64, 67, 72]
    """

    max_length: int
    vocabulary: tuple[str, ...] = TOKENS

    def __init__(self, max_length: int = 1002, *, plain: bool = False) -> None:
        self.max_length = _at_least(3, max_length, "max_length")
        self.plain = plain

    def encode(
        self,
        piece: ScoreTick | Tune,
        *,
        max_length: int | None = None,
        rng: random.Random | None = None,
    ) -> Tensor:
        """The piece as ids, ``<s>`` and ``</s>`` included.

        Args:
            piece: A score in ticks, or a tune (repeats are played).
            max_length: Rows at most; of a longer piece a random window, the beginning without
                ``rng``.
            rng: Chooses the window, and how far its bars are shifted: as far as they stay within
                0 to 255 (published code). Without it they are shifted only where they must be.

        Returns:
            (notes + 2, 8) int64.

        Raises:
            MusicZooError: A piece without a note, a time signature or a note that the format lacks,
                or a length that leaves no place for a note.
        """
        rows = self.max_length if max_length is None else _at_least(3, max_length, "max_length")
        notes, most = self.notes(piece), rows - 2
        start = rng.randint(0, len(notes) - most) if rng and len(notes) > most else 0
        return window_ids(notes[start : start + most], rng)

    def windows(
        self,
        piece: ScoreTick | Tune,
        length: int = 1000,
        step: int = 250,
        rng: random.Random | None = None,
    ) -> Iterator[Tensor]:
        """Windows of a piece, as MusicBERT is pre-trained on them.

        Args:
            piece: As in :meth:`encode`.
            length: Notes of a window at most.
            step: Notes from a window to the next.
            rng: Chooses the first, which may begin before the piece, and the shifts of the bars;
                without it the first begins with the piece.

        Yields:
            (notes + 2, 8) int64 each.

        Raises:
            MusicZooError: See :meth:`encode`; or a length or step below 1.
        """
        _at_least(1, length, "length")
        _at_least(1, step, "step")
        notes = self.notes(piece)
        first = -rng.randint(0, length - 1) if rng else 0
        for start in range(first, len(notes), step):
            if start + length > 0:
                yield window_ids(notes[max(start, 0) : start + length], rng)

    def notes(self, piece: ScoreTick | Tune) -> Codes:
        """The notes as values of the eight fields, sorted; bars are counted without a limit.

        Returns:
            (notes, 8) int64.

        Raises:
            MusicZooError: See :meth:`encode`.
        """
        if isinstance(piece, Tune):
            from musiczoo.music.midi.from_tune import to_score

            piece = to_score(piece)
        if piece.ticks_per_quarter <= 0:
            raise MusicZooError(
                "The score has no ticks per quarter note.",
                remedy="Read it from a MIDI file with a sound header.",
            )
        ticks = piece.ticks_per_quarter
        found = np.concatenate(
            [
                np.empty((0, 5), np.int64),
                *(
                    notes_of_track(track)
                    for track in piece.tracks
                    if not (self.plain and track.is_drum)
                ),
            ]
        )
        onsets = positions(found[:, 0], ticks)
        ends = positions(found[:, 0] + found[:, 1], ticks)
        kept = onsets < LAST_POSITION
        if not kept.any():
            raise MusicZooError("The piece holds no note.", remedy="Leave it out.")
        onsets, ends, found = onsets[kept], ends[kept], found[kept]
        signatures = _signatures(piece, ticks)
        tempos = Timeline.of(((one.time, one.qpm) for one in piece.tempos), ticks, DEFAULT_TEMPO)
        bars, places = bars_of(onsets, signatures)
        beats = tempos.at(onsets)
        if self.plain:
            found[:, [2, 4]] = 0, _PLAIN_VELOCITY
            beats = np.full_like(beats, DEFAULT_TEMPO)
        values = np.stack(
            [
                bars,
                places,
                found[:, 2],
                found[:, 3],
                duration_codes(ends - onsets),
                found[:, 4] // 4,
                signatures.at(onsets),
                tempo_codes(beats),
            ],
            axis=1,
        )
        return values[np.lexsort(values.T[::-1])]

    def decode(self, encoded: Tensor) -> ScoreTick:
        """The score of rows of ids; rows that are no note are skipped.

        A bar has the time signature that most of its notes have, an empty one that of the bar
        before; a moment has the mean tempo of its notes.

        Args:
            encoded: (rows, 8), or one row after the other as in fairseq's files, (rows * 8,).

        Raises:
            MusicZooError: There is no note, or ids are missing from a row.
        """
        width = len(FIELDS)
        flat = encoded.ndim == 1 and len(encoded) % width == 0
        if not flat and (encoded.ndim != 2 or encoded.shape[1] != width):
            raise MusicZooError(
                f"Ids of shape {tuple(encoded.shape)} are no rows of eight.",
                remedy="Give (rows, 8).",
            )
        values = encoded.cpu().numpy().astype(np.int64).reshape(-1, width) - FIRST_IDS
        values = values[((values >= 0) & (values < np.array(SIZES))).all(axis=1)]
        if not len(values):
            raise MusicZooError("The tokens hold no note.", remedy="Leave the piece out.")
        return score_of(values)

    def text(self, encoded: Tensor) -> str:
        """The names of all ids, row after row, with spaces between.

        Raises:
            MusicZooError: An id that does not exist.
        """
        ids = encoded.flatten().tolist()
        if wrong := [number for number in ids if not 0 <= number < len(TOKENS)]:
            raise MusicZooError(
                f"There is no token with id {wrong[0]}.", remedy=f"Ids are 0 to {MASK}."
            )
        return " ".join(TOKENS[number] for number in ids)

    def encode_text(self, text: str) -> Tensor:
        """The ids of names, (rows, 8) int64.

        Raises:
            MusicZooError: A name that does not exist, or an incomplete row.
        """
        names = text.split()
        if unknown := [name for name in names if name not in _INDEX]:
            raise MusicZooError(
                f"There is no token {unknown[0]!r}.", remedy="Tokens are such as <3-60>."
            )
        if len(names) % len(FIELDS):
            raise MusicZooError(
                f"{len(names)} tokens are no whole rows.", remedy="A row has eight tokens."
            )
        ids = torch.tensor([_INDEX[name] for name in names], dtype=torch.int64)
        return ids.reshape(-1, len(FIELDS))

    def collate(self, encoded: Sequence[Tensor]) -> dict[str, Tensor]:
        """Pieces as one batch.

        Returns:
            ``ids`` (batch, longest, 8), int64, ``<pad>`` where a piece has ended, and ``lengths``
            (batch,), int64.
        """
        rows = [piece.long() for piece in encoded]
        ids = pad_sequence(rows, batch_first=True, padding_value=PAD)
        return {"ids": ids, "lengths": torch.tensor([len(piece) for piece in encoded])}

    def to_config(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return {"max_length": self.max_length} | ({"plain": True} if self.plain else {})


def window_ids(notes: Codes, rng: random.Random | None = None) -> Tensor:
    """The ids of a window of notes, with ``<s>`` and ``</s>``.

    Args:
        notes: (notes, 8) values, as :meth:`OctupleMidi.notes` gives them; at least one.
        rng: Chooses how far bars are shifted; without it only as far as they must be.

    Returns:
        (notes + 2, 8) int64; notes beyond 256 bars are left out.
    """
    first, last = int(notes[:, 0].min()), int(notes[:, 0].max())
    shift = 0
    if last - first >= SIZES[0]:
        shift = -first
    elif rng is not None:
        shift = rng.randint(-first, SIZES[0] - 1 - last)
    elif last >= SIZES[0]:
        shift = -first
    shifted = notes.copy()
    shifted[:, 0] += shift
    ids = shifted[shifted[:, 0] < SIZES[0]] + FIRST_IDS
    ends = np.full((1, len(FIELDS)), BEGIN), np.full((1, len(FIELDS)), END)
    return torch.from_numpy(np.concatenate([ends[0], ids, ends[1]]))


def _signatures(piece: ScoreTick, ticks: int) -> Timeline:
    """The codes of the time signatures of a score."""
    codes = (
        (one.time, signature_code(one.numerator, one.denominator, f"tick {one.time}"))
        for one in piece.time_signatures
    )
    return Timeline.of(codes, ticks, signature_code(*DEFAULT_SIGNATURE))


def _at_least(least: int, value: int, name: str) -> int:
    if value < least:
        raise MusicZooError(
            f"{name}={value} leaves no place for a note.",
            where=name,
            remedy=f"Give {least} or more.",
        )
    return value
