from __future__ import annotations

import numpy as np
import pytest
import torch
from symusic.core import NoteTick, TempoTick

from musiczoo.datamodules.tokenising import TOKEN_TYPE, StreamRules, Tokeniser, Unread, score_id
from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.from_tune import to_score
from musiczoo.music.midi.piano_stream import ALL_AS_PIANO, reduced
from musiczoo.representations.remi import Remi
from tests.midi_files import random_score, write_bad_files, write_midi

REMI = Remi.smart()
TUNE = 'X:1\nM:4/4\nL:1/4\nK:C\nV:1 nm="Violin"\nCDEF|GABc|\nV:2 nm="Cello"\nE2G2|C4|\n'
BOOK = "X:1\nT:One\nM:4/4\nL:1/4\nK:C\nCDEF|\n\nX:2\nT:Two\nM:4/4\nL:1/4\nK:C\nz4|\n\nX:3\nT:Three\nM:4/4\nL:1/4\nK:C\nGABc|\n"


def tokens(row: dict) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(row["tokens"], TOKEN_TYPE).astype(np.int64))


def test_a_score_is_reduced_and_encoded():
    piece = random_score(1)
    piece.tracks.append(random_score(2, program=40).tracks[0])
    row = Tokeniser(REMI, StreamRules()).row(piece)
    assert torch.equal(tokens(row), REMI.encode(reduced(piece)))
    assert row["notes"] == len({(note.time, note.pitch) for note in piece.tracks[0].notes})
    assert row["bars"] == 12
    assert len(row["shingles"]) % 4 == 0


@pytest.mark.parametrize("programs", [range(8), [40], ALL_AS_PIANO])
def test_all_voices_of_a_notated_piece_count_as_piano(programs):
    tune = read_abc(TUNE)
    row = Tokeniser(REMI, StreamRules(programs)).row(tune)
    assert row["notes"] == 11
    assert torch.equal(tokens(row), REMI.encode(reduced(to_score(tune), ALL_AS_PIANO)))


def test_with_all_programs_voices_keep_theirs():
    row = Tokeniser(Remi.plus(), StreamRules(None)).row(read_abc(TUNE))
    text = Remi.plus().text(tokens(row))
    assert "Program_40" in text
    assert "Program_42" in text


def test_bad_files_are_rows_with_reasons(tmp_path):
    tokeniser = Tokeniser(REMI, StreamRules(), "mine", tmp_path)
    for name, reason in write_bad_files(tmp_path).items():
        rows = tokeniser(Unread(f"mine/{name}", "1", name))
        assert len(rows) == 1
        assert reason in rows[0]["reason"], (name, rows[0]["reason"])
        assert "tokens" not in rows[0]
        assert (rows[0]["item"], rows[0]["state"], rows[0]["path"]) == (f"mine/{name}", "1", name)
    assert "such file" in tokeniser(Unread("mine/gone.mid", "1", "gone.mid"))[0]["reason"]


def test_a_tempo_of_zero_costs_the_tempo_alone(tmp_path):
    piece = random_score(3)
    data = piece.dumps_midi()
    at = data.index(b"\xff\x51\x03")
    (tmp_path / "still.mid").write_bytes(data[: at + 3] + b"\0\0\0" + data[at + 6 :])
    row = Tokeniser(REMI, StreamRules(), "mine", tmp_path)(
        Unread("mine/still.mid", "1", "still.mid")
    )[0]
    assert row.get("reason") is None
    assert "Tempo_120.0" in REMI.text(tokens(row))
    piece.tempos.append(TempoTick(1920, 0.0))
    assert torch.equal(
        tokens(Tokeniser(REMI, StreamRules()).row(piece)), REMI.encode(reduced(random_score(3)))
    )


def test_a_book_gives_a_row_for_each_tune(tmp_path):
    (tmp_path / "book.abc").write_text(BOOK)
    rows = Tokeniser(REMI, StreamRules(), "mine", tmp_path)(
        Unread("mine/book.abc", "1", "book.abc")
    )
    assert [row["id"] for row in rows] == ["mine/book.abc#1", "mine/book.abc#2", "mine/book.abc#3"]
    assert [row.get("reason") is None for row in rows] == [True, False, True]


def test_a_tune_of_a_corpus_keeps_its_name():
    row = Tokeniser(REMI, StreamRules(), "ryan")(Unread("ryan/a.abc#7", "sha", "a.abc", 7, TUNE))[0]
    assert (row["id"], row["item"], row["number"], row["notes"]) == (
        "ryan/a.abc#7",
        "ryan/a.abc#7",
        7,
        11,
    )


def test_a_defect_costs_one_piece(tmp_path):
    class Broken(Remi):
        def encode(self, piece, **settings):
            raise ZeroDivisionError("oh")

    write_midi(random_score(1), tmp_path / "a.mid")
    row = Tokeniser(Broken(), StreamRules(), "mine", tmp_path)(Unread("mine/a.mid", "1", "a.mid"))[
        0
    ]
    assert row["reason"] == "Unexpected ZeroDivisionError: oh"


def test_rules_are_checked_and_written_down():
    assert StreamRules([3, 1, 3]).to_config() == {
        "programs": [1, 3],
        "max_notes_per_bar": 300,
        "max_empty_bars": 0.2,
    }
    assert StreamRules(None).to_config()["programs"] is None
    assert StreamRules(range(8)) == StreamRules()
    for settings in (
        {"programs": "piano"},
        {"programs": []},
        {"programs": [128]},
        {"max_notes_per_bar": 0},
        {"max_empty_bars": 1.1},
    ):
        with pytest.raises(MusicZooError):
            StreamRules(**settings)


def test_scores_are_named_by_what_they_are():
    piece = random_score(1)
    assert score_id(piece) == score_id(random_score(1))
    piece.tracks[0].notes.append(NoteTick(0, 1, 60, 80))
    assert score_id(piece) != score_id(random_score(1))
