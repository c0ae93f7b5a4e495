"""An architecture of another package, known by one row: list, fit, generate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from musiczoo.cli import main
from musiczoo.commands.fit import fit
from musiczoo.hub import Entry, register, registry
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.music.abc import write_abc
from tests.zoo.tiny_stages import QUIET, tune
from tests.zoo.toy_letters import ROW, ToyModule


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[str]:
    """The name of a registered model of the toy architecture."""
    tables = (registry.ARCHITECTURES, registry.REPRESENTATIONS, registry._registered)
    before = [dict(table) for table in tables]
    register(ROW)
    save_checkpoint(ToyModule(seed=1), tmp_path / "toy")
    register(
        Entry(
            name="toy",
            summary="letters",
            parameters=None,
            licence="mit",
            origin="here",
            architecture="toy_letters",
            folder=tmp_path / "toy",
        )
    )
    yield "toy"
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)


def test_it_is_listed(toy: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["list"])
    [line] = [x for x in capsys.readouterr().out.splitlines() if x.startswith("toy ")]
    assert line.split() == ["toy", "text", "included", "letters"]
    main(["list", toy, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["writes"], found["prompts"]) == ("text", ["text"])
    assert found["architecture_summary"] == ROW.summary


def test_it_is_fitted_by_the_bare_name_of_its_class(toy: str, tmp_path: Path) -> None:
    (tmp_path / "scores").mkdir()
    for number in range(8):
        (tmp_path / f"scores/{number}.abc").write_text(write_abc(tune(number)))
    data = {"corpus": str(tmp_path / "scores"), "cache": str(tmp_path), "progress": False}
    content = {
        "model": {"class_path": "ToyModule", "init_args": {"width": 8}},
        "data": {
            "class_path": "ScoreDataModule",
            "init_args": {
                **data,
                "representation": {"class_path": "tests.zoo.toy_letters.Letters"},
            },
        },
        "trainer": {**QUIET, "max_steps": 2, "default_root_dir": str(tmp_path)},
    }
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(content))
    cli = fit(["--config", str(tmp_path / "toy.yaml"), "--model.warmup_steps", "3"])
    assert (cli.trainer.global_step, cli.model.config.width) == (2, 8)
    checkpoint = next(tmp_path.rglob("*.ckpt"))
    words = ["--model.width=8", "--trainer.max_steps=4", f"--ckpt_path={checkpoint}"]
    cli = fit(["--config", str(tmp_path / "toy.yaml"), *words])
    assert cli.trainer.global_step == 4
    main(["generate", str(checkpoint), "--output", str(tmp_path / "out"), "--quiet"])
    assert (tmp_path / "out/piece-1.txt").is_file()


def test_it_generates(toy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prompt").write_text("K:C")
    words = [toy, "--count", "2", "--prompt", str(tmp_path / "prompt"), "--quiet", "--json"]
    main(["generate", *words, "--output", str(tmp_path)])
    pieces = json.loads(capsys.readouterr().out)["pieces"]
    assert [Path(path).name for piece in pieces for path in piece["files"]] == [
        "piece-1.txt",
        "piece-2.txt",
    ]
    assert (tmp_path / "piece-1.txt").read_text().startswith("K:C")
    assert pieces[0]["tokens"] > 3
    assert pieces[0]["bits_per_token"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["generate", "toy", "--align"], "has no guard of bars"),
        (["generate", "toy", "--composer", "Bach"], "takes no labels"),
        (["generate", "toy", "--list-prompts"], "takes no labels"),
        (["continue", "toy", "{folder}/song.abc"], "does not continue scores"),
        (["compare", "toy", "--reward", "none"], "does not write performances"),
    ],
)
def test_what_it_cannot_do_is_refused(
    words: list[str], said: str, toy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "song.abc").write_text(write_abc(tune(1)))
    with pytest.raises(SystemExit) as stopped:
        main([word.format(folder=tmp_path) for word in words])
    assert stopped.value.code == 1
    assert said in capsys.readouterr().err
