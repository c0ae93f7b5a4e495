"""The command compare: from models to reports, and what it refuses."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

from musiczoo.cli import main
from musiczoo.commands.compare import run
from musiczoo.comparison.evaluation import Evaluation
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.music import read
from musiczoo.music.errors import MusicZooError
from tests.hub.models import bar_stream
from tests.soundfonts import sine_soundfont
from tests.zoo.tiny_evaluations import remi_model

# A reward as a user would write it in a file of his own.
EAR = """
import torch
from musiczoo.music.sound.rendering import Renderer, Rendering
from musiczoo.rewards.base import Scores
from tests.zoo.tiny_evaluations import Loudness

class Scorer(Loudness):
    def __init__(self):
        super().__init__(Renderer(Rendering(sample_rate=8000), workers=0))

    def score_audio(self, samples, rate):
        scores = super().score_audio(samples, rate)
        if len(samples) == 1 and scores.details["high"][0] > 0.4:
            raise ValueError("too loud for me")
        return scores

def count(pieces):
    return [len(piece.tokens) for piece in pieces]

broken = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for seed, name in enumerate(("before", "after")):
        save_checkpoint(remi_model(seed), tmp_path / name)
    sine_soundfont(tmp_path / "sine.sf2")
    (tmp_path / "users_scorer.py").write_text(EAR)
    (tmp_path / "real").mkdir()
    for number in range(20):
        rng = random.Random(number)
        bars = "|".join("".join(rng.choice("CDEFGAB") for _ in range(4)) for _ in range(4))
        (tmp_path / f"real/{number}.abc").write_text(
            f"X:1\nM:4/4\nL:1/4\nQ:1/4={90 + number}\nK:C\n{bars}|\n"
        )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("MUSICZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MUSICZOO_SOUNDFONT", str(tmp_path / "sine.sf2"))
    yield tmp_path
    sys.modules.pop("users_scorer", None)


SHORT = ["--prompts", "6", "--max-new-tokens", "30", "--quiet", "--device", "cpu"]


def test_two_models_and_a_reward_that_listens(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    words = ["before", "after", *SHORT, "--corpus", "real", "--reward", "users_scorer:Scorer"]
    words += [
        "--soundfont",
        "sine.sf2",
        "--soundfont",
        str(folder / "sine.sf2"),
        "--examples",
        "2",
        "--real-pieces",
        "1",
    ]
    main(["compare", *words, "--output", "out", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((folder / "out/report.json").read_text())
    assert (document["names"], document["base"], document["pieces"]) == (
        ["before", "after"],
        "before",
        6,
    )
    assert document["models"] == {"before": "before", "after": "after"}
    assert document["divergence"] == "exact"
    assert {row["measure"] for row in document["measures"]} >= {
        "loudness",
        "high",
        "notes",
        "velocity_range",
        "pitches",
    }
    assert [row["sound"] for row in document["sounds"]] == [
        "sine.sf2",
        str(folder / "sine.sf2"),
        "silence",
        "white noise",
    ]
    assert document["sounds"][0]["means"] == document["sounds"][1]["means"]
    for name in ("features.png", "rewards.png", "rolls.png"):
        assert (folder / "out" / name).read_bytes().startswith(b"\x89PNG")
    examples = sorted(path.name for path in (folder / "out/examples").iterdir())
    assert examples == ["00-after.mid", "00-before.mid", "01-after.mid", "01-before.mid"]
    assert read(folder / "out/examples/00-after.mid")
    report = (folder / "out/report.md").read_text()
    for part in ("| measure | before | after |", "one velocity", "silence", "![rolls](rolls.png)"):
        assert part in report
    # Once more, with tables for people: the same seed gives the same figures.
    main(["compare", *words, "--output", "again"])
    shown = capsys.readouterr().out
    for part in ("loudness", "mean distance of two pieces", "white noise", "again/report.md"):
        assert part in shown
    assert (folder / "again/report.json").read_text() == (folder / "out/report.json").read_text()


def test_three_models_with_labels_and_a_function(folder: Path) -> None:
    document = run(
        [
            "base=before",
            "long=after",
            "same=before",
            *SHORT,
            "--reward",
            "users_scorer:count",
            "--variant",
            "corpus",
            "--corpus",
            "real",
        ]
    )
    # Prompts of real pieces, of the test split: a bar with their meter and tempo.
    prompts = Evaluation.load(folder / "comparison/portraits/0").prompts
    assert all(prompt.startswith("Bar_None TimeSig_4/4 Position_0 Tempo_") for prompt in prompts)
    assert document["names"] == ["base", "long", "same"]
    assert not document["sounds"]
    kl = next(row for row in document["figures"] if row["figure"] == "divergence")["models"]
    assert kl["base"] is None
    assert kl["same"] == pytest.approx(0, abs=1e-9) != pytest.approx(kl["long"])
    count = next(row for row in document["measures"] if row["measure"] == "count")["models"]
    assert {key: value for key, value in count["same"].items() if key in ("mean", "sd")} == {
        key: value for key, value in count["base"].items() if key in ("mean", "sd")
    }
    assert (folder / "comparison/report.md").is_file()


@pytest.mark.parametrize("reward", ["features", "none", "mel"])
def test_built_in_rewards(folder: Path, reward: str) -> None:
    words = [
        *SHORT,
        "--reward",
        reward,
        "--prompts",
        "2",
        "--corpus",
        "real",
        "--real-pieces",
        "1",
        "--examples",
        "0",
    ]
    document = run(["before", *words])
    groups = {row["group"] for row in document["measures"]}
    assert ("rewards" in groups) == (reward != "none")
    assert (folder / "comparison/rewards.png").exists() == (reward != "none")
    assert [row["kind"] for row in document["sounds"]] == (
        ["soundfont", "reference", "reference"] if reward == "mel" else []
    )
    assert not (folder / "comparison/examples").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing-here"], "nothing-here"),
        (["before", "before"], "Two models are called before"),
        (["before", "scores"], "does not write performances from prompts of tokens"),
        (["before", "--reward", "beauty"], "There is no reward 'beauty'"),
        (["before", "--reward", "users_scorer:beauty"], "users_scorer:beauty cannot be loaded"),
        (["before", "--reward", "users_scorer:broken"], "is a int, not a reward"),
        (["before", "--reward", "mel:nowhere"], "nowhere"),
        (["before", "--soundfont", "grand-piano"], "grand-piano does not exist"),
        (["before", "--variant", "corpus", "--corpus", "unheard-of"], "There is no such corpus"),
        (["before", "--prompts", "1"], "--prompts: 1 is too few"),
        (["before", "--temperature", "0"], "nothing is drawn"),
        (["before", "--device", "abacus"], "device cannot be used"),
        (["before", "--output", "users_scorer.py"], "folder cannot be made"),
    ],
)
def test_what_cannot_be_compared(folder: Path, words: list[str], told: str) -> None:
    if "scores" in words:
        save_checkpoint(bar_stream(), folder / "scores")
    if "--reward" not in words:
        words = [*words, "--reward", "none"]
    with pytest.raises(MusicZooError) as raised:
        run([*SHORT, *words])
    assert told in str(raised.value)


def test_what_the_reward_fails_on_is_counted(folder: Path) -> None:
    (folder / "moody.py").write_text("def moody(pieces):\n    raise RuntimeError('not today')\n")
    document = run(["before", *SHORT, "--reward", "moody:moody"])
    assert document["unscored"] == {"before": {"moody raised RuntimeError: not today": 6}}
    assert "without a reward: 6 x moody raised" in (folder / "comparison/report.md").read_text()
