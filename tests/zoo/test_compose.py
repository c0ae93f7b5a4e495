"""The commands generate and continue: labels, files, figures for programs."""

from __future__ import annotations

import json
from pathlib import Path

import lightning
import pytest
import torch

from musiczoo.cli import main
from musiczoo.commands import continue_score, generate
from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.prompts import Prompt
from musiczoo.music import read
from musiczoo.music.abc import Tune

SONG = "X:1\nT:Éclair\nC:Somebody\nM:2/4\nL:1/8\nK:G\nV:S treble\nV:B bass\nV:S\nGA Bc|dc BA|]\nV:B\nG,4|D4|]\n"
LABELS = [
    "--period",
    "Baroque",
    "--composer",
    "Bach, Johann Sebastian",
    "--instrumentation",
    "Choral",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained checkpoint that knows labels."""
    torch.manual_seed(0)
    module = BarStreamModule(patch_layers=1, char_layers=1, hidden=32, heads=2, patch_length=96)
    module.prompts = (
        Prompt("Baroque", "Bach, Johann Sebastian", "Choral", 3),
        Prompt("Traditional", "Ryan's Mammoth Collection", "reel", 9),
    )
    trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.strategy.connect(module)
    path = tmp_path_factory.mktemp("model") / "model.ckpt"
    trainer.save_checkpoint(path)
    return str(path)


@pytest.fixture
def song(tmp_path: Path) -> str:
    path = tmp_path / "song.abc"
    path.write_text(SONG)
    return str(path)


def test_continue_writes_the_whole_piece(
    model: str, song: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = [
        model,
        song,
        "--bars",
        "1",
        "--max-bars",
        "3",
        "--min-bars",
        "3",
        "--count",
        "2",
        *LABELS,
        "--output",
        str(out),
    ]
    written = continue_score.run([*words, "--formats", "abc,mid", "--quiet", "--json"])
    assert [path.name for path in written] == [
        "piece-1.abc",
        "piece-1.mid",
        "piece-2.abc",
        "piece-2.mid",
    ]
    document = json.loads(capsys.readouterr().out)
    assert document["model"] == model
    assert [path for piece in document["pieces"] for path in piece["files"]] == [
        str(path) for path in written
    ]
    for piece in document["pieces"]:
        assert {
            name: piece[name]
            for name in (
                "readable",
                "stop",
                "bars",
                "voices",
                "opening_bars",
                "planned_bars",
                "misaligned_bars",
            )
        } == {
            "readable": True,
            "stop": "end",
            "bars": 3,
            "voices": 2,
            "opening_bars": 1,
            "planned_bars": 3,
            "misaligned_bars": 0,
        }
        assert piece["bits_per_character"] > 0
        assert piece["problems"] == []
    tune = read(written[0])
    assert isinstance(tune, Tune)
    assert tune.field("T") == "Éclair"
    assert [(voice.id, voice.bars[0].text) for voice in tune.voices] == [
        ("S", "GA Bc"),
        ("B", "G,4"),
    ]


def test_generate_reports_figures(
    model: str, song: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = tmp_path / "prompt.abc"
    prompt.write_text("M:2/4\nL:1/8\nK:G\nV:1\nV:2\n[r:0/1][V:1]G4|[V:2]G4|\n")
    words = [
        model,
        "--prompt",
        str(prompt),
        "--align",
        "--max-bars",
        "2",
        *LABELS,
        "--output",
        str(tmp_path),
        "--quiet",
        "--json",
    ]
    [path] = generate.run([*words, "--formats", "abc"])
    [piece] = json.loads(capsys.readouterr().out)["pieces"]
    assert piece["files"] == [str(path)]
    assert (piece["bars"], piece["stop"]) == (2, "end")
    assert path.read_text().startswith("X:1\n%Baroque\n%Bach, Johann Sebastian\n")


def test_a_piece_that_cannot_be_read_is_reported_as_json_too(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(
            [
                "generate",
                model,
                "--max-length",
                "12",
                "--quiet",
                "--json",
                "--output",
                str(tmp_path),
            ]
        )
    captured = capsys.readouterr()
    [piece] = json.loads(captured.out)["pieces"]
    assert piece["readable"] is False
    assert piece["stop"] == "max_length"
    assert len(piece["problems"]) == 2
    assert "No piece could be written" in captured.err


@pytest.mark.parametrize("command", ["generate", "continue"])
def test_list_prompts(command: str, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([command, model, "--list-prompts"])
    shown = capsys.readouterr().out
    assert shown.index("reel") < shown.index("Choral")
    main([command, model, "--list-prompts", "--json"])
    assert json.loads(capsys.readouterr().out)["prompts"][1] == {
        "period": "Baroque",
        "composer": "Bach, Johann Sebastian",
        "instrumentation": "Choral",
        "count": 3,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            [
                "generate",
                "{model}",
                "--period",
                "Baroque",
                "--composer",
                "Bach",
                "--instrumentation",
                "Choral",
            ],
            "'Bach, Johann Sebastian'",
        ),
        (
            [
                "continue",
                "{model}",
                "{song}",
                "--period",
                "Baroque",
                "--composer",
                "B",
                "--instrumentation",
                "Choral",
            ],
            "--new-labels",
        ),
        (["continue", "{model}"], "no score to continue"),
        (["continue", "{model}", "{folder}/nowhere.abc"], "no such file"),
        (["continue", "{model}", "{folder}/empty.mid"], "file is empty"),
        (["continue", "{model}", "{song}", "--max-bars", "2"], "raise max_bars"),
        (["continue", "{model}", "{song}", "--count", "0"], "0 is too few"),
        (["generate", "{model}", "--output", "{song}"], "folder cannot be made"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    words: list[str],
    said: str,
    model: str,
    song: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty.mid").write_bytes(b"")
    with pytest.raises(SystemExit) as exit_:
        main([word.format(model=model, song=song, folder=tmp_path) for word in words])
    message = capsys.readouterr().err
    assert exit_.value.code == 1
    assert said in message
    assert message.startswith("musiczoo: ")
    assert message.count("\n") == 1


def test_labels_that_are_new_on_purpose(model: str, song: str, tmp_path: Path) -> None:
    words = [
        model,
        song,
        "--period",
        "Modern",
        "--composer",
        "Nobody",
        "--instrumentation",
        "Kazoo",
        "--new-labels",
        "--max-bars",
        "3",
    ]
    assert continue_score.run([*words, "--formats", "abc", "--quiet", "--output", str(tmp_path)])
