from __future__ import annotations

import json
from pathlib import Path

import pytest

from musiczoo.commands.corpus import run
from musiczoo.datamodules import ScoreDataModule
from musiczoo.music.corpora import load_corpus, registered
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.bar_stream import BarStreamPatches

TUNE = "X:{number}\nT:Tune\nM:4/4\nL:1/8\nK:{key}\n{bars}|\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MUSICZOO_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "mine"
    root.mkdir()
    bars = (
        "G2BG dGBG|c2ec gcec|A2cA eAcA",
        "d2fd afdf|g2bg d'gbg|e2ge bege",
        "D2FA dfaf|GBAF G4|C2DE FGAB",
        "c4 G4|E4 C4|B,4 C4",
    )
    for number, text in enumerate(bars):
        (root / f"{number}.abc").write_text(TUNE.format(number=1, key="G", bars=text))
    (root / "bad.abc").write_text("X:1\nT:[bold]No key[/bold]\n")
    (root / "bad.mid").write_bytes(b"MThd\0\0")
    (root / "code.py").write_text("print()")
    return root


def test_prepare_reads_names_and_reports(folder, capsys):
    found = run(["prepare", str(folder), "--as", "mine2", "--workers", "1", "--quiet"])
    said = capsys.readouterr()
    assert "mine2: 7 files: 4 read, 2 skipped, 1 left out." in said.out
    assert "not music: .py" in said.out
    assert said.err == ""
    assert (found["works"], found["registered"], found["recipe"]) == (4, "mine2", None)
    every_file = json.loads(Path(found["report"]).read_text())["by_file"]
    assert {row["path"]: row["status"] for row in every_file} == {
        **{f"{number}.abc": "read" for number in range(4)},
        "bad.abc": "skipped",
        "bad.mid": "skipped",
        "code.py": "left out",
    }
    assert len(load_corpus("mine2", workers=1, progress=False)) == 4
    data = ScoreDataModule("mine2", BarStreamPatches(), val_fraction=0.5)
    data.setup()
    assert len(data.works) == 4
    assert data.works[0].id == "mine2/0.abc#1"


def test_json_is_one_document_and_nothing_else(folder, capsys):
    found = run(["prepare", str(folder), "--workers", "1", "--json"])
    said = capsys.readouterr()
    assert json.loads(said.out) == found
    assert said.err == ""
    assert found["files"] == len(found["by_file"]) == 7
    for words in (["list"], ["show", "ryan"], ["show", "pdmx"]):
        found = run([*words, "--json"])
        assert json.loads(capsys.readouterr().out) == found


def test_list_show_and_remove(folder, capsys):
    run(["list"])
    said = capsys.readouterr().out
    for word in ("bach-chorales", "built-in", "openscore-lieder", "recipe"):
        assert word in said
    run(["show", "kernscores"])
    said = capsys.readouterr().out
    assert "https://kern.humdrum.org" in said
    assert "use is restricted" in said
    run(["show", "aird"])
    assert "musiczoo corpus prepare aird" in capsys.readouterr().out
    run(["prepare", str(folder), "--as", "mine2", "--workers", "1", "--quiet"])
    capsys.readouterr()
    run(["show", "mine2"])
    assert "4 read, 2 skipped" in capsys.readouterr().out
    kinds = {row["name"]: row["kind"] for row in run(["list", "--json"])["corpora"]}
    assert kinds["mine2"] == "registered"
    run(["remove", "mine2"])
    assert registered() == {}
    assert (folder / "0.abc").exists()


def test_what_goes_wrong_leaves_no_name_behind(folder, tmp_path):
    for path in folder.iterdir():
        if path.name[0].isdigit():
            path.unlink()
    with pytest.raises(MusicZooError, match="None of the files could be read"):
        run(["prepare", str(folder), "--as", "mine2", "--workers", "1", "--quiet"])
    (tmp_path / "empty").mkdir()
    for words, message in (
        ([str(tmp_path / "empty"), "--as", "mine2"], "no music"),
        ([str(tmp_path / "nowhere"), "--as", "mine2"], "neither a corpus nor a folder"),
        ([str(folder), "--as", "ryan"], "built-in"),
        ([str(folder), "--as", "a/b"], "cannot be the name"),
        ([str(folder), "--recipe", "pdxm"], "Did you mean pdmx"),
        ([str(folder), "--recipe", "pdmx"], "PDMX.csv"),
        ([str(folder / "bad.abc"), "--as", "mine2"], "Only a folder"),
        ([str(folder), "--workers", "0"], "one process"),
    ):
        with pytest.raises(MusicZooError, match=message):
            run(["prepare", *words])
    assert registered() == {}


def test_a_cache_elsewhere(folder, tmp_path):
    run(
        [
            "prepare",
            str(folder),
            "--as",
            "mine2",
            "--cache",
            str(tmp_path / "other"),
            "--workers",
            "1",
            "--quiet",
        ]
    )
    assert registered() == {}
    assert registered(cache=tmp_path / "other").keys() == {"mine2"}
    assert not (tmp_path / "cache").exists()


def test_wrong_usage():
    with pytest.raises(SystemExit) as ended:
        run([])
    assert ended.value.code == 2
