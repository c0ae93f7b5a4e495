"""Every recipe is read by the command line and trains."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from musiczoo.commands.fit import ZooCLI, fit
from musiczoo.configs.recipes import recipes
from musiczoo.models.base.generative import Generated
from tests.zoo.readable import make_pieces_readable

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "tests/fixtures/bar_stream/notagen_tiny.pth"


def write_labelled(folder: Path) -> Path:
    """A folder with one folder of scores a label."""
    for label in ("jazz", "rock"):
        write_scores(folder, label)
    return folder


def write_scores(folder: Path, label: str = "") -> Path:
    (folder / label).mkdir(parents=True)
    for number in range(12):
        rng = random.Random(f"{label}{number}" if label else number)
        bars = " | ".join(
            " ".join(rng.choice("CDEFGABcdef") + "2" for _ in range(4)) for _ in range(6)
        )
        (folder / label / f"tune{number}.abc").write_text(f"X:1\nM:4/4\nL:1/8\nK:G\n{bars} |]\n")
    return folder


PREFERENCE = ("bar_stream/clamp_dpo", "bar_stream/clamp_dpo_small")
ROLLOUTS = ("phi3_remi/smart", "phi3_remi/smart_small")
# tests/configs/test_midi_llama.py fits it, on a file of questions.
QUESTIONS = ("midi_llama/one_fit",)
# What is tiny replaces sizes and places alone; all else is the recipe's.
SIZES = {
    "bar_stream": {"size": None, "patch_layers": 1, "hidden": 32, "heads": 2},
    "m3": {"layers": 1, "decoder_layers": 1, "hidden": 32, "heads": 2},
    "mel_aesthetics": {"layers": 1, "width": 16, "channels": 4},
    "musicbert": {"size": None, "layers": 1, "hidden": 32, "heads": 2, "positions": 1004},
    "phi3_remi": {"layers": 1, "hidden": 32, "heads": 2, "intermediate": 48},
}


def tiny(recipe: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The model's options in the recipe, and the words that make it small."""
    content = yaml.safe_load((ROOT / f"configs/{recipe}.yaml").read_text())
    options: dict[str, Any] = content["model"]["init_args"]
    room = recipe.partition("/")[0]
    data: dict[str, Any] = {
        "corpus": str(write_scores(folder / "scores")),
        "cache": str(folder),
        "num_workers": 0,
    }
    own: dict[str, dict[str, Any]] = {
        "mel_aesthetics": {"exclude": "[]", "repeats": None, "folder": None, "val_fraction": 0.3},
        "musicbert": {"max_length": 48, "test_fraction": 0.2, "val_fraction": 0.3},
        "phi3_remi": {
            "max_length": 48,
            "max_empty_bars": 1.0,
            "test_fraction": 0.2,
            "val_fraction": 0.3,
        },
    }
    if recipe == "musicbert/classify":
        data["source"] = str(write_labelled(folder / "labelled"))
        del data["corpus"]
    data |= own.get(room, {"max_length": 48, "exclude": "[]", "repeats": None})
    weights = {"bar_stream": str(WEIGHTS), "phi3_remi": "phi3-remi", "musicbert": "musicbert-small"}
    groups = {
        "model": {"pretrained": weights[room]} if options.get("pretrained") else SIZES[room],
        "data": data,
        "trainer": {
            "logger": "false",
            "accelerator": "cpu",
            "devices": 1,
            "precision": "32-true",
            "default_root_dir": str(folder),
            "enable_progress_bar": "false",
            "enable_model_summary": "false",
        },
    }
    words = [
        f"--{group}.{name}={'null' if value is None else value}"
        for group, values in groups.items()
        for name, value in values.items()
    ]
    return options, ["--config", recipe, *words]


def check(cli: ZooCLI, options: dict[str, Any], folder: Path, steps: int) -> None:
    assert cli.trainer.global_step == steps
    assert [path.name for path in folder.rglob("last.ckpt")]
    [group] = cli.trainer.optimizers[0].param_groups
    assert group["weight_decay"] == options["optimizer"]["init_args"]["weight_decay"]
    config = cli.model.net.config
    sizes = options.get("config", options)
    assert (config.dropout if hasattr(config, "dropout") else config.resid_pdrop) == sizes[
        "dropout"
    ]


