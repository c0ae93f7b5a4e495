from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from musiczoo.datamodules import token_cache, tokenising
from musiczoo.datamodules.token_cache import (
    cached_clusters,
    modules_behind,
    pieces_of,
    tokenised,
    tokens_folder,
)
from musiczoo.datamodules.token_sources import source_of
from musiczoo.datamodules.tokenising import StreamRules, Tokeniser
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import read
from musiczoo.music.midi.piano_stream import reduced
from musiczoo.representations.remi import Remi
from tests.midi_files import random_score, write_bad_files, write_midi

REMI = Remi.smart()
RULES = StreamRules()


@pytest.fixture
def folder(tmp_path) -> Path:
    for seed in range(5):
        write_midi(random_score(seed), tmp_path / "mine" / f"{seed}.mid")
    write_bad_files(tmp_path / "mine" / "bad")
    return tmp_path / "mine"


def table(folder: Path, *, representation=REMI, rules=RULES, workers=1, cache="cache"):
    cache = folder.parent / cache
    return tokenised(
        source_of(folder, cache=cache),
        representation,
        rules,
        cache=cache,
        workers=workers,
        progress=False,
    )


def files(folder: Path) -> list[Path]:
    return sorted(tokens_folder(folder.parent / "cache").iterdir())


@pytest.fixture
def counted(monkeypatch) -> list[str]:
    """The paths that are tokenised."""
    done: list[str] = []
    original = Tokeniser.__call__
    monkeypatch.setattr(
        Tokeniser, "__call__", lambda self, item: (done.append(item.path), original(self, item))[1]
    )
    return done


def test_every_file_has_its_row(folder):
    rows = table(folder)
    pieces = pieces_of(rows)
    assert [piece.id for piece in pieces] == [f"mine/{seed}.mid#1" for seed in range(5)]
    assert rows.num_rows == 15
    for seed, piece in enumerate(pieces):
        assert piece.tokens.dtype == np.uint16
        assert piece.tokens.tolist() == REMI.encode(reduced(read(folder / f"{seed}.mid"))).tolist()


def test_what_has_not_changed_is_not_tokenised_again(folder, counted):
    first = table(folder)
    assert len(counted) == 15
    assert table(folder).equals(first)
    assert len(counted) == 15
    write_midi(random_score(77), folder / "2.mid")
    os.utime(folder / "2.mid", (1, 1))
    write_midi(random_score(78), folder / "new.mid")
    (folder / "4.mid").unlink()
    second = pieces_of(table(folder))
    assert counted[15:] == ["2.mid", "new.mid"]
    assert [piece.id for piece in second] == [
        f"mine/{name}.mid#1" for name in ("0", "1", "2", "3", "new")
    ]
    assert second[2].tokens.tolist() == REMI.encode(reduced(random_score(77))).tolist()
    assert len(files(folder)) == 1
    (folder / "new.mid").unlink()
    assert len(pieces_of(table(folder))) == 4
    assert len(counted) == 17


@pytest.mark.parametrize(
    "settings",
    [
        {"representation": Remi.plus()},
        {"rules": StreamRules(max_notes_per_bar=3)},
        {"rules": StreamRules([40])},
    ],
)
def test_other_settings_have_a_table_of_their_own(folder, counted, settings):
    first = table(folder)
    assert not table(folder, **settings).equals(first)
    assert len(counted) == 30
    assert len(files(folder)) == 2
    assert table(folder).equals(first)
    assert len(counted) == 30


def test_a_change_of_the_code_makes_tokens_anew(folder, counted, monkeypatch):
    table(folder)
    old = files(folder)
    monkeypatch.setattr(token_cache, "_code", lambda *modules: "another")
    table(folder)
    assert len(counted) == 30
    assert len(files(folder)) == 1
    assert files(folder) != old


def test_the_code_that_makes_tokens_is_found_through_its_imports():
    found = modules_behind("musiczoo.representations.remi", token_cache._TOKENISING)
    assert {
        "musiczoo.datamodules.tokenising",
        "musiczoo.music.midi.piano_stream",
        "musiczoo.music.quantisation",
    } <= found.keys()
    assert {
        "musiczoo.music.midi.checked_bytes",
        "musiczoo.music.musicxml.reader",
        "musiczoo.representations.remi",
    } <= found.keys()
    assert {"musiczoo.music.midi.from_tune", "musiczoo.music.midi.to_tune"} & found.keys() == {
        "musiczoo.music.midi.from_tune"
    }
    assert not {name for name in found if re.search(r"pictures|sound\b|degradation|corpora", name)}
    assert "musiczoo.datamodules.midi" not in found
    assert modules_behind("no.such.module") == {}


