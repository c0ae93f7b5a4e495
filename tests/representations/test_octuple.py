"""OctupleMIDI beside a slow reference, and back."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
import torch
from symusic import Note, Score, Tempo, TimeSignature, Track

from musiczoo.music.abc import read_abc
from musiczoo.music.corpora import load_corpus
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi import to_score
from musiczoo.representations.octuple import (
    END,
    MASK,
    PAD,
    TOKENS,
    OctupleMidi,
)
from musiczoo.representations.octuple_codes import (
    DURATIONS,
    SIGNATURES,
    duration_codes,
    signature_code,
)
from musiczoo.representations.octuple_dictionary import check_dictionary, write_dictionary

OCTUPLE = OctupleMidi()


def score_with(notes, *, tpq=480, signatures=(), tempos=(), drums=(), program=0):
    score = Score(tpq)
    score.time_signatures.extend([TimeSignature(*one) for one in signatures])
    score.tempos.extend([Tempo(*one) for one in tempos])
    for is_drum, rows in ((False, notes), (True, drums)):
        if rows:
            track = Track("", program, is_drum)
            track.notes.extend([Note(*row) for row in rows])
            score.tracks.append(track)
    return score


def random_score(seed, notes=120):
    rng = random.Random(seed)
    tpq = rng.choice([24, 96, 220, 384, 480, 960])
    score, time = Score(tpq), 0
    for _ in range(rng.randrange(4)):
        above, below = rng.choice(
            [(4, 4), (3, 4), (6, 8), (5, 8), (7, 16), (2, 2), (12, 8), (1, 4)]
        )
        score.time_signatures.append(TimeSignature(time, above, below))
        # Signatures stand on bar lines of the grid, as they do in scores.
        time += tpq * 4 * above // below * rng.randrange(1, 6) if tpq % 16 == 0 else 10**6
    last = 0
    for _ in range(rng.randrange(3)):
        score.tempos.append(Tempo(last, rng.uniform(10, 300)))
        last += rng.randrange(1, 20) * tpq
    for _ in range(rng.randrange(1, 4)):
        track = Track("", rng.randrange(128), rng.random() < 0.2)
        for _ in range(notes // 3):
            track.notes.append(
                Note(
                    rng.randrange(40 * tpq),
                    rng.randrange(1, 6 * tpq),
                    rng.randrange(128),
                    rng.randrange(1, 128),
                )
            )
        score.tracks.append(track)
    return score


def reference(score):
    """The format as it is described: a walk over the grid, position by position."""
    tpq = score.ticks_per_quarter
    position = lambda tick: round(tick * 16 / tpq)  # noqa: E731
    rows = [
        (
            position(n.time),
            position(n.time + n.duration),
            128 if t.is_drum else t.program,
            n.pitch + 128 * t.is_drum,
            n.velocity,
        )
        for t in score.tracks
        for n in t.notes
    ]
    last = max(row[0] for row in rows)
    signature, tempo = [(4, 4)] * (last + 1), [120.0] * (last + 1)
    for one in sorted(score.time_signatures, key=lambda x: x.time):
        for place in range(position(one.time), last + 1):
            signature[place] = (one.numerator, one.denominator)
    for one in sorted(score.tempos, key=lambda x: x.time):
        for place in range(position(one.time), last + 1):
            tempo[place] = one.qpm
    bar = inside = 0
    places = []
    length = 0
    for place in range(last + 1):
        if inside == 0:
            above, below = signature[place]
            length = above * 64 // below
        places.append((bar, inside))
        inside += 1
        if inside == length:
            bar, inside = bar + 1, 0
    table = [
        (above, below) for below in (1, 2, 4, 8, 16, 32, 64) for above in range(1, 2 * below + 1)
    ]
    starts, total = [], 0
    for octave, _ in product(range(8), range(16)):
        starts.append(total)
        total += 2**octave
    return sorted(
        (
            *places[begin],
            program,
            pitch,
            max(code for code, start in enumerate(starts) if start <= end - begin),
            velocity // 4,
            table.index(signature[begin]),
            round(12 * math.log2(min(max(tempo[begin], 16), 256) / 16)),
        )
        for begin, end, program, pitch, velocity in rows
    )


def test_the_vocabulary_is_that_of_the_published_code():
    assert len(TOKENS) == 1237
    places = {"<0-0>": 4, "<1-0>": 260, "<2-128>": 516, "<3-0>": 517, "<4-127>": 900}
    places |= {
        "<5-0>": 901,
        "<6-9>": 942,
        "<7-0>": 1187,
        "<7-48>": 1235,
        "<mask>": MASK,
        "<pad>": PAD,
    }
    assert {name: TOKENS.index(name) for name in places} == places


def test_codes():
    assert [signature_code(4, 4), signature_code(3, 4), signature_code(6, 8)] == [9, 8, 19]
    assert len(SIGNATURES) == 254
    assert signature_code(8, 128) == signature_code(4, 64)
    assert DURATIONS[[0, 15, 16, 32, 48, 64, 80, 96, 112]].tolist() == [
        0,
        15,
        16,
        48,
        112,
        240,
        496,
        1008,
        2032,
    ]
    assert duration_codes(torch.tensor([4079, 4080, 10**6]).numpy()).tolist() == [127, 127, 127]
    for above, below in ((4, 3), (0, 4), (5, 128)):
        with pytest.raises(MusicZooError, match="no time signature"):
            signature_code(above, below)


@pytest.mark.parametrize("seed", range(60))
def test_a_walk_over_the_grid_gives_the_same(seed):
    score = random_score(seed)
    assert [tuple(row) for row in OCTUPLE.notes(score).tolist()] == reference(score)


@pytest.mark.parametrize("seed", range(100))
def test_what_is_decoded_is_encoded_as_before(seed):
    assert_comes_back(random_score(seed))


@pytest.mark.slow
def test_a_thousand_pieces_come_back():
    tunes = [work.tune for name in ("bach-chorales", "ryan") for work in load_corpus(name)]
    scores = [to_score(tune) for tune in tunes[:700]]
    for score in [*scores, *map(random_score, range(1000, 1300))]:
        assert_comes_back(score)
    assert len(scores) == 700


def assert_comes_back(score):
    ids = OCTUPLE.encode(score)
    again = OCTUPLE.decode(ids)
    assert torch.equal(OCTUPLE.encode(again), ids)
    values = OCTUPLE.notes(score)[:1000]
    inside = values[:, 0] < 256
    back = OCTUPLE.notes(again)
    # Bars, positions, programs and pitches exactly, durations within their code.
    assert Counter(map(tuple, back.tolist())) == Counter(map(tuple, values[inside].tolist()))


def test_pickups_and_odd_meters_keep_their_bar_lines():
    tune = read_abc("M:4/4\nL:1/4\nK:C\nG|CEGc|M:7/8\\\nCEGc|\n".replace("M:7/8\\\n", "[M:7/8]"))
    rows = OCTUPLE.notes(to_score(tune))
    assert rows[:6, :2].tolist() == [[0, 0], [1, 0], [1, 16], [1, 32], [1, 48], [2, 0]]
    for above, below in ((5, 8), (7, 8), (11, 16), (5, 4)):
        bar = 480 * 4 * above // below
        score = score_with(
            [(k * bar, 10, 60, 80) for k in range(5)], signatures=[(0, above, below)]
        )
        rows = OCTUPLE.notes(score)
        assert rows[:, 0].tolist() == [0, 1, 2, 3, 4]
        assert not rows[:, 1].any()


def test_a_signature_within_a_bar_holds_from_the_next_bar_line():
    score = score_with(
        [(0, 10, 60, 80), (960, 10, 61, 80), (1920, 10, 62, 80), (1920 + 1440, 10, 63, 80)],
        signatures=[(0, 4, 4), (960, 3, 4)],
    )
    rows = OCTUPLE.notes(score)
    assert rows[:, 0].tolist() == [0, 0, 1, 2]
    assert rows[:, 6].tolist() == [9, 8, 8, 8]


def test_drums_silence_and_what_has_no_bounds():
    rows = OCTUPLE.notes(score_with([], drums=[(0, 0, 36, 127)], tempos=[(0, 9999.0)]))
    assert rows.tolist() == [[0, 0, 128, 164, 0, 31, 9, 48]]
    with pytest.raises(MusicZooError, match="no note"):
        OCTUPLE.encode(Score(480))
    with pytest.raises(MusicZooError, match="no note"):
        OCTUPLE.encode(score_with([(480 * 5000, 480, 60, 80)]))
    with pytest.raises(MusicZooError, match="no note"):
        OCTUPLE.decode(torch.full((4, 8), MASK))


def test_long_pieces_are_cut_into_windows():
    score = score_with([(480 * k, 480, 60 + k % 12, 80) for k in range(3000)])
    whole = OCTUPLE.encode(score)
    assert whole.shape == (1002, 8)
    assert int(whole[1:-1, 0].max()) <= 259
    assert whole[0].eq(0).all()
    assert whole[-1].eq(END).all()
    part = OCTUPLE.encode(score, rng=random.Random(1), max_length=52)
    assert part.shape == (52, 8)
    windows = list(OCTUPLE.windows(score, rng=random.Random(0)))
    assert 11 <= len(windows) <= 16
    for window in [part, *windows]:
        bars = window[1:-1, 0]
        assert int(bars.min()) >= 4
        assert int(bars.max()) <= 259
    plain = list(OCTUPLE.windows(score))
    assert len(plain) == 12
    # Later windows begin at bar 0, where their own bars would not fit.
    assert int(plain[8][1, 0]) == 4


def test_a_hundred_thousand_notes():
    score = score_with([(k, 100, k % 128, 80) for k in range(100_000)])
    assert len(OCTUPLE.notes(score)) == 100_000
    assert OCTUPLE.decode(OCTUPLE.encode(score)).note_num() == 1000


def test_text_and_batches():
    ids = OCTUPLE.encode(read_abc("M:4/4\nL:1/4\nK:C\nC E G c|"))
    assert torch.equal(OCTUPLE.encode_text(OCTUPLE.text(ids)), ids)
    batch = OCTUPLE.collate([ids, ids[:3]])
    assert batch["ids"].shape == (2, 6, 8)
    assert batch["lengths"].tolist() == [6, 3]
    assert batch["ids"][1, 3:].eq(PAD).all()
    for text, words in (("<3-300>", "no token"), ("<3-3>", "no whole rows")):
        with pytest.raises(MusicZooError, match=words):
            OCTUPLE.encode_text(text)
    with pytest.raises(MusicZooError, match="no place"):
        OctupleMidi(2)


def test_dictionary_file(tmp_path: Path):
    path = tmp_path / "dict.txt"
    write_dictionary(path)
    lines = path.read_text().splitlines()
    assert (len(lines), lines[0], lines[-1]) == (1232, "<0-0> 0", "<7-48> 0")
    check_dictionary(path)
    for changed in (lines[:-1], [*lines, "<8-0> 0"], [*lines[:5], "<0-0> 0", *lines[6:]]):
        path.write_text("\n".join(changed))
        with pytest.raises(MusicZooError, match="dictionary"):
            check_dictionary(path)