@pytest.mark.parametrize(
    "recipe", [recipe for recipe in recipes() if recipe not in (*PREFERENCE, *ROLLOUTS, *QUESTIONS)]
)
def test_two_steps(recipe: str, tmp_path: Path) -> None:
    options, words = tiny(recipe, tmp_path)
    check(fit([*words, "--trainer.max_steps=2"]), options, tmp_path, 2)


def number_of_notes(pieces: Sequence[Generated]) -> list[float]:
    return [float(len(piece.text)) for piece in pieces]


@pytest.mark.parametrize("recipe", PREFERENCE)
def test_two_rounds_of_preference(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pieces_readable(monkeypatch)
    options, words = tiny(recipe, tmp_path)
    content = yaml.safe_load((ROOT / f"configs/{recipe}.yaml").read_text())
    rounds, checkpoints = content["trainer"]["callbacks"]
    small = {
        "rounds": 2,
        "steps": 2,
        "samples": 6,
        "fraction": 0.34,
        "plagiarism": None,
        "progress": False,
        "folder": str(tmp_path / "rounds"),
    }
    labels = {
        "period": "Baroque",
        "composer": "Bach, Johann Sebastian",
        "instrumentation": "Choral",
    }
    rounds["init_args"] |= {**small, "prompts": [labels], "reward": f"{__name__}.number_of_notes"}
    checkpoints["init_args"] |= {"dirpath": str(tmp_path / "checkpoints"), "every_n_train_steps": 1}
    (tmp_path / "callbacks.yaml").write_text(
        yaml.safe_dump({"trainer": {"callbacks": [rounds, checkpoints]}})
    )
    check(
        fit([*words[:2], "--config", str(tmp_path / "callbacks.yaml"), *words[2:]]),
        options,
        tmp_path,
        4,
    )
    assert (tmp_path / "rounds/round-002/policy/model.safetensors").is_file()


@pytest.mark.parametrize("recipe", ROLLOUTS)
def test_two_steps_of_rollouts(recipe: str, tmp_path: Path) -> None:
    options, words = tiny(recipe, tmp_path)
    # There is no data, and the published base model is not here.
    words = [word for word in words if not word.startswith("--data")]
    content = yaml.safe_load((ROOT / f"configs/{recipe}.yaml").read_text())
    rollouts, checkpoints = content["trainer"]["callbacks"]
    assert rollouts["init_args"].get("group_size", 8) == 8
    small = {
        "steps": 2,
        "groups": 2,
        "group_size": 2,
        "max_new_tokens": 6,
        "progress": False,
        "preview_every": 0,
    }
    rollouts["init_args"] |= {
        **small,
        "reward": f"{__name__}.number_of_notes",
        "folder": str(tmp_path / "rollouts"),
    }
    checkpoints["init_args"] |= {"dirpath": str(tmp_path / "checkpoints"), "every_n_train_steps": 1}
    (tmp_path / "callbacks.yaml").write_text(
        yaml.safe_dump({"trainer": {"callbacks": [rollouts, checkpoints]}})
    )
    cli = fit(
        [
            *words[:2],
            "--config",
            str(tmp_path / "callbacks.yaml"),
            *words[2:],
            "--model.cooldown_steps=2",
        ]
    )
    check(cli, options, tmp_path, 2)


def test_recipes_say_where_their_numbers_come_from() -> None:
    # Each quotation stands in the paper (its text is not part of the repository, so only the form
    # is checked here), and each number of the paper's recipes has a source beside or above it.
    for name in (
        "bar_stream/pretrain",
        "bar_stream/finetune",
        "bar_stream/clamp_dpo",
        "phi3_remi/pretrain",
        "phi3_remi/smart",
    ):
        lines = (ROOT / f"configs/{name}.yaml").read_text().splitlines()
        for place, line in enumerate(lines):
            if re.search(r": (true|false|[0-9.e-]+|\w*mixed|pretrain|finetune)( |$)", line):
                assert "#" in line or "#" in lines[place - 1] or "#" in lines[place - 2], (
                    f"{name}.yaml:{place + 1}: {line.strip()}"
                )