def test_a_damaged_table_is_made_again(folder, counted, caplog):
    first = table(folder)
    files(folder)[0].write_bytes(b"PAR1 no more")
    assert table(folder).equals(first)
    assert "made again" in caplog.text


def test_worker_processes_change_nothing(folder, monkeypatch):
    monkeypatch.setattr(token_cache, "_CHUNK_ITEMS", 2)
    one = table(folder)
    assert table(folder, workers=2, cache="other").equals(one)


def test_a_file_that_kills_its_process_costs_itself_alone(folder, monkeypatch):
    monkeypatch.setattr(token_cache, "_CHUNK_ITEMS", 2)
    original = tokenising.pieces_and_errors
    monkeypatch.setattr(
        tokenising,
        "pieces_and_errors",
        lambda path: os._exit(1) if path.name == "3.mid" else original(path),
    )
    rows = table(folder, workers=2)
    assert len(pieces_of(rows)) == 4
    assert ("3.mid", "The process that read it died.") in zip(
        rows["path"].to_pylist(), rows["reason"].to_pylist(), strict=True
    )


def test_an_interrupted_preparation_goes_on(folder, counted, monkeypatch):
    monkeypatch.setattr(token_cache, "_CHUNK_ITEMS", 2)
    original = Tokeniser.__call__

    def interrupted(self, item):
        if len(counted) == 7:
            raise KeyboardInterrupt
        return original(self, item)

    with monkeypatch.context() as patch:
        patch.setattr(Tokeniser, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            table(folder)
    assert len(counted) == 7
    # One whole chunk changes: its finished part holds no more than the other file.
    write_midi(random_score(50), folder / "1.mid")
    os.utime(folder / "1.mid", (1, 1))
    whole = table(folder)
    assert counted[7:] == ["1.mid", *counted[8:]]
    assert len(counted) == 7 + 1 + 9
    assert whole.equals(table(folder, cache="undisturbed"))
    assert (
        files(folder)[0].read_bytes()
        == next(tokens_folder(folder.parent / "undisturbed").iterdir()).read_bytes()
    )
    assert len(files(folder)) == 1


KILLED = """
import sys, time
from pathlib import Path
from musiczoo.datamodules import token_cache
from musiczoo.datamodules.token_sources import source_of
from musiczoo.datamodules.tokenising import StreamRules, Tokeniser
from musiczoo.representations.remi import Remi
token_cache._CHUNK_ITEMS = 2
original = Tokeniser.__call__
Tokeniser.__call__ = lambda self, item: (time.sleep(0.1), original(self, item))[1]
source = source_of(sys.argv[1], cache=sys.argv[2])
token_cache.tokenised(source, Remi.smart(), StreamRules(), cache=sys.argv[2], workers=1, progress=False)
"""


@pytest.mark.dist
def test_a_killed_preparation_goes_on(folder, counted, monkeypatch):
    monkeypatch.setattr(token_cache, "_CHUNK_ITEMS", 2)
    cache = folder.parent / "cache"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder), str(cache)])
    deadline = time.monotonic() + 120
    while len(list(cache.rglob("*.parts/*.parquet"))) < 2:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(cache.glob("tokens/*.parquet"))
    killed = table(folder)
    assert 0 < len(counted) <= 11
    assert killed.equals(table(folder, cache="undisturbed"))
    assert (
        (files(folder)[0]).read_bytes()
        == next(tokens_folder(folder.parent / "undisturbed").iterdir()).read_bytes()
    )
    assert len(files(folder)) == 1


def test_a_cache_that_cannot_be_written_is_told(folder):
    (folder.parent / "cache").write_text("a file")
    with pytest.raises(MusicZooError, match="MUSICZOO_CACHE"):
        table(folder)


def test_clusters_are_kept_until_the_pieces_change(folder, monkeypatch):
    write_midi(random_score(2), folder / "again.mid")
    pieces = pieces_of(table(folder))
    cache = folder.parent / "cache"
    names = [piece.path for piece in pieces]
    found = cached_clusters(pieces, cache=cache)
    assert found[names.index("again.mid")] == found[names.index("2.mid")]
    assert len(set(found)) == 5
    monkeypatch.setattr(token_cache, "clusters", lambda works: pytest.fail("clustered again"))
    assert cached_clusters(pieces, cache=cache) == found
    monkeypatch.setattr(token_cache, "clusters", lambda works: [0] * len(works))
    assert cached_clusters(pieces[:3], cache=cache) == [0, 0, 0]
    # As many others.
    monkeypatch.setattr(token_cache, "clusters", lambda works: [1] * len(works))
    assert cached_clusters(pieces[3:], cache=cache) == [1, 1, 1]
