from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from musiczoo.commands.study import run
from musiczoo.music.errors import MusicZooError
from musiczoo.studies.analysis import Analysis

TUNE = "X:1\nT:Title\nM:4/4\nL:1/8\nQ:1/4=240\nK:C\n{notes}|G8|]\n"


@pytest.fixture
def systems(tmp_path: Path) -> list[str]:
    for name, notes in (("old", "C2D2E2F2"), ("new", "c2B2A2G2")):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.abc").write_text(TUNE.format(notes=notes))
    return ["--system", f"base={tmp_path / 'old'}", "--system", f"tuned={tmp_path / 'new'}"]


def answer(sheet: Path, key: Path, wanted: str, folder: Path) -> None:
    document = json.loads(key.read_text())
    participant = sheet.stem
    answers = {
        row["id"]: {
            "values": {"liking": "AB"[row["systems"].index(wanted)]},
            "plays": {},
            "seconds": 5,
            "comment": "well",
        }
        for row in document["participants"][participant]
    }
    folder.mkdir(exist_ok=True)
    content = {
        "format": "musiczoo-study-answers",
        "version": 1,
        "study": document["study"],
        "participant": participant,
        "exported": "",
    }
    (folder / f"{participant}.json").write_text(json.dumps({**content, "answers": answers}))


def test_make_and_analyse(
    systems: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "instructions.txt").write_text("Please listen with care.\n\nThank you.")
    study = tmp_path / "study"
    words = [
        "--participants",
        "anna,ben",
        "--aspect",
        "liking=Which do you like?",
        "--instructions",
        str(tmp_path / "instructions.txt"),
    ]
    run(["make", "ab", *systems, *words, "--no-sound", "--output", str(study), "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["items"] == 3
    assert printed["trials"] == {"anna": 3, "ben": 3}
    assert printed["key"] == str(study / "key.json")
    sheets = [Path(path) for path in printed["sheets"]]
    assert [sheet.name for sheet in sheets] == ["anna.html", "ben.html"]
    text = sheets[0].read_text()
    assert "<p>Please listen with care.</p>\n<p>Thank you.</p>" in text
    assert "Which do you like?" in text

    for sheet in sheets:
        answer(sheet, study / "key.json", "tuned", tmp_path / "answers")
    result = run(
        [
            "analyse",
            str(study / "key.json"),
            str(tmp_path / "answers"),
            "--output",
            str(tmp_path / "report"),
        ]
    )
    assert isinstance(result, Analysis)
    shown = capsys.readouterr().out
    assert "base against tuned" in shown
    assert "2 of 2 participants" in shown
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "report.html",
        "report.png",
        "analysis.json",
        "answers.csv",
    }
    run(["analyse", str(study / "key.json"), str(tmp_path / "answers"), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((tmp_path / "report" / "analysis.json").read_text())
    assert document["preferences"][0]["votes"] == [0, 0, 6]
    assert document["preferences"][0]["test"]["p_value"] == 0.25


def test_the_user_is_told_what_to_send_and_what_to_keep(
    systems: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old" / "junk.txt").write_text("x")
    run(
        [
            "make",
            "rating",
            *systems,
            "--participants",
            "2",
            "--no-sound",
            "--quiet",
            "--output",
            str(tmp_path / "study"),
            "--seed",
            "3",
        ]
    )
    said = capsys.readouterr()
    assert said.out == ""
    assert "junk.txt: is neither ABC nor MusicXML nor MIDI" in said.err
    assert re.search(r"2 sheets of 6 pages, [\d.]+ MB at most", said.err)
    assert "key.json. Keep it to yourself" in said.err
    assert "seed 3" in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ab", "--system", "x"], "Write NAME=FOLDER"),
        (["ab", "--system", "x={old}", "--system", "x={new}"], "named already"),
        (["ab", "--system", "x={old}"], "two or more"),
        (["ab", "--system", "x={old}", "--system", "y={nowhere}"], "no such folder"),
        (["ab", "--pieces", "{old}"], "belongs to studies of captions"),
        (["captions", "--pieces", "{old}"], "--captions FILE"),
        (["captions", "--pieces", "{old}", "--captions", "{nowhere}"], "cannot be read"),
        (["ab", "--system", "x={old}", "--system", "y={new}", "--aspect", "=?"], "no aspect"),
        (
            ["ab", "--system", "x={old}", "--system", "y={new}", "--instructions", "{nowhere}"],
            "instructions cannot be read",
        ),
        (["ab", "--system", "none={old}", "--system", "y={new}"], "cannot be called"),
    ],
)
def test_what_is_wrong_is_said(
    systems: list[str], tmp_path: Path, words: list[str], said: str
) -> None:
    filled = [
        word.format(old=tmp_path / "old", new=tmp_path / "new", nowhere=tmp_path / "nowhere")
        for word in words
    ]
    with pytest.raises(MusicZooError, match=re.escape(said)):
        run(
            [
                "make",
                *filled,
                "--participants",
                "2",
                "--no-sound",
                "--quiet",
                "--output",
                str(tmp_path / "study"),
            ]
        )
    assert not (tmp_path / "study").exists()


def test_tables_of_captions_that_cannot_be_read(tmp_path: Path, systems: list[str]) -> None:
    table = tmp_path / "captions.csv"
    base = [
        "make",
        "captions",
        "--pieces",
        str(tmp_path / "old"),
        "--participants",
        "1",
        "--no-sound",
        "--quiet",
    ]
    for content, said in (
        ("item,caption\n0,Hello\n", "There is no system"),
        ("item,system,caption\n0,x,Hello\n", "two or more systems"),
        ("item,system,caption\n0,x,Hello\n1,y,Hello\n", "Not one item"),
    ):
        table.write_text(content)
        with pytest.raises(MusicZooError, match=said):
            run([*base, "--captions", str(table), "--output", str(tmp_path / "study")])


def test_wrong_usage() -> None:
    for words in (
        [],
        ["make"],
        ["make", "maze", "--participants", "1", "--output", "x"],
        ["analyse"],
    ):
        with pytest.raises(SystemExit):
            run(words)
