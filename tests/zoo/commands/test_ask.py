"""``musiczoo ask``: answers on the screen, as JSON, token by token; what is wrong in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from musiczoo.cli import main
from musiczoo.commands import ask
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.music.files import write
from musiczoo.music.midi import to_score
from tests.models.midi_llama.tiny_midi_llama import named, tune

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("ask")
    save_checkpoint(named(folder / "parts"), folder / "model")
    return str(folder / "model")


@pytest.fixture
def piece(tmp_path: Path) -> str:
    write(to_score(tune(1)), tmp_path / "piece.mid")
    return str(tmp_path / "piece.mid")


def test_one_question_is_streamed(
    model: str, piece: str, capsys: pytest.CaptureFixture[str]
) -> None:
    [answer] = ask.run([piece, "Which key?", "--model", model, "--max-tokens", "5"])
    assert capsys.readouterr().out == answer + "\n"


def test_several_questions_and_json(
    model: str, piece: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [piece, "Which key?", "How many bars?", "--model", model, "--max-tokens", "4"]
    answers = ask.run(words)
    shown = capsys.readouterr().out.split("\n")
    assert shown[0] == "Which key?"
    main(["ask", *words, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [row["answer"] for row in found["answers"]] == answers
    assert found["file"] == piece


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{folder}/nowhere.mid", "Which key?"], "no such file"),
        (["{piece}", ""], "cannot be answered"),
        (["{piece}", "x" * 100_000], "cannot be answered"),
        (["{folder}/silent.abc", "Which key?"], "no note"),
        (["{piece}", "Which key?", "--max-tokens", "0"], "at least one token"),
        (["{piece}", "Which key?", "--model", "m3-small"], "answers no questions"),
    ],
)
def test_errors_are_one_line(
    words: list[str],
    message: str,
    model: str,
    piece: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "silent.abc").write_text("X:1\nM:4/4\nL:1/4\nK:C\nz4|\n")
    given = [word.format(folder=tmp_path, piece=piece) for word in words]
    extra = [] if "--model" in given else ["--model", model]
    with pytest.raises(SystemExit) as stop:
        main(["ask", *given, *extra])
    assert stop.value.code == 1
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert message in error
