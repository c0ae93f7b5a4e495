from __future__ import annotations

import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from musiczoo.music import atomic, code_digest, write
from musiczoo.music.abc import read_abc
from musiczoo.music.corpora import (
    BUILT_IN,
    cache_folder,
    corpus_names,
    find_source,
    forget,
    load_corpus,
    register,
    registered,
)
from musiczoo.music.corpora import cache as corpus_cache
from musiczoo.music.corpora import names as corpora
from musiczoo.music.corpora import reading as corpus_reading
from musiczoo.music.corpora import rows as corpus_rows
from musiczoo.music.corpora.built_in import files_of
from musiczoo.music.corpora.corpus import Corpus, Skipped
from musiczoo.music.corpora.files import files_named
from musiczoo.music.corpora.report import report, write_report
from musiczoo.music.corpora.table import SCHEMA
from musiczoo.music.errors import MusicZooError
from musiczoo.music.item_table import ItemTable
from musiczoo.music.parquet_cache import read_note, write_table

REEL = "X:{number}\nT:Reel {number}\nM:4/4\nL:1/8\nK:{key}\n|:{bars}:|\n"
BARS = "G2BG dGBG|c2ec gcec|A2cA eAcA|d2fd afdf|g2bg d'gbg|e2ge bege|D2FA dfaf|GBAF G4"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "mine"
    (root / "more").mkdir(parents=True)
    (root / "book.abc").write_text(
        REEL.format(number=1, key="G", bars=BARS)
        + "\nX:2\nT:No key\n\n"
        + REEL.format(number=3, key="C", bars="C2 D2 E2 F2|G8"),
        encoding="utf-8",
    )
    (root / "more" / "again.ABC").write_text(
        REEL.format(number=1, key="G", bars=BARS.replace("|", "||")), encoding="latin-1"
    )
    (root / "empty.abc").write_text("")
    (root / "binary.abc").write_bytes(bytes(range(256)) * 10)
    (root / "rests.abc").write_text(REEL.format(number=1, key="C", bars="z8|z8"))
    (root / "broken.mid").write_bytes(b"MThd\0\0")
    (root / "notes.txt").write_text("not music")
    return root


def load(source: str | Path, tmp_path: Path, **options) -> Corpus:
    return load_corpus(
        source, cache=tmp_path / "cache", **({"workers": 1, "progress": False} | options)
    )


def test_a_folder_of_good_and_bad_files(folder, tmp_path, caplog):
    corpus = load(folder, tmp_path)
    assert [work.id for work in corpus] == [
        "mine/book.abc#1",
        "mine/book.abc#2",
        "mine/more/again.ABC#1",
    ]
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
    assert corpus.left_out == [Skipped("notes.txt", 0, "not music: .txt")]
    first = corpus[0]
    assert (first.voices, first.bars, first.notes, first.staves, first.number) == (1, 8, 54, 1, 1)
    assert first.tune.notes() == read_abc(REEL.format(number=1, key="G", bars=BARS)).notes()
    assert first.tune.field("T") == "Reel 1"
    assert [work.cluster for work in corpus] == [
        "mine/book.abc#1",
        "mine/book.abc#2",
        "mine/book.abc#1",
    ]
    assert corpus.clusters == 2
    assert corpus[1:] == [corpus[1], corpus[2]]
    assert len(list(corpus)) == len(corpus) == 3


def test_a_corpus_is_read_once_and_again_when_a_file_changes(folder, tmp_path, monkeypatch):
    load(folder, tmp_path)

    def refuse(*args, **kwargs):
        raise AssertionError("read again")

    with monkeypatch.context() as patched:
        patched.setattr(corpora, "make_table", refuse)
        assert len(load(folder, tmp_path)) == 3
        os.utime(folder / "book.abc", (0, 0))
        with pytest.raises(AssertionError, match="read again"):
            load(folder, tmp_path)
        (folder / "new.abc").write_text(REEL.format(number=1, key="D", bars="D8"))
    assert len(load(folder, tmp_path)) == 4
    assert not [
        path
        for path in (tmp_path / "cache").rglob("*")
        if path.is_file() and path.suffix != ".parquet"
    ]
    assert not list((tmp_path / "cache").rglob("*.parts"))


def test_two_processes_may_read_the_same_files(folder, tmp_path, monkeypatch):
    plain = corpora.make_table

    def second(*args, **kwargs):
        plain(*args, **kwargs)
        # What the other process sees whose parts were cleared by the first.
        raise MusicZooError("The file cannot be written: No such file or directory.")

    monkeypatch.setattr(corpora, "make_table", second)
    assert len(load(folder, tmp_path)) == 3


