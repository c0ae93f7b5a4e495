"""Every recipe is read by the command line and trains."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import yaml

from musiczoo.recipes import recipes
from musiczoo.training import ZooCLI, fit

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "tests/fixtures/bar_stream/notagen_tiny.pth"


def write_scores(folder: Path) -> Path:
    folder.mkdir()
    for number in range(12):
        rng = random.Random(number)
        bars = " | ".join(" ".join(rng.choice("CDEFGABcdef") + "2" for _ in range(4)) for _ in range(6))
        (folder / f"tune{number}.abc").write_text(f"X:1\nM:4/4\nL:1/8\nK:G\n{bars} |]\n")
    return folder


@pytest.mark.parametrize("recipe", recipes())
def test_two_steps(recipe: str, tmp_path: Path) -> None:
    options = yaml.safe_load((ROOT / f"configs/{recipe}.yaml").read_text())["model"]["init_args"]
    # What is tiny here replaces sizes and places alone; all else is the recipe's.
    tiny = {
        "model": {"pretrained": str(WEIGHTS)} if options.get("pretrained") else {"size": None, "patch_layers": 1, "hidden": 32, "heads": 2},
        "data": {
            "corpus": str(write_scores(tmp_path / "scores")),
            "cache": str(tmp_path),
            "num_workers": 0,
            "max_length": 48,
            "exclude": "[]",
            "repeats": None,
        },
        "trainer": {
            "max_steps": 2,
            "logger": "false",
            "accelerator": "cpu",
            "devices": 1,
            "precision": "32-true",
            "default_root_dir": str(tmp_path),
        },
    }
    words = [f"--{group}.{name}={'null' if value is None else value}" for group, values in tiny.items() for name, value in values.items()]
    cli: ZooCLI = fit(["--config", recipe, *words, "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"])
    assert cli.trainer.global_step == 2
    assert [path.name for path in tmp_path.rglob("last.ckpt")]
    [group] = cli.trainer.optimizers[0].param_groups
    assert group["weight_decay"] == options["optimizer"]["init_args"]["weight_decay"]
    assert cli.model.net.config.dropout == options["dropout"]


def test_recipes_say_where_their_numbers_come_from() -> None:
    # Each quotation stands in the paper (its text is not part of the repository, so only the form is checked here), and each number of the
    # paper's recipes has a source beside or above it.
    for name in ("pretrain", "finetune"):
        lines = (ROOT / f"configs/bar_stream/{name}.yaml").read_text().splitlines()
        for place, line in enumerate(lines):
            if re.search(r": (true|false|[0-9.e-]+|\w*mixed|pretrain|finetune)( |$)", line):
                assert "#" in line or "#" in lines[place - 1] or "#" in lines[place - 2], f"{name}.yaml:{place + 1}: {line.strip()}"
