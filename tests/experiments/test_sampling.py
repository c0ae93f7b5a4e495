from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace

import lightning
import pytest
import torch

from experiments import sampling as program
from musiczoo.datamodules import ScoreDataModule
from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.music.errors import MusicZooError

QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sampling")
    (folder / "songs").mkdir()
    for seed in range(24):
        rng = random.Random(seed)
        bars = rng.randrange(5, 9)
        voices = "".join(
            f"V:{voice}\n"
            + "".join("".join(rng.choices("CDEFGABcdefg", k=4)) + "|" for _ in range(bars))
            + "\n"
            for voice in (1, 2)
        )
        (folder / "songs" / f"{seed:02d}.abc").write_text(
            f"X:1\nM:4/4\nL:1/4\nK:{rng.choice(['C', 'G', 'Dm'])}\n{voices}"
        )
    return folder


@pytest.fixture(scope="module")
def checkpoint(place) -> Path:
    torch.manual_seed(0)
    module = BarStreamModule(
        patch_layers=1, char_layers=1, hidden=32, patch_length=64, heads=2, dropout=0.0
    )
    data = ScoreDataModule(
        str(place / "songs"), module.representation, val_fraction=0.25, progress=False, cache=place
    )
    trainer = lightning.Trainer(
        accelerator="cpu", max_steps=2, num_sanity_val_steps=0, limit_val_batches=0, **QUIET
    )
    trainer.fit(module, data)
    trainer.save_checkpoint(place / "tiny.ckpt")
    return place / "tiny.ckpt"


def words(place: Path, checkpoint: Path, *more: str) -> list[str]:
    split = [
        "--corpus",
        str(place / "songs"),
        "--exclude",
        "--val-fraction",
        "0.25",
        "--test-fraction",
        "0",
    ]
    settings = [
        "--prompts-from",
        "songs",
        "--voices",
        "2",
        "--pieces",
        "5",
        "--batch-size",
        "3",
        "--max-length",
        "24",
    ]
    return [str(checkpoint), *split, *settings, "--cache", str(place), *more]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_whole_row(place, checkpoint, capsys):
    output = place / "output"
    report = program.main(
        words(
            place,
            checkpoint,
            "--json",
            "--ngram-keys",
            "original",
            "finetune",
            "--output",
            str(output),
        )
    )
    document = json.loads(capsys.readouterr().out)
    assert (
        document
        == json.loads(json.dumps(report))
        == json.loads((output / "sampling.json").read_text())
    )
    assert len(document["reached"]) == 5
    assert document["sampling"] == {"top_k": 9, "top_p": 0.9, "min_p": 0.0, "temperature": 1.2}
    assert document["with_guard"]["bar_alignment_error"]["misaligned"] == 0
    assert sum(document["without_guard"]["stops"].values()) == 5
    assert len(list((output / "with_guard").glob("*.txt"))) == 5
    assert (output / "sampling.png").stat().st_size > 1000
    row = document["bits_per_character"]["songs"]
    assert row == document["bits_per_character"]["all"]

    # The same figures by other ways.
    module = BarStreamModule.load_from_checkpoint(checkpoint, weights_only=True).eval()
    data = ScoreDataModule(
        str(place / "songs"), module.representation, val_fraction=0.25, progress=False, cache=place
    )
    (logged,) = lightning.Trainer(accelerator="cpu", **QUIET).validate(module, data, verbose=False)
    assert row["net_per_target"] == pytest.approx(logged["val/bits_per_character"], rel=1e-5)
    assert row["works"] == len(data.splits.validation)
    patches = [
        patch
        for batch in data.val_dataloader()
        for piece in batch["patches"]
        for patch in piece.tolist()
    ]
    marks = sum(code in (1, 2) for patch in patches for code in patch if patch[-2:] != [1, 2])
    characters = sum(code > 2 for patch in patches for code in patch)
    assert row["characters"] == characters
    assert row["net"] == pytest.approx(
        row["net_per_target"] * (characters + marks) / characters, rel=1e-6
    )
    # A net after two steps knows less than counting does.
    assert row["ngram_original"] < row["net"]
    assert not document["reached"]["bits per character below the n-gram's in every source"]


@pytest.mark.slow
def test_what_cannot_be_measured(place, checkpoint):
    with pytest.raises(MusicZooError, match="no test works"):
        program.main(words(place, checkpoint, "--part", "test"))
    with pytest.raises(MusicZooError, match="7 voices"):
        program.main([*words(place, checkpoint, "--ngram-keys", "original"), "--voices", "7"])


def test_the_split_comes_from_options_then_the_checkpoint_then_the_recipe():
    model = SimpleNamespace(
        provenance={"training": [{"corpora": ["ryan"], "val_fraction": 0.2, "split_seed": 7}]}
    )
    options = program.parser().parse_args(["model", "--val-fraction", "0.4"])
    found = program.split_settings(model, options)
    # Options before the checkpoint before the recipe.
    assert (found["corpus"], found["val_fraction"], found["split_seed"], found["exclude"]) == (
        ["ryan"],
        0.4,
        7,
        ["aird"],
    )