def test_a_damaged_cache_is_made_again(folder, tmp_path, caplog):
    path = load(folder, tmp_path).path
    path.write_bytes(path.read_bytes()[:100])
    assert len(load(folder, tmp_path)) == 3
    assert "cannot be read" in caplog.text
    assert pq.read_table(path).num_rows == 9


def test_an_interrupted_reading_goes_on_where_it_stopped(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_reading, "_CHUNK_FILES", 1)
    read: list[str] = []
    original = corpus_rows._read_file

    def until_interrupted(root, name, source):
        if len(read) == 3:
            raise KeyboardInterrupt
        read.append(name)
        return original(root, name, source)

    monkeypatch.setattr(corpus_rows, "_read_file", until_interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(folder, tmp_path)
    read.append("the rest")
    assert len(load(folder, tmp_path)) == 3
    assert len(read) == len(set(read)) == 7


def test_a_file_that_kills_its_process_costs_itself_alone(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_reading, "_CHUNK_FILES", 2)
    original = corpus_rows._read_file
    monkeypatch.setattr(
        corpus_rows,
        "_read_file",
        lambda root, name, source: (
            os._exit(1) if name == "rests.abc" else original(root, name, source)
        ),
    )
    corpus = load(folder, tmp_path, workers=2)
    assert len(corpus) == 3
    assert Skipped("rests.abc", 0, "The process that read it died.") in corpus.skipped


def test_a_defect_of_a_reader_costs_one_piece(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(
        corpus_rows,
        "write_abc",
        lambda tune: 1 // 0 if tune.field("T") == "Reel 3" else "X:1\nK:C\nC|",
    )
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
    for number in range(20):
        (folder / f"{number}.abc").write_bytes((folder / "book.abc").read_bytes())
    table = corpus_reading.read_files(
        ItemTable(tmp_path / "mine.parquet", SCHEMA, "path", ("size", "mtime_ns"), {}),
        folder,
        files_named(folder, [f"{number}.abc" for number in range(20)]),
        "mine",
        "mine",
        workers=2,
        progress=False,
        start_method="spawn",
    )
    assert table.num_rows == 60


def test_one_file_is_a_corpus(folder, tmp_path):
    assert [work.id for work in load(folder / "more" / "again.ABC", tmp_path)] == [
        "again/again.ABC#1"
    ]


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
    counts = {name: len(files_of(row)[1]) for name, row in BUILT_IN.items()}
    assert counts["ryan"] == 1059
    assert counts["bach-chorales"] == 407
    assert counts["palestrina"] == 1318
    assert all(counts.values())
    assert all(row.licence for row in BUILT_IN.values())


def test_restricted_corpora_say_so_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(corpora, "files_of", lambda row: (tmp_path, ["book.abc"]))
    (tmp_path / "book.abc").write_text(REEL.format(number=1, key="C", bars="C8"))
    corpora._notice.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert "non-commercial" in load("essen", tmp_path).licence
    assert caplog.text.count("use is restricted") == 1


def test_only_new_and_changed_files_are_read_again(folder, tmp_path, monkeypatch):
    load(folder, tmp_path)
    read: list[str] = []
    original = corpus_rows._read_file
    monkeypatch.setattr(
        corpus_rows,
        "_read_file",
        lambda root, name, source: read.append(name) or original(root, name, source),
    )
    (folder / "a_new.abc").write_text(REEL.format(number=1, key="D", bars="D8"))
    (folder / "rests.abc").write_text(REEL.format(number=1, key="C", bars="C8|E8"))
    (folder / "empty.abc").unlink()
    corpus = load(folder, tmp_path)
    assert sorted(read) == ["a_new.abc", "rests.abc"]
    assert corpus[0].path == "a_new.abc"
    again = load(folder, tmp_path / "again")
    assert list(corpus) == list(again)
    assert (corpus.skipped, corpus.left_out) == (again.skipped, again.left_out)
    assert corpus.path.read_bytes() == again.path.read_bytes()


def test_a_change_of_the_reading_code_makes_the_old_table_invalid_and_removes_it(
    folder, tmp_path, monkeypatch
):
    old = load(folder, tmp_path).path
    elsewhere = tmp_path / "elsewhere" / "mine"
    elsewhere.mkdir(parents=True)
    (elsewhere / "a.abc").write_text(REEL.format(number=1, key="D", bars="D8"))
    other = load(elsewhere, tmp_path).path
    parts_alone = old.with_name("mine-0123456789abcdef.parquet")
    corpus_reading.read_files(
        ItemTable(parts_alone, SCHEMA, "path", ("size", "mtime_ns"), read_note(old)),
        folder,
        files_named(folder, ["book.abc"]),
        "mine",
        "",
        workers=1,
        progress=False,
    )
    assert list(old.parent.glob("*.parts"))
    monkeypatch.setattr(corpus_cache, "_code_of_reading", lambda: "another")
    new = load(folder, tmp_path).path
    assert sorted(new.parent.iterdir()) == sorted([new, other])
    assert new != old


def test_what_a_killed_process_left_is_tidied_up_once_it_is_old(folder, tmp_path):
    cache = tmp_path / "cache" / "corpora"
    cache.mkdir(parents=True)
    for name in (".mine-0.parquet.ab.part", ".probe-1", ".young.part"):
        (cache / name).write_text("half")
        if "young" not in name:
            os.utime(cache / name, (0, 0))
    path = load(folder, tmp_path).path
    assert {file.name for file in cache.iterdir()} == {path.name, ".young.part"}


def test_a_change_of_the_rules_changes_labels_without_reading(folder, tmp_path, monkeypatch):
    load(folder, tmp_path)
    monkeypatch.setattr(corpus_cache, "_code_of_rules", lambda: "another")
    monkeypatch.setattr(corpus_rows, "_read_file", lambda *_: pytest.fail("read again"))
    assert read_note(load(folder, tmp_path).path)["rules"] == "another"


READERS = [
    "musiczoo.music.abc.parse",
    "musiczoo.music.abc.reader",
    "musiczoo.music.corpora.rows",
    "musiczoo.music.files.reading",
    "musiczoo.music.foreign",
    "musiczoo.music.midi.checked_bytes",
    "musiczoo.music.midi.to_tune",
    "musiczoo.music.musicxml.measures",
    "musiczoo.music.musicxml.reader",
    "musiczoo.music.near_duplicates",
    "musiczoo.music.quantisation",
]
NOT_READERS = [
    "musiczoo.music.corpora.cache",
    "musiczoo.music.degradation.notation",
    "musiczoo.music.files.writing",
    "musiczoo.music.midi.text_format",
    "musiczoo.music.musicxml.writer",
    "musiczoo.music.pictures.engraving",
    "musiczoo.music.pictures.piano_roll",
    "musiczoo.music.recipes.labels",
    "musiczoo.music.sound.synthesizer",
    "musiczoo.music.workers",
]


@pytest.mark.parametrize("module", READERS + NOT_READERS)
def test_a_change_in_a_reader_makes_an_old_cache_void_and_no_other_does(
    module, tmp_path, monkeypatch
):
    (tmp_path / "a.abc").write_text(REEL.format(number=1, key="C", bars="C8"))
    source = find_source(tmp_path)
    before = corpus_cache.table_path(source, tmp_path)
    changed = Path(importlib.util.find_spec(module).origin)
    original = code_digest._source
    monkeypatch.setattr(
        code_digest,
        "_source",
        lambda file: original(file) + (b"# changed\n" if file == changed else b""),
    )
    corpus_cache._code_of_reading.cache_clear()
    try:
        after = corpus_cache.table_path(source, tmp_path)
    finally:
        corpus_cache._code_of_reading.cache_clear()
    assert (after != before) == (module in READERS)


READ_WITH_PROFILE = """
import sys, threading
from pathlib import Path
from musiczoo.music.corpora.rows import row_reader
from musiczoo.music.corpora.files import files_named
executed = set()
def note(frame, event, argument):
    if event == "call" and frame.f_code.co_name != "<module>":
        executed.add(frame.f_globals.get("__name__", ""))
sys.setprofile(note)
root = Path(sys.argv[1])
for file in files_named(root, sys.argv[2:]):
    for row in row_reader(root, "x")(file):
        assert row.get("skipped") is None, row
sys.setprofile(None)
print(*[name for name in executed if name.startswith("musiczoo.")])
"""


def test_all_code_that_runs_while_files_are_read_is_in_the_digest(tmp_path):
    names = [f"a{ending}" for ending in (".abc", ".mxl", ".mid")]
    for name in names:
        write(read_abc(REEL.format(number=1, key="G", bars=BARS)), tmp_path / name)
    (tmp_path / "a.krn").write_text("**kern\n*M4/4\n=1\n4c\n4d\n4e\n4f\n==\n*-\n")
    done = subprocess.run(
        [sys.executable, "-c", READ_WITH_PROFILE, str(tmp_path), *names, "a.krn"],
        capture_output=True,
        text=True,
        check=True,
    )
    executed = set(done.stdout.split())
    assert {
        "musiczoo.music.abc.reader",
        "musiczoo.music.foreign",
        "musiczoo.music.midi.to_tune",
        "musiczoo.music.musicxml.reader",
    } <= executed
    # The finder of moved modules and the loader of lazy names decide nothing.
    executed -= {
        "musiczoo",
        "musiczoo.moved",
        "musiczoo.music.lazy",
        "musiczoo.music.corpora.files",
    }
    assert executed <= set(code_digest.modules_behind(corpus_cache._READING))


KILLED = """
import sys, time
from pathlib import Path
from musiczoo.music.corpora import names as corpora, reading as corpus_reading, rows as corpus_rows
original = corpus_rows._read_file
def slowly(root, name, source):
    time.sleep(0.05)
    return original(root, name, source)
corpus_rows._read_file = slowly
corpus_reading._CHUNK_FILES = 2
corpora.load_corpus(sys.argv[1], cache=sys.argv[2], workers=int(sys.argv[3]), progress=False)
"""


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.dist)])
def test_killed_twice_and_restarted_the_cache_is_the_same(folder, tmp_path, workers):
    for number in range(24):
        bars = (BARS + "|" + BARS)[5 * number : 5 * number + 40].strip("|")
        (folder / f"t{number:02}.abc").write_text(REEL.format(number=1, key="G", bars=bars))
    cache = tmp_path / "killed"
    for _ in range(2):
        before = len(list(cache.rglob("*.parts/*.parquet")))
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(folder), str(cache), str(workers)]
        )
        deadline = time.monotonic() + 30
        while len(list(cache.rglob("*.parts/*.parquet"))) < before + 2:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not list(cache.glob("corpora/*.parquet"))
    killed = load_corpus(folder, cache=cache, workers=workers, progress=False)
    undisturbed = load_corpus(folder, cache=tmp_path / "undisturbed", workers=1, progress=False)
    assert killed.path.read_bytes() == undisturbed.path.read_bytes()
    assert [path.name for path in (cache / "corpora").iterdir()] == [killed.path.name]
    assert len(killed) == 27


