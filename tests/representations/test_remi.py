"""REMI tokens: SMART's vocabulary to the last id, and pieces that come back on the grid."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from symusic.core import NoteTick, ScoreTick, TempoTick, TimeSignatureTick, TrackTick

from musiczoo.music.abc import read_abc
from musiczoo.music.corpora.names import load_corpus
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.from_tune import to_score
from musiczoo.representations.remi import BOS, EOS, PAD, Remi

_GRID = 12  # positions a beat
_LONGEST = 4  # beats


def score(
    notes: list[tuple[float, int, float]],
    *,
    resolution: int = 480,
    meter: tuple[int, int] = (4, 4),
    program: int = 0,
) -> ScoreTick:
    """Notes as (onset, pitch, duration) in quarters."""
    piece = ScoreTick(resolution)
    piece.time_signatures.append(TimeSignatureTick(0, *meter))
    piece.tempos.append(TempoTick(0, 120.0))
    track = TrackTick("", program, False)
    for onset, pitch, duration in notes:
        track.notes.append(
            NoteTick(round(onset * resolution), round(duration * resolution), pitch, 80)
        )
    piece.tracks.append(track)
    return piece


def pieces() -> list[ScoreTick]:
    """Chords, ties over bars, changing meters and tempos, empty bars, triplets."""
    changing = score(
        [(0, 60, 1), (0, 64, 2), (3.5, 67, 1.5), (6, 72, 0.5), (9, 55, 1)], meter=(3, 4)
    )
    changing.time_signatures.append(TimeSignatureTick(3 * 480, 6, 8))
    changing.time_signatures.append(TimeSignatureTick(9 * 480, 4, 4))
    changing.tempos.append(TempoTick(6 * 480, 90.0))
    return [
        score([(0, 60, 1), (1, 62, 1), (2, 64, 1), (3, 65, 1), (4, 67, 4)]),
        score([(0, 21, 0.25), (1 / 3, 108, 1 / 3), (2 / 3, 60, 1 / 3), (20, 60, 3)]),
        changing,
        to_score(read_abc("X:1\nM:6/8\nL:1/8\nQ:3/8=60\nK:G\nGAB d2e|dBG A3|G4 z2|]\n")),
    ]


def quarters(piece: ScoreTick, program: bool = False) -> list[tuple[Any, ...]]:
    found = [
        (
            *((track.program, track.is_drum) if program else ()),
            Fraction(note.time, piece.tpq),
            note.pitch,
            Fraction(note.duration, piece.tpq),
        )
        for track in piece.tracks
        for note in track.notes
    ]
    return sorted(found)


def beats(piece: ScoreTick) -> list[tuple[Fraction, Fraction]]:
    """(start, beat in quarters) of each meter: MidiTok counts in the beats of the lower number."""
    return [
        (Fraction(item.time, piece.tpq), Fraction(4, item.denominator))
        for item in piece.time_signatures
    ]


def test_the_vocabulary_is_smarts() -> None:
    names = Remi.smart().vocabulary
    assert len(names) == 413
    assert names[:22] == (
        "PAD",
        "BOS",
        "EOS",
        "PRE",
        "SUF",
        *(f"INF{number}" for number in range(1, 17)),
        "Bar_None",
    )
    assert names[22:110] == tuple(f"Pitch_{pitch}" for pitch in range(21, 109))
    assert names[110:142] == tuple(f"Velocity_{value}" for value in range(3, 128, 4))
    assert names[142:190] == tuple(
        f"Duration_{steps // 12}.{steps % 12}.12" for steps in range(1, 49)
    )
    assert names[190:334] == tuple(f"Position_{place}" for place in range(144))
    assert (names[334], names[397]) == ("Tempo_40.0", "Tempo_250.0")
    assert "Tempo_120.0" in names[334:398]
    meters = "3/8 5/8 6/8 7/8 9/8 10/8 11/8 12/8 2/4 3/4 4/4 5/4 6/4 2/2 3/2"
    assert names[398:] == tuple(f"TimeSig_{meter}" for meter in meters.split())
    assert [Remi.smart().index[name] for name in ("PAD", "BOS", "EOS")] == [PAD, BOS, EOS]


def test_a_stored_configuration_from_before_the_inclusive_pitch_range(tmp_path: Path) -> None:
    smart = Remi.smart()
    smart.tokenizer.save(tmp_path / "tokenizer.json")
    now = json.loads((tmp_path / "tokenizer.json").read_text())
    assert Remi.from_file(tmp_path).vocabulary == smart.vocabulary
    for version in ("3.0.5", "3.0.5.post1", "2.1.8", None):
        old = {
            **now,
            "miditok_version": version,
            "config": {**now["config"], "pitch_range": [21, 109]},
        }
        if version is None:
            del old["miditok_version"]
        (tmp_path / "tokenizer.json").write_text(json.dumps(old))
        assert Remi.from_file(tmp_path).vocabulary == smart.vocabulary


def test_settings_are_plain_and_lasting() -> None:
    for tokens in (Remi.smart(), Remi.plus()):
        again = Remi.from_config(json.loads(json.dumps(tokens.to_config())))
        assert again.vocabulary == tokens.vocabulary
        assert again.one_stream == tokens.one_stream


@pytest.mark.parametrize("piece", pieces())
def test_pieces_on_the_grid_come_back(piece: ScoreTick) -> None:
    tokens = Remi.smart()
    ids = tokens.encode(piece)
    assert (int(ids[0]), int(ids[-1])) == (BOS, EOS)
    assert quarters(tokens.decode(ids)) == quarters(piece)
    assert tokens.encode(tokens.decode(ids)).equal(ids)
    assert tokens.encode_text(tokens.text(ids)).equal(ids)


def test_what_lies_off_the_grid_goes_to_the_nearest_place() -> None:
    tokens = Remi.smart()
    back = quarters(
        tokens.decode(tokens.encode(score([(0.02, 60, 0.98), (1.06, 62, 9.0), (3.99, 64, 0.01)])))
    )
    assert back == [
        (Fraction(0), 60, Fraction(1)),
        (Fraction(13, 12), 62, Fraction(4)),
        (Fraction(4), 64, Fraction(1, 12)),
    ]


def test_one_stream_merges_tracks_and_leaves_drums_out() -> None:
    piece = score([(0, 60, 1)], program=40)
    other = score([(0, 48, 1)], program=70).tracks[0]
    drums = TrackTick("", 0, True)
    drums.notes.append(NoteTick(0, 480, 38, 80))
    piece.tracks.append(other)
    piece.tracks.append(drums)
    back = Remi.smart().decode(Remi.smart().encode(piece))
    assert quarters(back, program=True) == [(0, False, 0, 48, 1), (0, False, 0, 60, 1)]
    # The piece itself is as it was.
    assert [track.program for track in piece.tracks] == [40, 70, 0]


def test_remi_plus_keeps_programs_and_drums() -> None:
    piece = score([(0, 60, 1), (1, 62, 2)], program=40)
    drums = TrackTick("", 0, True)
    drums.notes.append(NoteTick(0, 480, 38, 80))
    piece.tracks.append(drums)
    tokens = Remi.plus()
    assert quarters(tokens.decode(tokens.encode(piece)), program=True) == quarters(
        piece, program=True
    )


def test_remi_plus_has_one_row_whatever_the_order_of_tracks() -> None:
    # The horn (60) enters first, so it is the first track of what is decoded, though its program is
    # the highest.
    horn, organ = score([(0, 60, 1), (1, 62, 1)], program=60), score([(1, 62, 2)], program=19)
    other = horn.copy()
    horn.tracks.append(organ.tracks[0])
    other.tracks.insert(0, organ.tracks[0])
    tokens = Remi.plus()
    ids = tokens.encode(horn)
    assert tokens.encode(other).equal(ids)
    assert tokens.encode(tokens.decode(ids)).equal(ids)
    assert [track.program for track in horn.tracks] == [60, 19]


@pytest.mark.parametrize("name", ["smart", "plus"])
def test_some_corpus_pieces_keep_onset_pitch_and_duration(name: str) -> None:
    tokens = Remi.smart() if name == "smart" else Remi.plus()
    for piece in _corpus_pieces(30):
        _assert_round_trip(tokens, piece)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smart", "plus"])
def test_a_thousand_corpus_pieces_keep_onset_pitch_and_duration(name: str) -> None:
    tokens = Remi.smart() if name == "smart" else Remi.plus()
    for piece in _corpus_pieces(1000):
        _assert_round_trip(tokens, piece)


def _corpus_pieces(count: int) -> list[ScoreTick]:
    works = [
        work
        for corpus in ("bach-chorales", "ryan", "oneill", "aird")
        for work in load_corpus(corpus, progress=False)
    ]
    return [to_score(work.tune) for work in random.Random(0).sample(works, count)]


def _assert_round_trip(tokens: Remi, piece: ScoreTick) -> None:
    """Compares with the grid as it is defined here: the nearest 12th of a beat, at most 4 beats."""
    with_program = not tokens.one_stream
    low, high = 21, 108
    merged: dict[tuple[Any, ...], set[Fraction]] = {}
    meters = beats(piece) or [(Fraction(0), Fraction(1))]
    # Behind a meter that the vocabulary does not have, bars begin between the places of the grid:
    # the nearest place may be a whole step away.
    known = all(
        f"TimeSig_{meter.numerator}/{meter.denominator}" in tokens.index
        for meter in piece.time_signatures
    )
    if not known:
        meters = [(Fraction(0), max(beat for _, beat in meters))]
    for *program, onset, pitch, duration in quarters(piece, with_program):
        if low <= pitch <= high:
            merged.setdefault((*program, onset, pitch), set()).add(duration)
    ids = tokens.encode(piece)
    back = quarters(tokens.decode(ids), with_program)
    if known:
        # On the grid, nothing moves any more.
        assert tokens.encode(tokens.decode(ids)).equal(ids)
    left = {(*key,): durations for key, durations in merged.items()}
    assert len(back) <= sum(low <= note[-2] <= high for note in quarters(piece))
    by_pitch: dict[tuple[Any, ...], list[tuple[Fraction, Fraction]]] = {}
    for (*program, onset, pitch), durations in left.items():
        by_pitch.setdefault((*program, pitch), []).extend(
            (onset, duration) for duration in durations
        )
    found: dict[tuple[Any, ...], list[tuple[Fraction, Fraction]]] = {}
    for *program, onset, pitch, duration in back:
        found.setdefault((*program, pitch), []).append((onset, duration))
    assert set(found) == set(by_pitch)
    for key, notes in by_pitch.items():
        for onset, duration in notes:
            beat = _beat(meters, onset)
            half = beat / (2 * _GRID if known else _GRID)
            near = [(start, length) for start, length in found[key] if abs(start - onset) <= half]
            assert near, (key, onset)
            expected = min(duration, _LONGEST * beat)
            assert any(abs(length - expected) <= half + Fraction(1, 1000) for _, length in near), (
                key,
                onset,
                duration,
                near,
            )


def _beat(meters: list[tuple[Fraction, Fraction]], onset: Fraction) -> Fraction:
    return next((beat for start, beat in reversed(meters) if start <= onset), meters[0][1])


def test_crops() -> None:
    tokens = Remi.smart()
    piece = pieces()[0]
    whole = tokens.encode(piece)
    assert tokens.encode(piece, max_length=len(whole)).equal(whole)
    assert tokens.encode(piece, max_length=9).equal(whole[:9])
    drawn = {
        tuple(tokens.encode(piece, max_length=9, rng=random.Random(seed)).tolist())
        for seed in range(60)
    }
    windows = {tuple(whole[start : start + 9].tolist()) for start in range(len(whole) - 8)}
    assert drawn <= windows
    assert len(drawn) > len(windows) // 2


def test_collate() -> None:
    batch = Remi.smart().collate([torch.tensor([1, 22, 2]), torch.tensor([1])])
    assert batch["ids"].tolist() == [[1, 22, 2], [1, PAD, PAD]]
    assert batch["lengths"].tolist() == [3, 1]


def test_decoding_skips_what_is_no_remi() -> None:
    tokens = Remi.smart()
    ids = tokens.encode_text(
        "Duration_1.0.12 Bar_None TimeSig_4/4 Position_0 Pitch_60 Pitch_62 Velocity_79 Duration_1.0.12 EOS PAD INF3"
    )
    assert quarters(tokens.decode(ids)) == [(0, 62, 1)]
    assert tokens.decode(tokens.encode_text("Velocity_79 Duration_1.0.12")).note_num() == 0
    assert tokens.decode(torch.tensor([], dtype=torch.int64)).note_num() == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: Remi.smart().encode(ScoreTick(480)), "no note"),
        (lambda path: Remi.smart().encode(score([(0, 3, 1)])), "no note"),
        (lambda path: Remi.smart().encode_text("Pitch_500"), "no token"),
        (lambda path: Remi({"special_tokens": ["EOS", "PAD", "BOS"]}), "begin with PAD"),
        (lambda path: Remi({"pitch_range": [90, 300]}), "does not accept"),
        (lambda path: Remi.from_file(path), "cannot be read"),
    ],
)
def test_bad_input(make: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(MusicZooError, match=message):
        make(tmp_path)
