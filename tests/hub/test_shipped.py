"""The checkpoints that come with musiczoo match their cards, and can be fine-tuned."""

from __future__ import annotations

import random
from pathlib import Path

import lightning
import pytest
import torch
from safetensors import safe_open

import musiczoo
from musiczoo.datamodules import ScoreDataModule
from musiczoo.hub.checkpoint import read_checkpoint
from musiczoo.hub.registry import SHIPPED
from musiczoo.metrics import BarAlignmentError
from musiczoo.models.adapters import LoRA, base_state_dict
from musiczoo.models.bar_stream.guards import BarDurations
from musiczoo.music.recipes.labels import Labels

CHORALE = Labels("Baroque", "Bach, Johann Sebastian", "Choral")
NAMES = [path.parent.name for path in sorted(SHIPPED.glob("*/config.json"))]


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_checkpoint_is_small_whole_and_described(name: str) -> None:
    checkpoint = read_checkpoint(SHIPPED / name)
    assert checkpoint.size <= 12e6
    with safe_open(SHIPPED / name / "model.safetensors", framework="pt") as file:
        keys = file.keys()  # the reader is no mapping
        assert {file.get_tensor(key).dtype for key in keys} == {torch.bfloat16}
    card = (SHIPPED / name / "README.md").read_text()
    assert checkpoint.card.figures
    assert all(figure.metric in card for figure in checkpoint.card.figures)
    assert all(source.licence for source in checkpoint.card.data)
    # Loading computes the stored outputs again and compares them.
    model = musiczoo.load(name)
    assert model.provenance["training"]
    assert not any(
        "/" in str(value) for fit in model.provenance["training"] for value in fit.values()
    )


def test_bar_stream_writes_aligned_chorales_with_its_guard() -> None:
    model = musiczoo.load("bar-stream")
    assert CHORALE in {
        Labels(prompt.period, prompt.composer, prompt.instrumentation) for prompt in model.prompts
    }
    results = model.generate(
        [CHORALE] * 2,
        max_length=150,
        generator=torch.Generator().manual_seed(1),
        guard=BarDurations(),
    )
    alignment = BarAlignmentError()
    alignment.update(results)
    assert alignment.bars >= 4
    assert alignment.compute() == 0
    # Another source than the demo's collection was never among its prompts.
    assert not any("Aird" in prompt.composer for prompt in model.prompts)


def write_tunes(folder: Path, count: int) -> None:
    """Tunes in a manner of their own: runs up and down a scale in quavers."""
    folder.mkdir()
    scale = "CDEFGABcdefgab"
    for number in range(count):
        rng = random.Random(number)
        bars = []
        for _ in range(12):
            start, step = rng.randrange(3, 10), rng.choice([1, -1])
            bars.append("".join(scale[(start + step * place) % len(scale)] for place in range(8)))
        text = f"X:1\nT:Run {number}\nM:4/4\nL:1/8\nK:{rng.choice(['C', 'G', 'D', 'F'])}\n{' | '.join(bars)} |]\n"
        (folder / f"run{number}.abc").write_text(text)


@pytest.mark.slow
@pytest.mark.parametrize("lora", [None, LoRA(rank=8)])
def test_bar_stream_learns_from_a_folder_of_twenty_files(tmp_path: Path, lora: LoRA | None) -> None:
    write_tunes(tmp_path / "mine", 20)
    model = musiczoo.load(
        "bar-stream", lora=lora, optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=1e-3)
    )
    before = {name: value.clone() for name, value in base_state_dict(model.net).items()}
    data = ScoreDataModule(
        tmp_path / "mine",
        model.representation,
        batch_size=4,
        keys="finetune",
        cache=tmp_path / "cache",
        progress=False,
    )
    trainer = lightning.Trainer(
        max_epochs=6,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
    )
    [start] = trainer.validate(model, data, verbose=False)
    trainer.fit(model, data)
    [end] = trainer.validate(model, data, verbose=False)
    assert end["val/loss"] < 0.95 * start["val/loss"]
    after = base_state_dict(model.net)
    unchanged = all(torch.equal(value, after[name]) for name, value in before.items())
    assert unchanged == (lora is not None)