@pytest.mark.dist
def test_workers_end_with_the_process_that_started_them(folder, tmp_path):
    for number in range(8):
        (folder / f"t{number}.abc").write_text(REEL.format(number=1, key="G", bars=BARS))
    slow = KILLED.replace(
        "time.sleep(0.05)",
        "Path(sys.argv[2], str(__import__('os').getpid())).touch(); time.sleep(0.2)",
    )
    marks = tmp_path / "marks"
    marks.mkdir()
    process = subprocess.Popen([sys.executable, "-c", slow, str(folder), str(marks), "2"])
    deadline = time.monotonic() + 30
    while len(workers := [int(path.name) for path in marks.iterdir() if path.name.isdecimal()]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while any(_is_running(worker) for worker in workers):
        assert time.monotonic() < deadline, "a worker lives on"
        time.sleep(0.05)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    # A process that has ended and was not yet collected counts as ended.
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_equal_tables_give_equal_files_however_they_were_put_together(tmp_path):
    rows = [
        dict.fromkeys(SCHEMA.names)
        | {"path": str(number), "abc": f"{number:5}" * 300, "number": number}
        for number in range(2000)
    ]
    whole = pa.Table.from_pylist(rows, schema=SCHEMA)
    parts = pa.concat_tables(
        [
            pa.Table.from_pylist(rows[start : start + 37], schema=SCHEMA)
            for start in range(0, 2000, 37)
        ]
    )
    for name, table in (("whole", whole), ("parts", parts)):
        write_table(table, tmp_path / name, {"b": "1", "a": "2"})
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "parts").read_bytes()
    assert read_note(tmp_path / "whole") == {"a": "2", "b": "1"}


