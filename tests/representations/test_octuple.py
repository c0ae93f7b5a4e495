"""OctupleMIDI beside a slow reference, and back."""

from __future__ import annotations

import json
import math
import random
from bisect import bisect_right
from collections import Counter
from fractions import Fraction
from itertools import accumulate, product
from pathlib import Path

import pytest
import torch
from symusic import Note, Score, Tempo, TimeSignature, Track

from musiczoo.music.abc import read_abc
from musiczoo.music.abc.sounding import playing_order
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
    tempo_codes,
    tempo_of,
)
from musiczoo.representations.octuple_dictionary import check_dictionary, write_dictionary

OCTUPLE = OctupleMidi()
FIXTURE = Path(__file__).parents[1] / "fixtures/musicbert/musicbert_tiny.json"


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
    assert OCTUPLE.vocabulary == TOKENS
    # Each field's first and last id.
    blocks = [(4, 259), (260, 387), (388, 516), (517, 772)]
    blocks += [(773, 900), (901, 932), (933, 1186), (1187, 1235)]
    for field, (first, last) in enumerate(blocks):
        assert TOKENS[first] == f"<{field}-0>"
        assert TOKENS[last] == f"<{field}-{last - first}>"


def test_ids_of_the_published_model_are_read():
    for flat in json.loads(FIXTURE.read_text())["input_ids"]:
        ids = torch.tensor(flat)
        rows = ids.reshape(-1, 8)
        notes = int((rows[:, 0] >= 4).sum())
        assert OCTUPLE.decode(ids).note_num() == OCTUPLE.decode(rows).note_num() == notes
        assert torch.equal(OCTUPLE.encode_text(OCTUPLE.text(ids)), rows)


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
    assert tempo_codes(torch.tensor([1.0, 16.0, 120.0, 256.0, 999.0]).numpy()).tolist() == [
        0,
        0,
        35,
        48,
        48,
    ]
    assert round(tempo_of(35), 1) == 120.8
    assert [tempo_of(0), tempo_of(12), tempo_of(48)] == [16, 32, 256]
    assert duration_codes(torch.tensor([4079, 4080, 10**6]).numpy()).tolist() == [127, 127, 127]
    for above, below in ((4, 3), (0, 4), (5, 128)):
        with pytest.raises(MusicZooError, match="no time signature"):
            signature_code(above, below)


@pytest.mark.parametrize("seed", range(60))
def test_a_walk_over_the_grid_gives_the_same(seed):
    score = random_score(seed)
    assert [tuple(row) for row in OCTUPLE.notes(score).tolist()] == reference(score)


@pytest.mark.parametrize("seed", range(40))
def test_a_walk_gives_the_same_where_signatures_and_tempos_change_anywhere(seed):
    rng = random.Random(seed)
    tpq = rng.choice([1, 10, 24, 100, 480])
    meters = [(4, 4), (6, 8), (5, 8), (4, 2), (1, 64), (11, 16), (3, 32)]
    score = score_with(
        [(rng.randrange(60 * tpq), rng.randrange(300 * tpq), k, k) for k in range(90)],
        tpq=tpq,
        # In any order, several in one bar or at one moment.
        signatures=[(rng.randrange(50 * tpq), *rng.choice(meters)) for _ in range(8)],
        tempos=[(rng.randrange(40 * tpq), rng.uniform(1, 900)) for _ in range(8)],
        drums=[(rng.randrange(60 * tpq), 0, k, 127 - k) for k in range(30)],
    )
    assert [tuple(row) for row in OCTUPLE.notes(score).tolist()] == reference(score)


@pytest.mark.parametrize("seed", range(100))
def test_what_is_decoded_is_encoded_as_before(seed):
    assert_comes_back(random_score(seed))


@pytest.mark.slow
def test_a_thousand_pieces_come_back():
    tunes = [work.tune for name in ("bach-chorales", "ryan") for work in load_corpus(name)]
    scores = [to_score(tune) for tune in tunes[:700]]
    exact = [assert_comes_back(s) for s in [*scores, *map(random_score, range(1000, 1300))]]
    assert len(exact) == 1000
    # The moments of most pieces are compared too; the others have a bar in which no note begins,
    # or more than 1,000 notes.
    assert sum(exact[:700]) > 690
    assert sum(exact) > 900


