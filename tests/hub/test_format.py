"""Formats: folders and Lightning checkpoints that version 0.1 wrote open as what they were."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from musiczoo.hub.checkpoint import open_checkpoint, read_checkpoint, save_checkpoint
from musiczoo.hub.format import FORMAT, upgraded
from musiczoo.hub.opening import open_model
from musiczoo.hub.registry import SHIPPED

OLD = Path(__file__).parents[1] / "fixtures" / "format_1"
NAMES = sorted(path.name for path in OLD.iterdir() if path.is_dir())
PROMPTS = [
    ["Baroque", "Bach, Johann Sebastian", "Choral", 370],
    ["Traditional", "O'Neill's Music of Ireland", "reel", 12],
]


def test_upgraded_renames_and_keeps_the_order() -> None:
    old = {"stage": "finetune", "prompts": PROMPTS, "provenance": {}}
    new = upgraded(old)
    assert list(new) == ["stage", "conditioning", "provenance"]
    assert new["conditioning"] == {"prompts": PROMPTS}
    assert upgraded(new) == new
    assert upgraded({"prompts": [], "stage": "x"}) == {"conditioning": {}, "stage": "x"}
    assert upgraded({"corpus": ["a"]}) == {"corpus": ["a"], "conditioning": {}}


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_format_1_opens_and_is_saved_as_format_2(name: str, tmp_path: Path) -> None:
    written = json.loads((OLD / name / "config.json").read_text())
    assert written["format"] == 1
    model = open_checkpoint(OLD / name)
    assert model.architecture == name
    assert model.stage == "finetune"
    assert model.provenance == written["provenance"]
    record = model.record()
    assert record["conditioning"] == ({"prompts": PROMPTS} if name == "bar_stream" else {})
    save_checkpoint(model, tmp_path / "new", dtype="bfloat16")
    content = json.loads((tmp_path / "new" / "config.json").read_text())
    assert content["format"] == FORMAT == 2
    assert "prompts" not in content
    for entry in ("architecture", "config", "representation", "stage", "provenance", "files"):
        assert content[entry] == written[entry], entry
    assert open_checkpoint(tmp_path / "new").record() == record


@pytest.mark.parametrize("name", NAMES)
def test_a_lightning_checkpoint_of_version_0_1_opens(name: str) -> None:
    model = open_model(str(OLD / f"{name}.ckpt"))
    other = open_checkpoint(OLD / name)
    assert type(model) is type(other)
    assert model.record() == other.record()
    assert model.to_config() == other.to_config()
    assert model.representation.to_config() == other.representation.to_config()
    weights = other.net.state_dict()
    for key, value in model.net.state_dict().items():
        assert torch.equal(value.to(torch.bfloat16).to(value.dtype), weights[key]), key


def test_settings_of_an_old_lightning_checkpoint_are_kept() -> None:
    model = open_model(str(OLD / "bar_stream.ckpt"))
    assert (model.warmup_steps, model.cooldown_steps, model.seed) == (3, 0, 5)
    assert {part.p for part in model.modules() if isinstance(part, torch.nn.Dropout)} == {0.2}
    assert open_model(str(OLD / "mel_aesthetics.ckpt")).real_logits == (0.5, 1.0, 1.5)


def test_the_fingerprint_does_not_depend_on_the_format(tmp_path: Path) -> None:
    folder = shutil.copytree(OLD / "bar_stream", tmp_path / "copy")
    old = read_checkpoint(folder)
    content = json.loads((folder / "config.json").read_text())
    content = {**upgraded(content), "format": 2}
    (folder / "config.json").write_text(json.dumps(content))
    new = read_checkpoint(folder)
    assert new.fingerprint == old.fingerprint
    assert dict(new.content) == dict(old.content)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*/config.json")), ids=str)
def test_what_comes_with_musiczoo_has_the_newest_format(path: Path) -> None:
    assert json.loads(path.read_text())["format"] == FORMAT
