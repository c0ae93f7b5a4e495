"""M3 and CLaMP 2 are built alike: sizes, settings, pieces of every kind, weights to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import musiczoo
from musiczoo.models.base.capabilities import Encodes
from musiczoo.models.clamp2 import Clamp2Config, Clamp2Module
from musiczoo.models.m3 import M3Config, M3Module
from musiczoo.models.m3.published import open_m3
from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi import to_score
from musiczoo.music.midi.text_format import midi_text
from musiczoo.representations.m3_patches import M3Patches, abc_text

TUNE = "X:1\nM:3/4\nL:1/8\nK:Gm\nG2 ^F2 G2|A3 B c2-|c2 B4|]\n"
SMALL: dict[str, dict[str, Any]] = {
    "m3": {"layers": 1, "decoder_layers": 1, "hidden": 32, "heads": 2, "patch_length": 64},
    "clamp2": {"layers": 1, "hidden": 32, "heads": 2, "dim": 16, "patch_length": 64},
}
KINDS = {"m3": (M3Module, M3Config), "clamp2": (Clamp2Module, Clamp2Config)}
each_encoder = pytest.mark.parametrize("name", KINDS)


def build(name: str, **settings: Any) -> Any:
    torch.manual_seed(1)
    return KINDS[name][0](**SMALL[name], **settings)


@each_encoder
def test_sizes_are_given_whole_or_one_by_one(name: str) -> None:
    kind, config = KINDS[name]
    whole = config(**SMALL[name])
    for module in (kind(whole), kind(config(), **SMALL[name]), kind(**SMALL[name])):
        assert module.config == whole == module.net.config
        assert config.from_dict(module.to_config()) == whole
        assert module.hparams["hidden"] == 32
    with pytest.raises(TypeError, match="width"):
        kind(width=3)


@each_encoder
def test_features_of_tunes_scores_and_texts(name: str) -> None:
    module = build(name)
    assert isinstance(module, Encodes)
    assert module.writes is None
    assert module.prompt_kinds == ()
    assert module.length_unit == "patch"
    tune = read_abc(TUNE)
    score = to_score(tune)
    found = module.features([tune, score, abc_text(tune), midi_text(score)])
    assert found.shape == (4, 32 if name == "m3" else 16)
    torch.testing.assert_close(found[:2], found[2:])
    assert not torch.allclose(found[0], found[1])
    with pytest.raises(MusicZooError, match=r"text 1.*no music"):
        module.features([tune, "%Baroque\n"])


@each_encoder
def test_lines_of_unit_length_by_setting_or_representation(name: str) -> None:
    default = name == "m3"
    assert build(name).representation.strip_unit_length is default
    assert build(name, strip_unit_length=not default).representation.strip_unit_length != default
    given = M3Patches(64, 48, not default)
    assert build(name, representation=given).representation is given
    changed = build(name, representation=given, strip_unit_length=default).representation
    assert changed.to_config() == {
        "patch_size": 64,
        "max_length": 48,
        "strip_unit_length": default,
    }
    with pytest.raises(MusicZooError, match="does not fit the net"):
        build(name, representation=M3Patches(32, 48))


@each_encoder
def test_nothing_is_drawn_while_a_checkpoint_is_opened(name: str, tmp_path: Path) -> None:
    from musiczoo.hub.checkpoint import open_checkpoint, save_checkpoint

    save_checkpoint(build(name), tmp_path / "saved")
    before = torch.get_rng_state()
    module = open_checkpoint(tmp_path / "saved", seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert module.seed == 4


def test_m3_starts_from_weights_by_name() -> None:
    shipped = musiczoo.load("m3-small")
    module = M3Module(pretrained="m3-small", dropout=0.3, lora={"rank": 2})
    assert module.source == "m3-small"
    assert module.loaded_from == shipped.loaded_from
    assert module.record() == shipped.record()
    assert module.to_config() == {**shipped.to_config(), "dropout": 0.3}
    assert module.lora.rank == 2
    torch.testing.assert_close(module.features([TUNE]), shipped.features([TUNE]))
    with pytest.raises(MusicZooError, match="another architecture"):
        M3Module(pretrained="phi3-remi")


def test_m3_files_are_read_by_load_and_by_open_m3(tmp_path: Path) -> None:
    net = build("m3").net
    torch.save({"model": net.state_dict()}, tmp_path / "m3.pth")
    for module in (
        musiczoo.load("m3", weights=tmp_path / "m3.pth", strip_unit_length=False, seed=3),
        open_m3(tmp_path / "m3.pth", strip_unit_length=False, seed=3),
    ):
        assert not module.training
        assert (module.seed, module.representation.strip_unit_length) == (3, False)
        assert module.source == str(tmp_path / "m3.pth")
        # Heads are not to be read from tensors: by the rule there is one of these 32.
        assert module.config == M3Config(1, 1, 32, 64, 64)
        for name, value in net.state_dict().items():
            assert torch.equal(module.net.state_dict()[name], value), name