def test_every_file_is_accounted_for(folder, tmp_path):
    (folder / "score.mscx").write_text("<museScore/>")
    (folder / "twin.mscz").write_text("")
    (folder / "twin.abc").write_text(REEL.format(number=1, key="A", bars=BARS))
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref")
    (folder / ".hidden.abc").write_text("X:1\nK:C\nC8|\n")
    (folder / "no_ending").write_text("")
    (folder / "data.ZIP").write_bytes(b"PK")
    (folder / "gone.abc").symlink_to(folder / "nowhere")
    (folder / "round").symlink_to(folder)
    account = report(load(folder, tmp_path))
    rows = {row["path"]: row for row in account["by_file"]}
    on_disk = {
        Path(where, name).relative_to(folder).as_posix()
        for where, _, names in os.walk(folder)
        for name in names
    }
    assert rows.keys() == on_disk - {".git/HEAD"} | {".git", "round"}
    assert (
        account["files"] == len(rows) == account["read"] + account["skipped"] + account["left_out"]
    )
    assert (account["read"], account["works"], account["tunes_skipped"]) == (3, 4, 1)
    why = {path: row["reasons"][0] for path, row in rows.items() if row["status"] == "left out"}
    assert why.keys() == {
        "notes.txt",
        "score.mscx",
        "twin.mscz",
        ".git",
        ".hidden.abc",
        "no_ending",
        "data.ZIP",
        "gone.abc",
        "round",
    }
    assert "export it to MusicXML" in why["score.mscx"]
    assert why["twin.mscz"] == "the same score as twin.abc"
    assert why[".git"] == "a hidden folder"
    assert why["no_ending"] == "not music: no ending"
    assert "unpack" in why["data.ZIP"]
    assert "cannot be opened" in why["gone.abc"]
    assert "link to a folder" in why["round"]
    assert account["reasons"]["tunes_skipped"] == {"line # the tune has no K: line.": 1}