def assert_comes_back(score):
    """Returns whether onsets could be compared as moments of the piece, not only of its bars."""
    ids = OCTUPLE.encode(score)
    again = OCTUPLE.decode(ids)
    assert torch.equal(OCTUPLE.encode(again), ids)
    values = OCTUPLE.notes(score)[:1000]
    inside = values[:, 0] < 256
    back = OCTUPLE.notes(again)
    # Bars, positions, programs and pitches exactly, durations within their code.
    assert Counter(map(tuple, back.tolist())) == Counter(map(tuple, values[inside].tolist()))
    # The time signature of an empty bar is lost, and with it its length.
    bars = values[:, 0].tolist()
    exact = set(bars) == set(range(max(bars) + 1)) and len(back) == score.note_num()
    if exact:
        assert moments(again) == moments(score)
    return exact


def moments(score):
    """Onset, beginning of the duration's code, program and pitch of all notes, counted."""
    starts = [0, *accumulate(2 ** (code // 16) for code in range(127))]
    found = Counter()
    for track in score.tracks:
        for note in track.notes:
            onset, end = (
                round(tick * 16 / score.ticks_per_quarter)
                for tick in (note.time, note.time + note.duration)
            )
            length = starts[bisect_right(starts, end - onset) - 1]
            found[onset, length, track.is_drum or track.program, note.pitch] += 1
    return found


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


def bar_lines(tune):
    """The bar lines of a tune in positions, as its first voice is played."""
    voice, moment, found = tune.parsed[0], Fraction(0), []
    for index in playing_order(voice.bars):
        if voice.bars[index].duration:
            found.append(moment * 16)
        moment += voice.bars[index].duration
    return found


def assert_keeps_bar_lines(tune):
    score = to_score(tune)
    lines, places = bar_lines(tune), set()
    for track in score.tracks:
        for note in track.notes:
            position = round(note.time * 16 / score.ticks_per_quarter)
            bar = bisect_right(lines, position) - 1
            places.add((bar, position - lines[bar]))
    assert {tuple(row) for row in OCTUPLE.notes(score)[:, :2].tolist()} == places


@pytest.mark.parametrize(
    "abc",
    [
        "M:4/4\nL:1/4\nK:C\nG|CEGc|cGEC|",
        "M:3/4\nL:1/8\nK:C\nG|C2E2G2|c6|",
        "M:6/8\nL:1/8\nK:C\nG|CEG cGE|C3 z2:|",
        "M:5/8\nL:1/8\nK:C\nGA|CEGcG|CDEFG|",
        "M:7/8\nL:1/8\nK:C\nG|CEGcGEC|CDEFGAB|",
        "M:11/16\nL:1/16\nK:C\nGGG|C11|E11|G11|",
        "M:2/4\nL:1/16\nK:C\nG|C4E4|[M:5/8]C10|[M:7/16]C7|[M:2/4]C8|",
        "M:4/4\nL:1/8\nK:C\nG2|:C2E2G2c2|cGEC G2:|:A2|A4 F4|G6:|",
    ],
)
def test_pickups_odd_meters_and_repeats_keep_the_bar_lines_of_the_tune(abc):
    assert_keeps_bar_lines(read_abc(abc))


@pytest.mark.slow
def test_the_bar_lines_of_two_corpora_are_kept():
    kept = []
    for name in ("bach-chorales", "ryan"):
        for work in load_corpus(name):
            if any(bar.duration > 8 for voice in work.tune.parsed for bar in voice.bars):
                continue
            assert_keeps_bar_lines(work.tune)
            kept.append(work)
    # Two have bars longer than two whole notes.
    assert len(kept) == 1464


def test_a_bar_of_more_than_two_whole_notes_is_divided():
    score = score_with([(480 * k, 10, 60, 80) for k in range(12)], signatures=[(0, 10, 4)])
    rows = OCTUPLE.notes(score)
    assert rows[:, 0].tolist() == [0] * 5 + [1] * 5 + [2] * 2
    assert set(rows[:, 6].tolist()) == {signature_code(5, 4)}


def test_a_signature_within_a_bar_is_decoded_by_majority():
    score = score_with(
        [(480 * k, 480, 60 + k, 80) for k in range(7)], signatures=[(0, 4, 4), (1440, 3, 4)]
    )
    ids = OCTUPLE.encode(score)
    assert ids[1:-1, 6].tolist() == [942] * 3 + [941] * 4
    again = OCTUPLE.decode(ids)
    found = [(one.time, one.numerator, one.denominator) for one in again.time_signatures]
    assert found == [(0, 4, 4), (1920, 3, 4)]
    # The third of its notes in 3/4 now is one of 4/4; from there on nothing changes.
    settled = OCTUPLE.encode(again)
    assert settled[1:-1, 6].tolist() == [942] * 4 + [941] * 3
    assert torch.equal(OCTUPLE.encode(OCTUPLE.decode(settled)), settled)


def test_decoding():
    rows = [
        (2, 16, 5, 60, 0, 0, 8, 35),
        (2, 16, 128, 164, 20, 31, 8, 38),
        (4, 0, 5, 60, 3, 9, 9, 0),
    ]
    text = " ".join(f"<{field}-{value}>" for row in rows for field, value in enumerate(row))
    ids = OCTUPLE.encode_text(f"{'<s> ' * 8}{text}{' <mask>' * 8}{' </s>' * 8}{' <pad>' * 8}")
    score = OCTUPLE.decode(ids)
    # Bars 0 and 1 are 4/4 by default, 2 and the empty 3 are 3/4.
    found = [(one.time, one.numerator, one.denominator) for one in score.time_signatures]
    assert found == [(0, 4, 4), (3840, 3, 4), (3840 + 2 * 1440, 4, 4)]
    # The mean of 35 and 38 is 36.5, which is rounded to the even 36.
    assert [round(one.qpm, 1) for one in score.tempos] == [128.0, 16.0]
    notes = {
        (track.program, track.is_drum): [
            (n.time, n.duration, n.pitch, n.velocity) for n in track.notes
        ]
        for track in score.tracks
    }
    assert notes[5, False] == [(4320, 1, 60, 2), (6720, 90, 60, 38)]
    assert notes[0, True] == [(4320, 24 * 30, 36, 126)]


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


def test_a_piece_without_signature_and_tempo():
    score = score_with([(0, 480, 60, 80), (0, 960, 60, 80), (1920, 0, 60, 1)])
    score.tracks.append(Track("empty", 3, False))
    ids = OCTUPLE.encode(score)
    assert ids[1:-1].sub(torch.tensor([4, 260, 388, 517, 773, 901, 933, 1187])).tolist() == [
        [0, 0, 0, 60, 16, 20, 9, 35],
        [0, 0, 0, 60, 24, 20, 9, 35],
        [1, 0, 0, 60, 0, 0, 9, 35],
    ]


@pytest.mark.parametrize(
    ("tempo", "code"), [(0.0, 0), (15.0, 0), (120.0, 35), (1e9, 48), (math.inf, 48)]
)
def test_tempos_without_sense_are_the_nearest(tempo, code):
    rows = OCTUPLE.notes(score_with([(0, 480, 60, 80)], tempos=[(0, tempo)]))
    assert rows[0, 7] == code


@pytest.mark.parametrize("note", [(-480, 480, 60, 80), (0, 480, -3, 80), (0, 480, 60, -9)])
def test_notes_that_midi_lacks_do_not_become_other_tokens(note):
    with pytest.raises(MusicZooError, match="MIDI has no note"):
        OCTUPLE.encode(score_with([(0, 480, 60, 80), note]))


def test_a_signature_that_the_format_lacks_is_named_with_its_place():
    score = score_with([(0, 480, 60, 80)], signatures=[(0, 4, 4), (960, 5, 6)])
    with pytest.raises(MusicZooError, match=r"tick 960: .*5/6.*power of two"):
        OCTUPLE.encode(score)


def test_what_leaves_no_place_and_what_is_no_row():
    score = score_with([(0, 480, 60, 80)] * 5)
    for call in (
        lambda: OctupleMidi(2),
        lambda: OCTUPLE.encode(score, max_length=0),
        lambda: OCTUPLE.encode(score, max_length=2),
        lambda: list(OCTUPLE.windows(score, length=0)),
        lambda: list(OCTUPLE.windows(score, step=0)),
    ):
        with pytest.raises(MusicZooError, match="no place"):
            call()
    assert OCTUPLE.encode(score, max_length=3).shape == (3, 8)
    for ids in (torch.arange(9), torch.zeros(8, 7), torch.zeros(1, 2, 8)):
        with pytest.raises(MusicZooError, match="no rows of eight"):
            OCTUPLE.decode(ids)
    for number in (-1, 1237):
        with pytest.raises(MusicZooError, match="no token with id"):
            OCTUPLE.text(torch.full((1, 8), number))


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
    score = score_with(
        [(k, 100, k % 128, 80) for k in range(100_000)],
        tpq=24,
        signatures=[(24 * k, 3 + k % 3, 8) for k in range(4000)],
        tempos=[(24 * k, 60 + k % 100) for k in range(4000)],
    )
    values = OCTUPLE.notes(score)
    # Those from position 65,536 on are left out.
    assert len(values) == sum(round(k * 16 / 24) < 65_536 for k in range(100_000))
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
