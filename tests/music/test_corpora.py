from __future__ import annotations

import logging
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from musiczoo.music import corpora, corpus_reading
from musiczoo.music.abc import read_abc
from musiczoo.music.corpora import BUILT_IN, cache_folder, corpus_names, load_corpus
from musiczoo.music.corpus import Corpus, Skipped
from musiczoo.music.errors import MusicZooError

REEL = "X:{number}\nT:Reel {number}\nM:4/4\nL:1/8\nK:{key}\n|:{bars}:|\n"
BARS = "G2BG dGBG|c2ec gcec|A2cA eAcA|d2fd afdf|g2bg d'gbg|e2ge bege|D2FA dfaf|GBAF G4"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "mine"
    (root / "more").mkdir(parents=True)
    (root / "book.abc").write_text(
        REEL.format(number=1, key="G", bars=BARS) + "\nX:2\nT:No key\n\n" + REEL.format(number=3, key="C", bars="C2 D2 E2 F2|G8"),
        encoding="utf-8",
    )
    (root / "more" / "again.ABC").write_text(REEL.format(number=1, key="G", bars=BARS.replace("|", "||")), encoding="latin-1")
    (root / "empty.abc").write_text("")
    (root / "binary.abc").write_bytes(bytes(range(256)) * 10)
    (root / "rests.abc").write_text(REEL.format(number=1, key="C", bars="z8|z8"))
    (root / "broken.mid").write_bytes(b"MThd\0\0")
    (root / "notes.txt").write_text("not music")
    return root


def load(source: str | Path, tmp_path: Path, **options) -> Corpus:
    return load_corpus(source, cache=tmp_path / "cache", **({"workers": 1, "progress": False} | options))


def test_a_folder_of_good_and_bad_files(folder, tmp_path, caplog):
    corpus = load(folder, tmp_path)
    assert [work.id for work in corpus] == ["mine/book.abc#1", "mine/book.abc#2", "mine/more/again.ABC#1"]
    assert {(skip.path, skip.number) for skip in corpus.skipped} == {
        ("binary.abc", 0),
        ("book.abc", 0),
        ("broken.mid", 0),
        ("empty.abc", 0),
        ("rests.abc", 1),
    }
    assert all(skip.reason for skip in corpus.skipped)
    assert not any(str(tmp_path) in skip.reason for skip in corpus.skipped)
    assert "5 skipped" in caplog.text
    first = corpus[0]
    assert (first.voices, first.bars, first.notes, first.staves, first.number) == (1, 8, 54, 1, 1)
    assert first.tune.notes() == read_abc(REEL.format(number=1, key="G", bars=BARS)).notes()
    assert first.tune.field("T") == "Reel 1"
    assert [work.cluster for work in corpus] == ["mine/book.abc#1", "mine/book.abc#2", "mine/book.abc#1"]
    assert corpus.clusters == 2
    assert corpus[1:] == [corpus[1], corpus[2]]
    assert len(list(corpus)) == len(corpus) == 3


def test_a_corpus_is_read_once_and_again_when_a_file_changes(folder, tmp_path, monkeypatch):
    load(folder, tmp_path)

    def refuse(*args, **kwargs):
        raise AssertionError("read again")

    with monkeypatch.context() as patched:
        patched.setattr(corpora, "read_files", refuse)
        assert len(load(folder, tmp_path)) == 3
        os.utime(folder / "book.abc", (0, 0))
        with pytest.raises(AssertionError, match="read again"):
            load(folder, tmp_path)
        (folder / "new.abc").write_text(REEL.format(number=1, key="D", bars="D8"))
    assert len(load(folder, tmp_path)) == 4
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".parquet"]
    assert not list((tmp_path / "cache").rglob("*.parts"))


def test_a_damaged_cache_is_made_again(folder, tmp_path, caplog):
    path = load(folder, tmp_path).path
    path.write_bytes(path.read_bytes()[:100])
    assert len(load(folder, tmp_path)) == 3
    assert "cannot be read" in caplog.text
    assert pq.read_table(path).num_rows == 8


def test_an_interrupted_reading_goes_on_where_it_stopped(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_reading, "_CHUNK_FILES", 1)
    read: list[str] = []
    original = corpus_reading._read_file

    def until_interrupted(root, name, source):
        if len(read) == 3:
            raise KeyboardInterrupt
        read.append(name)
        return original(root, name, source)

    monkeypatch.setattr(corpus_reading, "_read_file", until_interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(folder, tmp_path)
    read.append("the rest")
    assert len(load(folder, tmp_path)) == 3
    assert len(read) == len(set(read)) == 7


def test_a_file_that_kills_its_process_costs_itself_alone(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_reading, "_CHUNK_FILES", 2)
    original = corpus_reading._read_file
    monkeypatch.setattr(
        corpus_reading, "_read_file", lambda root, name, source: os._exit(1) if name == "rests.abc" else original(root, name, source)
    )
    corpus = load(folder, tmp_path, workers=2)
    assert len(corpus) == 3
    assert Skipped("rests.abc", 0, "The process that read it died.") in corpus.skipped


def test_a_defect_of_a_reader_costs_one_piece(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_reading, "write_abc", lambda tune: 1 // 0 if tune.field("T") == "Reel 3" else "X:1\nK:C\nC|")
    corpus = load(folder, tmp_path)
    assert len(corpus) == 2
    assert any(skip.reason.startswith("Unexpected ZeroDivisionError") for skip in corpus.skipped)


def test_worker_processes_change_nothing(folder, tmp_path):
    one = load(folder, tmp_path / "one")
    two = load(folder, tmp_path / "two", workers=2)
    assert list(one) == list(two)
    assert one.skipped == two.skipped


@pytest.mark.slow
def test_spawned_worker_processes(folder, tmp_path):
    rows = corpus_reading.read_files(
        folder, ["book.abc"] * 40, "mine", "mine", parts=tmp_path / "parts", workers=2, progress=False, start_method="spawn"
    )
    assert len(rows) == 120


def test_one_file_is_a_corpus(folder, tmp_path):
    assert [work.id for work in load(folder / "more" / "again.ABC", tmp_path)] == ["again/again.ABC#1"]


def test_what_is_no_corpus(tmp_path):
    with pytest.raises(MusicZooError, match="bach-chorales"):
        load("bach-chorale", tmp_path)
    with pytest.raises(MusicZooError, match="palestrina"):
        load("qqqq", tmp_path)
    with pytest.raises(MusicZooError, match="no music"):
        load(tmp_path, tmp_path)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "empty.abc").write_text("")
    with pytest.raises(MusicZooError, match="None of the files"):
        load(tmp_path / "bad", tmp_path)


def test_the_cache_folder_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("MUSICZOO_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("MUSICZOO_CACHE")
    assert "musiczoo" in str(cache_folder())


def test_every_built_in_corpus_has_its_files():
    assert {"bach-chorales", "ryan", "oneill", "aird", "essen", "palestrina"} <= set(corpus_names())
    counts = {name: len(corpora._find(name)[3]) for name in corpus_names()}
    assert counts["ryan"] == 1059
    assert counts["bach-chorales"] == 407
    assert counts["palestrina"] == 1318
    assert all(counts.values())
    assert all(row.licence for row in BUILT_IN.values())


def test_restricted_corpora_say_so_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(corpora, "_find", lambda name: ("essen", "Essen", tmp_path, ["book.abc"], BUILT_IN["essen"]))
    (tmp_path / "book.abc").write_text(REEL.format(number=1, key="C", bars="C8"))
    corpora._notice.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert "non-commercial" in load("essen", tmp_path).licence
    assert caplog.text.count("use is restricted") == 1
