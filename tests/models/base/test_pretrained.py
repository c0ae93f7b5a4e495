"""What a module starts from when it is given ``pretrained``."""

from __future__ import annotations

from pathlib import Path

import torch

import musiczoo
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.models.adapters import LoRA
from musiczoo.models.bar_stream import BarStreamModule


def test_an_adapted_model_is_started_from_by_what_it_computes(tmp_path: Path) -> None:
    base = BarStreamModule(patch_layers=1, char_layers=1, hidden=32, patch_length=24, heads=2)
    save_checkpoint(base, tmp_path / "base")
    tuned = musiczoo.load(f"local-dir:{tmp_path / 'base'}", lora=LoRA(rank=2))
    with torch.no_grad():
        for name, parameter in tuned.net.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    save_checkpoint(tuned, tmp_path / "tuned")
    started = BarStreamModule(pretrained=f"local-dir:{tmp_path / 'tuned'}").eval()
    assert started.lora is None
    batch = base.reference_batch()
    torch.testing.assert_close(started.log_probs(batch).values, tuned.log_probs(batch).values)