def test_a_folder_gets_a_name(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("MUSICZOO_CACHE", str(tmp_path / "cache"))
    register("reels", folder)
    assert "reels" in corpus_names()
    corpus = load("reels", tmp_path)
    assert corpus[0].id == "reels/book.abc#1"
    register("reels", folder)  # once more changes nothing
    with pytest.raises(MusicZooError, match="built-in"):
        register("ryan", folder)
    with pytest.raises(MusicZooError, match="cannot be the name"):
        register("../reels", folder)
    with pytest.raises(MusicZooError, match="stands for"):
        register("reels", folder / "more")
    with pytest.raises(MusicZooError, match="Did you mean reels"):
        load("reel", tmp_path)
    works = list(corpus)
    folder.rename(tmp_path / "moved")
    assert list(load("reels", tmp_path)) == works
    gone = forget("reels")
    assert {path.suffix for path in gone} == {".json", ".parquet"}
    assert not list((tmp_path / "cache" / "corpora").iterdir())
    with pytest.raises(MusicZooError, match="no registered corpus"):
        forget("reels")


def test_a_named_folder_that_is_gone_and_was_never_read(folder, tmp_path):
    register("reels", folder, cache=tmp_path / "cache")
    folder.rename(tmp_path / "moved")
    with pytest.raises(MusicZooError, match="musiczoo corpus remove reels"):
        load("reels", tmp_path)


def test_a_damaged_entry_of_a_name_is_told_of(folder, tmp_path, caplog):
    register("reels", folder, cache=tmp_path / "cache")
    (tmp_path / "cache" / "corpora" / "reels.corpus.json").write_text("{")
    assert registered(cache=tmp_path / "cache") == {}
    assert "Register it again" in caplog.text


def test_the_cache_may_lie_inside_the_folder(folder, monkeypatch):
    corpus = load_corpus(folder, cache=folder / "cache", workers=1, progress=False)
    monkeypatch.setattr(corpora, "make_table", lambda *_, **__: pytest.fail("made again"))
    assert len(load_corpus(folder, cache=folder / "cache", workers=1, progress=False)) == len(
        corpus
    )


def test_a_cache_that_cannot_be_written_to(folder, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(MusicZooError, match=r"cannot be written to.*MUSICZOO_CACHE"):
        load(folder, tmp_path)
    with pytest.raises(MusicZooError, match="MUSICZOO_CACHE"):
        register("reels", folder, cache=tmp_path / "cache")


@pytest.mark.parametrize("writes", [0, 1, 3])
def test_a_full_disk(folder, tmp_path, monkeypatch, writes):
    monkeypatch.setattr(corpus_reading, "_CHUNK_FILES", 2)
    left = iter(range(writes))
    original = os.fsync

    def full(descriptor: int) -> None:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        original(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(atomic.os, "fsync", full)
        with pytest.raises(MusicZooError, match=r"No space left.*continues from what was read"):
            load(folder, tmp_path)
    written = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert [path.suffix for path in written] == [".parquet"] * writes
    assert all(pq.read_table(path).num_rows for path in written)
    assert len(load(folder, tmp_path)) == 3


def test_a_folder_without_music_says_what_it_holds(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("one.mscx", "two.mscx", "three.py"):
        (tmp_path / "a" / name).write_text("")
    with pytest.raises(MusicZooError, match=r"2 x MuseScore's own format.*1 x not music: .py"):
        load(tmp_path / "a", tmp_path)
    assert not (tmp_path / "cache").exists()


def test_the_report_file_is_json_for_programs(folder, tmp_path):
    corpus = load(folder, tmp_path)
    path = write_report(corpus)
    assert json.loads(path.read_text()) == report(corpus)
    assert path.parent == corpus.path.parent
