from __future__ import annotations

import random

import numpy as np
import pytest

from musiczoo.datamodules.token_shifts import TokenShifts
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.remi import Remi

SMART = Remi.smart()
PLUS = Remi.plus()


def ids(text: str, remi: Remi = SMART) -> np.ndarray:
    return remi.encode_text(text).numpy()


BAR = "BOS Bar_None TimeSig_4/4 Position_0 Tempo_120.0 Pitch_60 Velocity_79 Duration_1.0.12 Position_12 Pitch_106 Velocity_83 Duration_1.0.12"


def drawn(shifts: TokenShifts, row: np.ndarray, count: int = 300) -> set[tuple[int, ...]]:
    rng = random.Random(0)
    return {tuple((shifts(row, rng) - row).tolist()) for _ in range(count)}


def test_every_pitch_moves_by_one_constant_that_fits():
    moves = drawn(TokenShifts(SMART.vocabulary, transpose=5), ids(BAR))
    # 106 can go up by two only.
    assert moves == {
        tuple(move if position in (5, 9) else 0 for position in range(12)) for move in range(-5, 3)
    }


def test_velocity_and_tempo_move_by_steps():
    row = ids(BAR)
    shifts = TokenShifts(SMART.vocabulary, velocity=2, tempo=3)
    moves = drawn(shifts, row, 600)
    assert {move[6] for move in moves} == {-2, -1, 0, 1, 2}
    assert all(move[6] == move[10] for move in moves)
    assert {move[4] for move in moves} == {-3, -2, -1, 0, 1, 2, 3}
    assert all(
        not any(move[position] for position in range(12) if position not in (4, 6, 10))
        for move in moves
    )
    text = SMART.text(shifts(row, random.Random(3)))
    assert [name.partition("_")[0] for name in text.split()] == [
        name.partition("_")[0] for name in BAR.split()
    ]


def test_what_has_nothing_to_shift_stays():
    row = ids("Bar_None TimeSig_4/4 Bar_None")
    shifts = TokenShifts(SMART.vocabulary, transpose=5, velocity=1, tempo=1)
    assert (shifts(row, random.Random(0)) == row).all()
    assert len(shifts(row[:0], random.Random(0))) == 0


def test_a_range_that_is_full_does_not_move():
    row = ids("Pitch_21 Velocity_3 Duration_1.0.12 Pitch_108 Velocity_127 Duration_1.0.12")
    assert drawn(TokenShifts(SMART.vocabulary, transpose=12, velocity=9), row) == {(0,) * 6}


def test_drums_are_not_transposed():
    text = "Program_-1 Pitch_38 Velocity_79 Duration_1.0.12 Program_0 Pitch_60 Velocity_79 Duration_1.0.12"
    shifts = TokenShifts(PLUS.vocabulary, transpose=3)
    row = ids(text, PLUS)
    assert {move[1] for move in drawn(shifts, row)} == {0}
    assert {move[5] for move in drawn(shifts, row)} == set(range(-3, 4))
    # A part that begins behind the program of a drum.
    rng = random.Random(0)
    assert all((shifts(row[1:4], rng, before=int(row[0])) == row[1:4]).all() for _ in range(20))


def test_decoded_pieces_are_transposed():
    row = ids(BAR + " EOS")
    shifts = TokenShifts(SMART.vocabulary, transpose=4)
    rng = random.Random(1)
    plain = [note.pitch for note in SMART.decode(row).tracks[0].notes]
    for _ in range(10):
        moved = shifts(row, rng)
        assert [note.pitch for note in SMART.decode(moved).tracks[0].notes] == [
            pitch + int(moved[5] - row[5]) for pitch in plain
        ]


def test_what_cannot_be_shifted_is_refused():
    with pytest.raises(MusicZooError, match="no row of Pitch"):
        TokenShifts(("PAD", "BOS", "Pitch_3", "Bar_None", "Pitch_4"), transpose=1)
    with pytest.raises(MusicZooError, match="no row of Tempo"):
        TokenShifts(("Pitch_3",), tempo=1)
    with pytest.raises(MusicZooError, match="size"):
        TokenShifts(SMART.vocabulary, transpose=-1)
    assert not TokenShifts((), transpose=0)
