from __future__ import annotations

import errno
import random
import shutil
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml

from musiczoo.cli import COMMANDS, main
from musiczoo.commands.fit import fit, validate
from musiczoo.commands.generate import run
from musiczoo.configs.recipes import plans, recipes, with_recipes
from musiczoo.music import read
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "tests/fixtures/bar_stream/notagen_tiny.pth"
TINY = {
    "patch_layers": 1,
    "char_layers": 1,
    "hidden": 32,
    "heads": 2,
    "patch_length": 64,
    "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}},
}


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    folder = tmp_path / "scores"
    folder.mkdir()
    for number in range(8):
        rng = random.Random(number)
        body = "".join(
            f"V:{voice}\n"
            + " | ".join(" ".join(rng.choice("CDEFGAB") + "2" for _ in range(4)) for _ in range(6))
            + " |]\n"
            for voice in (1, 2)
        )
        (folder / f"tune{number}.abc").write_text(
            f"X:1\nT:Tune {number}\nM:4/4\nL:1/8\nK:{rng.choice(['C', 'G', 'F'])}\n{body}"
        )
    return folder


@pytest.fixture
def config(tmp_path: Path, scores: Path) -> Path:
    settings = {
        "model": {"class_path": "musiczoo.models.bar_stream.BarStreamModule", "init_args": TINY},
        "data": {
            "class_path": "musiczoo.datamodules.ScoreDataModule",
            "init_args": {
                "corpus": str(scores),
                "batch_size": 2,
                "val_fraction": 0.3,
                "progress": False,
                "cache": str(tmp_path / "cache"),
            },
        },
        "trainer": {
            "accelerator": "cpu",
            "max_steps": 2,
            "logger": {
                "class_path": "lightning.pytorch.loggers.CSVLogger",
                "init_args": {"save_dir": str(tmp_path / "runs")},
            },
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "callbacks": [
                {
                    "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
                    "init_args": {"save_last": True, "dirpath": str(tmp_path / "ckpt")},
                }
            ],
        },
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_fit_validate_generate(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli = fit(["--config", str(config)])
    assert cli.trainer.global_step == 2
    checkpoint = tmp_path / "ckpt" / "last.ckpt"
    # A checkpoint holds tensors and plain values alone.
    assert torch.load(checkpoint, weights_only=True)["hyper_parameters"]["hidden"] == 32

    # The configuration that was saved makes the same model; SGD has none of AdamW's defaults in it.
    saved = next((tmp_path / "runs").rglob("config.yaml"))
    settings = yaml.safe_load(saved.read_text())
    assert settings["model"]["init_args"]["optimizer"]["init_args"]["weight_decay"] == 0
    cli = validate(["--config", str(saved), "--ckpt_path", str(checkpoint)])
    assert 0 < float(cli.trainer.callback_metrics["val/loss"]) < 10

    # A run continues where it stopped, in the same folder.
    cli = fit(["--config", str(config), "--ckpt_path", str(checkpoint), "--trainer.max_steps", "4"])
    assert cli.trainer.global_step == 4

    out = tmp_path / "out"
    words = [
        str(tmp_path / "ckpt"),
        "--prompt",
        str(write_prompt(tmp_path)),
        "--align",
        "--min-bars",
        "3",
        "--max-bars",
        "3",
    ]
    uncut = [
        "--temperature",
        "1",
        "--top-k",
        "0",
        "--top-p",
        "1",
        "--max-length",
        "4000",
        "--quiet",
    ]
    written = run([*words, *uncut, "--output", str(out), "--formats", "abc,mid", "--count", "2"])
    assert [path.name for path in written] == [
        "piece-1.abc",
        "piece-1.mid",
        "piece-2.abc",
        "piece-2.mid",
    ]
    tune = read(out / "piece-1.abc")
    assert isinstance(tune, Tune)
    assert len(tune.voices[0].bars) == 3
    for bars in zip(*(voice.bars for voice in tune.parsed), strict=True):
        assert len({bar.duration for bar in bars}) == 1
    assert "piece-2.mid" in capsys.readouterr().err.replace("\n", "")


def write_prompt(folder: Path) -> Path:
    path = folder / "prompt.abc"
    path.write_text("L:1/8\nM:4/4\nK:C\nV:1 treble\nV:2 bass\n[r:0/2][V:1]C8|[V:2]C,8|\n")
    return path


def test_the_same_seed_gives_the_same_piece(tmp_path: Path) -> None:
    words = [
        str(WEIGHTS),
        "--prompt",
        str(write_prompt(tmp_path)),
        "--align",
        "--formats",
        "abc",
        "--quiet",
        "--max-length",
        "60",
    ]
    texts = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        run([*words, "--output", str(tmp_path / name), "--seed", seed])
        texts.append((tmp_path / name / "piece-1.abc").read_text())
    assert texts[0] == texts[1] != texts[2]


def test_a_piece_that_cannot_be_read_is_kept_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Random weights without a prompt generate no ABC.
    code, message = failing(
        capsys,
        "generate",
        str(WEIGHTS),
        "--max-length",
        "20",
        "--quiet",
        "--output",
        str(tmp_path / "out"),
    )
    assert code == 1
    assert "No piece could be written" in message
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["piece-1.txt"]


def test_pretrained_weights_give_the_sizes(config: Path) -> None:
    cli = validate(["--config", str(config), "--model.pretrained", str(WEIGHTS)])
    assert cli.model.net.config.hidden == 64


def test_the_command_line_is_not_replaced_by_the_checkpoint(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(["--config", str(config)])
    with pytest.raises(SystemExit) as exit_:
        main(
            [
                "validate",
                "--config",
                str(config),
                "--model.hidden",
                "16",
                "--ckpt_path",
                str(tmp_path / "ckpt/last.ckpt"),
            ]
        )
    assert exit_.value.code == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("musiczoo: --ckpt_path: The checkpoint does not fit the model")


def failing(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as exit_:
        main(words)
    return int(exit_.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["generate", "no-such-model"], "no model named 'no-such-model'"),
        (["generate", "nowhere.ckpt"], "no such checkpoint"),
        (["generate", "{folder}"], "holds no checkpoint"),
        (["generate", "{folder}/text.ckpt"], "no readable PyTorch file"),
        (["generate", "{weights}", "--formats", "pdf"], "no format pdf"),
        (["generate", "{weights}", "--composer", "Bach"], "all three labels"),
        (["generate", "{weights}", "--prompt", "nowhere.abc"], "cannot be read"),
        (["generate", "{weights}", "--temperature", "-1"], "temperature"),
        (["generate", "{weights}", "--min-bars", "5", "--max-bars", "4"], "5 to 4 bars"),
        (["generate", "{weights}", "--device", "abacus"], "device"),
        (
            ["fit", "--config", "bar_stream/nothing"],
            "Give a file or a recipe: bar_stream/clamp_dpo, bar_stream/clamp_dpo_small, bar_stream/demo",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "text.ckpt" in " ".join(words):
        (tmp_path / "text.ckpt").write_text("this is no checkpoint")
    code, message = failing(
        capsys, *(word.format(folder=tmp_path, weights=WEIGHTS) for word in words)
    )
    assert code == 1
    assert said in message
    assert message.startswith("musiczoo: ")
    assert message.count("\n") == 1


def test_wrong_usage(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(capsys)[0] == 2
    code, message = failing(capsys, "compose")
    assert code == 2
    assert "there is no command 'compose'" in message
    code, message = failing(capsys, "fit", "--config", str(config), "--model.hiden", "3")
    assert code == 2
    assert "hiden" in message
    main(["--help"])
    assert "bar_stream/finetune" in capsys.readouterr().out


def test_a_checkpoint_with_code_in_it_is_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Code:
        def __reduce__(self):
            return (shutil.rmtree, (str(tmp_path / "victim"),))

    (tmp_path / "victim").mkdir()
    torch.save({"state_dict": {}, "hyper_parameters": Code()}, tmp_path / "evil.ckpt")
    code, message = failing(capsys, "generate", str(tmp_path / "evil.ckpt"))
    assert code == 1
    assert "nothing else is unpickled" in message
    assert (tmp_path / "victim").is_dir()


def test_recipes() -> None:
    assert sorted([*recipes(), *plans()]) == sorted(
        f"{path.parent.name}/{path.stem}" for path in (ROOT / "configs").glob("*/*.yaml")
    )
    assert (
        [name for name in plans() if not name.endswith("_plan")]
        == [name for name in recipes() if name.endswith("_plan")]
        == []
    )
    for name in ("bar_stream/finetune", "configs/bar_stream/finetune.yaml"):
        assert (
            Path(with_recipes(["fit", "--config", name])[2]).read_text()
            == (ROOT / "configs/bar_stream/finetune.yaml").read_text()
        )
    assert (
        with_recipes(["fit", f"--config={ROOT}/configs/bar_stream/demo.yaml"])[1]
        == f"--config={ROOT}/configs/bar_stream/demo.yaml"
    )
    with pytest.raises(MusicZooError):
        with_recipes(["fit", "--config=nothing"])


def test_every_command_is_known_and_named_in_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    usage = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"  {name} " in usage
        module, _, function = command.run.partition(":")
        assert callable(getattr(import_module(module), function))
        assert command.example in usage


def test_a_mistyped_command_gets_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["contin"])
    assert stopped.value.code == 2
    assert "Did you mean continue" in capsys.readouterr().err


def test_a_full_disk_is_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(words: list[str]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "piece-1.abc")

    monkeypatch.setattr("musiczoo.commands.generate.run", full)
    with pytest.raises(SystemExit) as stopped:
        main(["generate", "x"])
    assert stopped.value.code == 1
    assert capsys.readouterr().err.splitlines() == [
        "musiczoo: No space left on device: piece-1.abc Make room and run it again."
    ]
