"""The commands list, publish and card, and what every command opens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import musiczoo
from musiczoo.cli import main
from musiczoo.hub import registry
from musiczoo.hub.card import Card
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.hub.opening import open_model
from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.music.errors import MusicZooError
from tests.hub.models import bar_stream
from tests.imitation_hub import ImitationHub

WEIGHTS = Path(__file__).parents[2] / "fixtures/bar_stream/notagen_tiny.pth"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(registry, "SHIPPED", tmp_path / "shipped")
    card = Card(title="tiny", summary="A tiny model", licence="mit", origin="Ourselves")
    return save_checkpoint(bar_stream(), tmp_path / "shipped/tiny-stream", card=card)


def failing(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(words)
    assert exit_.value.code == 1
    message = capsys.readouterr().err
    assert message.startswith("musiczoo: ")
    assert message.count("\n") == 1
    return message


def test_list(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["list", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert next(iter(rows)) == "tiny-stream"
    assert (
        rows["tiny-stream"].items()
        >= {
            "name": "tiny-stream",
            "summary": "A tiny model",
            "parameters": sum(parameter.numel() for parameter in bar_stream().net.parameters()),
            "licence": "mit",
            "origin": "Ourselves",
            "where": "with musiczoo",
        }.items()
    )
    assert rows["notagen-small"]["where"] == "Hub: ElectricAlexis/NotaGen"
    main(["list"])
    shown = capsys.readouterr().out
    for words in ("tiny-stream", "notagen-large", "local-dir:PATH", "hf-hub:org/name@revision"):
        assert words in shown


def test_a_shipped_model_is_loaded_by_its_name(shipped: Path) -> None:
    model: Any = musiczoo.load("tiny-stream", dropout=0.0)
    assert model.loaded_from["name"] == model.source == "tiny-stream"
    assert model.loaded_from["licence"] == "mit"
    assert BarStreamModule(pretrained="tiny-stream").prompts == model.prompts
    with pytest.raises(MusicZooError, match="tiny-stream"):
        musiczoo.load("tiny-streem")
    with pytest.raises(MusicZooError, match="has its own weights"):
        musiczoo.load("tiny-stream", weights=WEIGHTS)


def test_nothing_is_guessed_from_paths_and_repositories(shipped: Path, tmp_path: Path) -> None:
    for name, said in {
        str(shipped): f"local-dir:{shipped}",
        str(WEIGHTS): 'load("notagen", weights=',
        "org/name": "hf-hub:org/name",
        f"local-dir:{tmp_path / 'none'}": "no such checkpoint folder",
    }.items():
        with pytest.raises(MusicZooError) as caught:
            musiczoo.load(name)
        assert said in str(caught.value)


def test_what_commands_open(shipped: Path, tmp_path: Path) -> None:
    for name in ("tiny-stream", str(shipped), f"local-dir:{shipped}", str(WEIGHTS)):
        model = open_model(name)
        assert isinstance(model, BarStreamModule)
        assert not model.training
    with pytest.raises(MusicZooError, match="holds no checkpoint"):
        open_model(str(tmp_path))
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    for name in ("text.ckpt", "none.ckpt"):
        with pytest.raises(MusicZooError, match=name):
            open_model(str(tmp_path / name))


def test_publish(
    shipped: Path, imitation_hub: ImitationHub, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "publish",
        str(shipped),
        "me/tiny",
        "--licence",
        "cc0-1.0",
        "--figure",
        "bits per character=1.5@reels",
        "--tag",
        "v1",
    ]
    main([*words, "--title", "Tiny", "--json"])
    done = json.loads(capsys.readouterr().out)
    assert done["commit"] == imitation_hub.repositories["me/tiny"].tags["v1"]
    text = imitation_hub.files("me/tiny")["README.md"].decode()
    for part in (
        "# Tiny",
        "license: cc0-1.0",
        "| bits per character | 1.5 | reels |",
        "A tiny model",
        "hf-hub:me/tiny@v1",
    ):
        assert part in text
    assert musiczoo.load(done["load_name"]).loaded_from["licence"] == "cc0-1.0"
    main(
        [
            "publish",
            str(WEIGHTS),
            "me/weights",
            "--licence",
            "other",
            "--licence-name",
            "Theirs",
            "--licence-link",
            "https://example.org",
        ]
    )
    shown = capsys.readouterr().out
    assert (
        f'musiczoo.load("hf-hub:me/weights@{imitation_hub.repositories["me/weights"].branches["main"]}")'
        in shown
    )


def test_publish_says_in_a_line_what_is_wrong(
    shipped: Path, imitation_hub: ImitationHub, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, said in (
        (["tiny-stream", "me/tiny", "--licence", "cc-by"], "cc-by-4.0"),
        (["tiny-stream", "tiny", "--licence", "mit"], "org/name"),
        (["tiny-stream", "me/tiny", "--licence", "mit", "--figure", "loss"], "METRIC=VALUE"),
        (["tiny-stream", "me/tiny", "--licence", "mit", "--figure", "loss=low"], "METRIC=VALUE"),
        (["nothing", "me/tiny", "--licence", "mit"], "no model named 'nothing'"),
    ):
        assert said in failing(capsys, "publish", *words)
    assert not imitation_hub.requests
    with pytest.raises(SystemExit) as exit_:
        main(["publish", "tiny-stream", "me/tiny"])
    assert exit_.value.code == 2


def test_card(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (shipped / "README.md").read_bytes()
    main(["card", str(shipped)])
    assert capsys.readouterr().out.encode() == before
    main(["card", str(shipped), "--json"])
    assert json.loads(capsys.readouterr().out)["card"]["origin"] == "Ourselves"
    assert (shipped / "README.md").read_bytes() == before
    main(
        [
            "card",
            str(shipped),
            "--figure",
            "loss=2.5",
            "--licence",
            "cc-by-4.0",
            "--limits",
            "Short pieces.",
        ]
    )
    text = capsys.readouterr().out
    assert (shipped / "README.md").read_text() == text
    for part in ("license: cc-by-4.0", "| loss | 2.5 |", "Short pieces.", "Ourselves"):
        assert part in text
    # The card is no part of what is verified: the folder still opens.
    musiczoo.load("tiny-stream")
    (shipped / "README.md").write_text("lost")
    main(["card", str(shipped), "--refresh"])
    assert (shipped / "README.md").read_text() == text
    assert "no config.json" in failing(capsys, "card", str(shipped.parent))
