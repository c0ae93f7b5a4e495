"""The record of a module: prompts and provenance, through fits, Lightning's checkpoints and fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch

import musiczoo
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.hub.opening import open_model
from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.prompts import Prompt
from musiczoo.representations.bar_stream import BarStreamPatches


def tiny(**settings: Any) -> BarStreamModule:
    torch.manual_seed(0)
    return BarStreamModule(
        **{
            "patch_layers": 1,
            "char_layers": 1,
            "hidden": 32,
            "heads": 2,
            "patch_length": 64,
            **settings,
        }
    )


class Data(lightning.LightningDataModule):
    def __init__(self, batch: Any, corpus: str, prompts: list[list[Any]]) -> None:
        super().__init__()
        self.batch, self.corpus, self.prompts = batch, corpus, prompts

    def provenance(self) -> dict[str, Any]:
        return {"corpus": [self.corpus], "prompts": self.prompts}

    def train_dataloader(self) -> Any:
        return torch.utils.data.DataLoader([self.batch] * 2, batch_size=None)


def fit(model: Any, data: Any, steps: int, ckpt_path: Path | None = None) -> lightning.Trainer:
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = lightning.Trainer(accelerator="cpu", max_steps=steps, **quiet)
    trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=True)
    return trainer


def test_the_record_of_a_model(tmp_path: Path) -> None:
    model = tiny()
    model.representation = BarStreamPatches(patch_size=16, max_length=64, omit_rests=False)
    batch = model.reference_batch()
    reels = Data(
        batch, "reels", [["Traditional", "Ryan", "reel", 3], ["Traditional", "Ryan", "jig", 1]]
    )
    trainer = fit(model, reels, 2)
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    [entry] = model.provenance["training"]
    assert (entry["steps"], entry["epochs"], entry["corpus"]) == (2, 1, ["reels"])
    assert "AdamW" in entry["optimizer"]
    assert model.prompts == (
        Prompt("Traditional", "Ryan", "reel", 3),
        Prompt("Traditional", "Ryan", "jig", 1),
    )
    assert model.stage == "pretrain"

    # A Lightning checkpoint tells the same, and the representation.
    opened = open_model(str(tmp_path / "two.ckpt"))
    assert opened.record() == model.record()
    assert not opened.representation.omit_rests

    # A fit that is resumed is one fit.
    resumed = tiny()
    fit(resumed, reels, 4, tmp_path / "two.ckpt")
    assert [entry["steps"] for entry in resumed.provenance["training"]] == [4]
    assert resumed.stage == "pretrain"

    # One that starts from a checkpoint folder adds to what that tells.
    folder = save_checkpoint(resumed, tmp_path / "saved")
    tuned: Any = musiczoo.load(f"local-dir:{folder}")
    fit(
        tuned,
        Data(batch, "jigs", [["Traditional", "Ryan", "jig", 5], ["Baroque", "Bach", "Choral", 2]]),
        1,
    )
    assert tuned.stage == "finetune"
    assert [(entry["corpus"], entry["steps"]) for entry in tuned.provenance["training"]] == [
        (["reels"], 4),
        (["jigs"], 1),
    ]
    assert tuned.provenance["base"]["name"] == "local-dir:saved"
    assert {prompt.instrumentation: prompt.count for prompt in tuned.prompts} == {
        "reel": 3,
        "jig": 5,
        "Choral": 2,
    }
    text = (save_checkpoint(tuned, tmp_path / "tuned") / "README.md").read_text()
    assert "Started from `local-dir:saved`" in text
    assert str(tmp_path) not in text + (tmp_path / "tuned/config.json").read_text()


def test_a_checkpoint_from_before_the_record(tmp_path: Path) -> None:
    model = tiny()
    fit(model, Data(model.reference_batch(), "reels", []), 1).save_checkpoint(tmp_path / "new.ckpt")
    content = torch.load(tmp_path / "new.ckpt", weights_only=True)
    del content["musiczoo"]
    torch.save(content, tmp_path / "old.ckpt")
    assert open_model(str(tmp_path / "old.ckpt")).prompts == ()
