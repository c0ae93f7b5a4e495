from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from musiczoo.music.abc import Note
from musiczoo.music.near_duplicates import (
    MIN_COMMON,
    MIN_SHARE,
    clusters,
    near_duplicates,
    shingles,
    skyline,
)


def melody(seed: int, length: int = 64) -> list[int]:
    rng = random.Random(seed)
    line = [67]
    while len(line) < length:
        line.append(
            min(88, max(55, line[-1] + rng.choice([-7, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 7])))
        )
    return line


def as_notes(
    line: list[int], *, bar: Fraction = Fraction(4), unit: Fraction = Fraction(1, 2)
) -> list[Note]:
    return [
        Note(index * unit, pitch, unit, "1", bar=int(index * unit / bar))
        for index, pitch in enumerate(line)
    ]


def test_the_skyline_is_the_line_of_the_highest_sounding_notes():
    notes = sorted(
        [
            Note(Fraction(0), 48, Fraction(4), "2"),
            Note(Fraction(0), 72, Fraction(1), "1"),
            Note(Fraction(0), 90, Fraction(0), "1", grace=True),
            Note(Fraction(1), 50, Fraction(1), "2"),
            Note(Fraction(2), 60, Fraction(1), "2"),
            Note(Fraction(2), 71, Fraction(2), "1"),
            Note(Fraction(3), 65, Fraction(1), "2"),
            Note(Fraction(4), 65, Fraction(1), "2"),
        ]
    )
    assert skyline(notes) == [72, 50, 71, 65]


def test_constructed_duplicates_meet_and_others_do_not():
    line = melody(1)
    ornamented = [
        pitch
        for index, pitch in enumerate(line)
        for pitch in ([pitch, pitch + 2, pitch] if index % 24 == 7 else [pitch])
    ]
    duplicates = {
        "itself": line,
        "up a third": [pitch + 4 for pitch in line],
        "down an octave": [pitch - 12 for pitch in line],
        "repeated": line + line,
        "strains repeated": line[:32] * 2 + line[32:] * 2,
        "ornamented": ornamented,
        "without its upbeat": line[2:],
        "first strain alone": line[:32],
    }
    others = {f"other {seed}": melody(seed) for seed in range(2, 40)}
    lines = duplicates | others
    found = clusters([shingles(line) for line in lines.values()])
    assert found[: len(duplicates)] == [0] * len(duplicates)
    assert found[len(duplicates) :] == list(range(len(duplicates), len(lines)))


def test_another_harmonisation_of_a_melody_is_a_near_duplicate():
    line = melody(7)
    rng = random.Random(7)
    works = []
    for _ in range(2):
        below = [
            Note(Fraction(beat, 4), rng.randrange(40, 55), Fraction(1, 4), "2")
            for beat in range(2 * len(line))
        ]
        works.append(shingles(skyline(sorted(as_notes(line) + below))))
    assert near_duplicates(works) == [(0, 1)]


def test_bars_and_note_values_do_not_matter():
    line = melody(3)
    one = shingles(skyline(as_notes(line)))
    other = shingles(skyline(as_notes(line, bar=Fraction(3), unit=Fraction(1))))
    assert np.array_equal(one, other)


def test_an_inversion_or_a_reversal_is_another_piece():
    line = melody(4)
    works = [shingles(line), shingles([134 - pitch for pitch in line]), shingles(line[::-1])]
    assert near_duplicates(works) == []


def test_clusters_are_connected_components():
    line = melody(5, 200)
    # The first and the last have no bar in common, but each shares half with the middle one.
    works = [shingles(line[:80]), shingles(line[120:]), shingles(line[40:160])]
    assert (0, 1) not in near_duplicates(works)
    assert clusters(works) == [0, 0, 0]


def test_short_pieces_must_be_equal():
    scale = [60, 62, 64, 65, 67, 69, 71, 72]
    lines = [scale, [pitch + 5 for pitch in scale], scale[::-1], scale + melody(6), [60], []]
    works = [shingles(line) for line in lines]
    assert near_duplicates(works) == [(0, 1)]
    assert len(works[4]) == len(works[5]) == 0


def test_a_common_scale_alone_joins_nothing():
    run = [60, 62, 64, 65, 67, 69, 71, 72, 74]
    works = [shingles(melody(seed, 40) + run + melody(100 + seed, 40)) for seed in range(20)]
    assert clusters(works) == list(range(20))


@pytest.mark.parametrize("shift", [-3, 5])
def test_against_comparing_all_pairs(shift):
    rng = random.Random(shift)
    lines = [melody(seed, rng.randrange(30, 90)) for seed in range(60)]
    lines += [[pitch + shift for pitch in line[rng.randrange(6) :]] for line in lines[:20]]
    works = [shingles(line) for line in lines]
    expected = []
    for one in range(len(works)):
        for other in range(one + 1, len(works)):
            a, b = set(works[one].tolist()), set(works[other].tolist())
            common = len(a & b)
            if (a and a == b) or common >= max(MIN_COMMON, MIN_SHARE * min(len(a), len(b))):
                expected.append((one, other))
    assert near_duplicates(works) == expected
    assert len(expected) >= 20


def test_more_works_do_not_change_pairs():
    works = [shingles(melody(seed)) for seed in range(30)] + [
        shingles([pitch + 1 for pitch in melody(0)])
    ]
    assert near_duplicates(works) == [(0, 30)]
    assert near_duplicates([*works, shingles(melody(99))]) == [(0, 30)]
