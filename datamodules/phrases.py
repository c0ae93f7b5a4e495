"""Phrases of four bars: the melody of a piece, and the voices beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from musiczoo.datamodules.token_sources import named_pieces, source_of
from musiczoo.datamodules.tokenising import reason_of
from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.corpora.corpus import Corpus
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files.reading import pieces_and_errors
from musiczoo.music.midi.from_tune import to_score
from musiczoo.representations.octuple import FIELDS, OctupleMidi
from musiczoo.representations.octuple_codes import DEFAULT_TEMPO, Codes, bar_length, tempo_codes
from musiczoo.representations.pirhdy import ACCOMPANIMENT_PROGRAM, MELODY_PROGRAM, PairTask

if TYPE_CHECKING:
    from symusic.core import ScoreTick

BARS = 4
"""Bars of a phrase."""

_BAR, _PROGRAM, _VELOCITY, _SIGNATURE, _TEMPO = (
    FIELDS.index(name) for name in ("bar", "program", "velocity", "signature", "tempo")
)
_PLAIN_VELOCITY = 80 // 4
_PLAIN_TEMPO = int(tempo_codes(np.array([DEFAULT_TEMPO]))[0])


class PhrasePair(NamedTuple):
    """Two phrases that belong together.

    Attributes:
        name: Unique and lasting.
        piece: Index of its piece.
        meter: Code of the time signature with which it begins; negatives have the same.
        first: (notes, 8) values of the query, bars from 0.
        second: (notes, 8) values of what belongs to it, bars from 0.
    """

    name: str
    piece: int
    meter: int
    first: Codes
    second: Codes


def read_pieces(
    sources: Sequence[Any], left_out: dict[str, str], *, cache: Any = None, progress: bool = True
) -> Iterator[tuple[str, ScoreTick]]:
    """(name, score) of the pieces of corpora, folders and files, and of scores, tunes and works.

    Args:
        sources: Any number of them.
        left_out: Gets the reason for each piece that cannot be read, by name.
        cache: Cache folder of corpora.
        progress: Show a progress bar when a corpus is read for the first time.

    Raises:
        MusicZooError: Something else, or a corpus that does not exist.
    """
    for source in sources:
        if not isinstance(source, str | Path | Corpus):
            for name, _, piece in named_pieces([source]):
                yield from _score(name, piece, left_out)
            continue
        found = source_of(source, cache=cache, progress=progress)
        left_out.update(found.refused)
        for item in found.items:
            if item.abc is not None:
                yield from _score(item.id, item.abc, left_out)
                continue
            assert found.root is not None
            try:
                pieces, errors = pieces_and_errors(found.root / item.path)
            except Exception as error:
                # As for corpora: a defect of a reader costs one piece, not the run.
                left_out[item.id] = reason_of(error)
                continue
            left_out.update((f"{item.id}:{place}", str(one)) for place, one in enumerate(errors))
            for number, piece in enumerate(pieces, 1):
                yield from _score(f"{item.id}#{number}", piece, left_out)


def _score(name: str, piece: Any, left_out: dict[str, str]) -> Iterator[tuple[str, ScoreTick]]:
    try:
        if isinstance(piece, str):
            piece = read_abc(piece)
        score = to_score(piece) if isinstance(piece, Tune) else piece
    except Exception as error:
        left_out[name] = reason_of(error)
        return
    yield name, score


def pairs_of(
    score: ScoreTick, task: PairTask, *, min_notes: int = 3, max_notes: int = 500
) -> Iterator[tuple[int, int, Codes, Codes]]:
    """The pairs of phrases of a piece.

    Phrases begin every four bars; those of PiRhDy do too. A pickup belongs to none, and what is
    left of fewer than four bars neither. The melody is the track whose mean pitch is highest, drums
    apart; all other pitched tracks are its accompaniment.

    Args:
        score: The piece.
        task: ``"next"``: two phrases of the melody in succession; ``"accompaniment"``: the melody
            of a phrase and its other voices.
        min_notes: Phrases with fewer notes are left out, each of the two by itself.
        max_notes: Likewise those with more.

    Yields:
        The number of the phrase, the code of its meter, and the notes of both, bars from 0.

    Raises:
        MusicZooError: No pitched track, or for an accompaniment only one.
    """
    tracks = [track for track in score.tracks if len(track.notes) and not track.is_drum]
    if not tracks:
        raise MusicZooError("It has no pitched notes.")
    if task == "accompaniment" and len(tracks) == 1:
        raise MusicZooError("It has one voice, so there is no accompaniment.")
    pitches = [float(track.notes.numpy()["pitch"].mean()) for track in tracks]
    lead = pitches.index(max(pitches))
    melody = _notes(score, [tracks[lead]])
    others = [track for place, track in enumerate(tracks) if place != lead]
    rest = _notes(score, others) if others else melody[:0]
    together = np.concatenate([melody, rest])
    begin = _pickup(together)
    count = (int(together[:, _BAR].max()) + 1 - begin) // BARS
    melodies = [_phrase(melody, begin + number * BARS) for number in range(count)]
    if task == "next":
        seconds = melodies[1:]
    else:
        seconds = [_phrase(rest, begin + number * BARS) for number in range(count)]
    for number, (first, second) in enumerate(zip(melodies, seconds, strict=False)):
        if all(min_notes <= len(part) <= max_notes for part in (first, second)):
            yield number, int(first[0, _SIGNATURE]), first, second


def pair_notes(first: Codes, second: Codes, task: PairTask, *, plain: bool = False) -> Codes:
    """Two phrases as one sequence, which keeps nothing that gives their piece away.

    The programs are PiRhDy's, 80 and for an accompaniment 0; every velocity is 80 and every tempo
    120. (PiRhDy keeps velocities.)

    Args:
        first: (notes, 8) values of the query, bars from 0.
        second: Likewise of the candidate.
        task: See :func:`pairs_of`.
        plain: Every program is 0, for a model of plain octuples.

    Returns:
        (notes, 8) values, sorted.
    """
    first, second = first.copy(), second.copy()
    lead = 0 if plain else MELODY_PROGRAM
    first[:, _PROGRAM] = lead
    if task == "next":
        second[:, _PROGRAM] = lead
        second[:, _BAR] += BARS
    else:
        second[:, _PROGRAM] = 0 if plain else ACCOMPANIMENT_PROGRAM
    notes = np.concatenate([first, second])
    notes[:, _VELOCITY] = _PLAIN_VELOCITY
    notes[:, _TEMPO] = _PLAIN_TEMPO
    return notes[np.lexsort(notes.T[::-1])]


def _notes(score: ScoreTick, tracks: Sequence[Any]) -> Codes:
    part = score.copy()
    part.tracks.clear()
    for track in tracks:
        part.tracks.append(track)
    return OctupleMidi().notes(part)


def _pickup(notes: Codes) -> int:
    """1 where the first bar is shorter than the next one that has notes, else 0."""
    lengths = {
        int(bar): bar_length(int(code)) for bar, code in notes[::-1][:, [_BAR, _SIGNATURE]].tolist()
    }
    later = [bar for bar in lengths if bar > 0]
    return int(0 in lengths and bool(later) and lengths[0] < lengths[min(later)])


def _phrase(notes: Codes, begin: int) -> Codes:
    """The notes of the four bars from ``begin`` on, bars from 0."""
    bars = notes[:, _BAR]
    found = notes[(bars >= begin) & (bars < begin + BARS)].copy()
    found[:, _BAR] -= begin
    return found
