"""The command card, of pieces; of checkpoints it is tested with publishing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import musiczoo.hub.loading
from musiczoo.cli import main
from musiczoo.hub.checkpoint import save_checkpoint
from tests.hub.models import bar_stream


class Letters(torch.nn.Module):
    """An encoder in small: how often each note's letter stands in a text."""

    def features(self, texts: Sequence[str]) -> Tensor:
        return torch.tensor(
            [[text.count(letter) for letter in "CDEFGAB"] for text in texts], dtype=torch.float32
        )


def write(folder: Path, bodies: Sequence[str], prompt: str = "") -> Path:
    folder.mkdir()
    for number, body in enumerate(bodies):
        (folder / f"{number}.abc").write_text(f"X:1\n{prompt}M:4/4\nL:1/4\nK:C\n{body}\n")
    return folder


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.setenv("MUSICZOO_CACHE", str(tmp_path / "cache"))
    prompt = "%Baroque\n%Anon\n%Choral\n"
    pieces = write(
        tmp_path / "pieces", ["CDEF|GABc|C4|E4|", "EFGA|GGGG|E4|F4|", "CCDD|EEFF|G4|A4|"], prompt
    )
    truth = write(
        tmp_path / "truth",
        ["CDEF|GABc|C4|E4|", "GFED|CDEF|E4|D4|", "AGFE|DEFG|F4|C4|", "BAGF|EDCD|D4|B4|"],
        prompt,
    )
    (pieces / "empty.abc").write_text("")
    (pieces / "notes.txt").write_text("not music")
    return pieces, truth


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    load = musiczoo.hub.loading.load

    def loaded(name: str, *others: Any, **settings: Any) -> Any:
        return Letters() if name == "letters" else load(name, *others, **settings)

    monkeypatch.setattr(musiczoo.hub.loading, "load", loaded)


def failing(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(["card", *words])
    assert exit_.value.code == 1
    return capsys.readouterr().err


def test_pieces_beside_real_music(
    folders: tuple[Path, Path],
    encoder: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    pieces, truth = map(str, folders)
    model = save_checkpoint(bar_stream(), tmp_path / "model")
    words = [
        pieces,
        "--truth",
        truth,
        "--training",
        truth,
        "--encoder",
        "letters",
        "--model",
        str(model),
        "--estimator",
        "mle",
    ]
    main(["card", *words, "--json", "--output", str(tmp_path / "out")])
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert document == json.loads((tmp_path / "out/report_card.json").read_text())
    assert (tmp_path / "out/report_card.png").read_bytes().startswith(b"\x89PNG")
    row, real = document["pieces"], document["truth"]
    assert (row["pieces"], row["readable"], row["percent_readable"]) == (4, 3, 75.0)
    assert sum(row["unreadable"].values()) == 1
    assert row["copy_rate"] == pytest.approx(100 / 3)
    assert real["copy_rate"] == 100.0
    assert row["prompts"] == real["prompts"] == 1
    assert row["frechet"][0]["n"] == 3
    assert row["likelihoods"]["pieces"] == 3
    assert document["settings"]["truth"] == truth
    main(["card", *words, "--quiet"])
    shown = capsys.readouterr()
    for part in (
        "Report card",
        "average CLaMP score",
        "Frechet music distance, mle",
        "n = 3 against 4",
        "bits per note",
        "unreadable: 1 x",
    ):
        assert part in " ".join(shown.out.split())


def test_a_few_works_of_the_ground_truth(
    folders: tuple[Path, Path], encoder: None, capsys: pytest.CaptureFixture[str]
) -> None:
    pieces, truth = map(str, folders)
    found = []
    for seed in ("0", "0", "1", "2"):
        main(
            [
                "card",
                pieces,
                "--truth",
                truth,
                "--truth-works",
                "2",
                "--encoder",
                "letters",
                "--seed",
                seed,
                "--json",
            ]
        )
        found.append(json.loads(capsys.readouterr().out)["truth"])
    assert found[0]["pieces"] == 2
    assert found[0] == found[1]
    assert found[0]["scores"] != found[2]["scores"] or found[0]["scores"] != found[3]["scores"]


def test_one_file_and_nothing_but_a_folder(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["card", str(folders[0] / "0.abc"), "--json"])
    assert json.loads(capsys.readouterr().out)["pieces"]["pieces"] == 1
    main(["card", str(folders[0]), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["truth"] is None
    assert document["pieces"]["notes"] == 10.0


def test_what_is_neither_is_told(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pieces = str(folders[0])
    (tmp_path / "nothing").mkdir()
    told = failing(capsys, str(tmp_path / "nothing"))
    assert "no checkpoint folder" in told
    assert "no config.json" in told
    assert "no music" in told
    assert "There is no such folder" in failing(capsys, str(tmp_path / "none"))
    assert "--truth" in failing(capsys, pieces, "--encoder", "m3-small")
    assert "two or more" in failing(
        capsys, pieces, "--truth", str(folders[1]), "--truth-works", "0"
    )
    assert "--licence is no option for pieces" in failing(capsys, pieces, "--licence", "mit")
    checkpoint = save_checkpoint(bar_stream(), tmp_path / "model")
    assert "--truth is no option for a checkpoint" in failing(
        capsys, str(checkpoint), "--truth", pieces
    )
    assert "gives no features" in failing(
        capsys, pieces, "--truth", pieces, "--encoder", f"local-dir:{checkpoint}"
    )
