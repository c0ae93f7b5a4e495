"""An adapter by flags: fitted, stopped, resumed, and spoken with."""

from pathlib import Path

import pytest
import torch

from musiczoo.commands.fit import fit
from musiczoo.commands.generate import run
from musiczoo.hub.opening import open_model
from musiczoo.models.adapters import adapter_state_dict

WEIGHTS = Path(__file__).parents[3] / "tests/fixtures/bar_stream/notagen_tiny.pth"


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    (tmp_path / "scores").mkdir()
    for number in range(6):
        body = "".join(
            f"V:{voice}\n" + " | ".join("CDEF"[(number * k) % 4] + "8" for k in range(4)) + " |]\n"
            for voice in (1, 2)
        )
        (tmp_path / f"scores/{number}.abc").write_text(
            f"X:1\nM:4/4\nL:1/8\nK:{'CGF'[number % 3]}\n{body}"
        )
    config = tmp_path / "config.yaml"
    config.write_text(f"""
model:
  class_path: musiczoo.models.bar_stream.BarStreamModule
  init_args:
    pretrained: {WEIGHTS}
    optimizer: {{class_path: torch.optim.SGD, init_args: {{lr: 0.1}}}}
data:
  class_path: musiczoo.datamodules.ScoreDataModule
  init_args: {{corpus: {tmp_path}/scores, batch_size: 2, val_fraction: 0.3, progress: false, cache: {tmp_path}/cache}}
trainer:
  accelerator: cpu
  max_steps: 2
  logger: false
  default_root_dir: {tmp_path}
  enable_progress_bar: false
  enable_model_summary: false
  num_sanity_val_steps: 0
  callbacks:
    - {{class_path: lightning.pytorch.callbacks.ModelCheckpoint, init_args: {{save_last: true, dirpath: {tmp_path}/ckpt}}}}
""")
    return [
        "--config",
        str(config),
        "--model.lora.rank",
        "2",
        "--model.lora.targets",
        "[attn.c_attn]",
    ]


def test_an_adapter_by_flags(words: list[str], tmp_path: Path) -> None:
    checkpoint = tmp_path / "ckpt/last.ckpt"
    cli = fit([*words, "--model.gradient_checkpointing", "true"])
    assert cli.model.net.char_level_decoder.transformer.gradient_checkpointing
    content = torch.load(checkpoint, weights_only=True)
    assert content["hyper_parameters"]["lora"]["targets"] == ["attn.c_attn"]
    assert all("lora_" in name for name in content["state_dict"])
    resumed = fit([*words, "--ckpt_path", str(checkpoint), "--trainer.max_steps", "4"])
    assert resumed.trainer.global_step == 4
    trained = adapter_state_dict(open_model(str(checkpoint)).net)
    for name, value in adapter_state_dict(resumed.model.net).items():
        assert torch.equal(value, trained[name]), name

    prompt = tmp_path / "prompt.abc"
    prompt.write_text("L:1/8\nM:4/4\nK:C\nV:1 treble\nV:2 bass\n")
    options = [
        "--prompt",
        str(prompt),
        "--align",
        "--max-bars",
        "2",
        "--formats",
        "abc",
        "--quiet",
        "--output",
        str(tmp_path),
    ]
    assert [path.name for path in run([str(checkpoint), *options])] == ["piece-1.abc"]
