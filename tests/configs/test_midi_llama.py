"""The recipe of MIDI-LLaMA runs: both stages in one fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from musiczoo.commands.fit import fit
from musiczoo.models.midi_llama import MidiLlamaModule
from tests.configs.test_plans import make_questions
from tests.models.midi_llama.tiny_midi_llama import tune

pytestmark = pytest.mark.filterwarnings("ignore")


def test_one_fit(tmp_path: Path) -> None:
    from musiczoo.music.abc import write_abc

    (tmp_path / "scores").mkdir()
    for number in range(8):
        (tmp_path / f"scores/{number}.abc").write_text(write_abc(tune(number)))
    make_questions(tmp_path)
    words = [
        "--config=midi_llama/one_fit",
        f"--data.records={tmp_path}/questions.jsonl",
        f"--data.root={tmp_path}/scores",
        f"--data.cache={tmp_path}",
        "--data.val_fraction=0.2",
        "--trainer.accelerator=cpu",
        "--trainer.logger=false",
        "--trainer.enable_progress_bar=false",
        f"--trainer.default_root_dir={tmp_path}",
        "--trainer.max_epochs=2",
    ]
    cli = fit(words)
    model = cli.model
    assert isinstance(model, MidiLlamaModule)
    assert (model.config.segments, model.config.adapter["rank"]) == (1, 8)
    trained = {name for name, value in model.net.named_parameters() if value.requires_grad}
    assert any("lora_B" in name for name in trained)
    assert any(
        bool((value != 0).any())
        for name, value in model.net.state_dict().items()
        if "lora_B" in name
    )
    [group] = cli.trainer.optimizers[0].param_groups
    assert group["weight_decay"] == 0.0
