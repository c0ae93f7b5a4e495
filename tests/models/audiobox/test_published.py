"""Audiobox Aesthetics against the numbers that its published code gives for the same random weights, and what files may hold."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from musiczoo.hub.loading import load
from musiczoo.hub.registry import entry
from musiczoo.models.audiobox import AXES, AudioboxModule
from musiczoo.models.audiobox.published import config_of, renamed
from musiczoo.music.errors import MusicZooError

FIXTURES = Path(__file__).parents[2] / "fixtures" / "audiobox"
TINY = FIXTURES / "audiobox_tiny.safetensors"
TOLD = json.loads((FIXTURES / "audiobox_tiny.json").read_text())
CASES = TOLD["cases"]
SETTINGS = {
    "target_transform": TOLD["config"]["target_transform"],
    "proj_num_layer": 5,
    "normalize_embed": True,
}


def wave(samples: int) -> np.ndarray:
    """The clip that the fixture's numbers belong to, 16 kHz."""
    seconds = np.arange(samples) / 16_000
    chord = 0.3 * np.sin(2 * np.pi * 220 * seconds)
    vibrato = np.sin(2 * np.pi * 330 * seconds + 4 * np.sin(2 * np.pi * 1.5 * seconds))
    return (chord + 0.2 * vibrato * (0.5 + 0.5 * np.cos(2 * np.pi * 0.7 * seconds))).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> AudioboxModule:
    folder = tmp_path_factory.mktemp("audiobox")
    (folder / "config.json").write_text(json.dumps(SETTINGS))
    return load("audiobox-aesthetics", weights=shutil.copy(TINY, folder / "model.safetensors"))


@pytest.mark.parametrize("name", CASES)
def test_published_scores(module: AudioboxModule, name: str):
    ratings = module.ratings([wave(CASES[name]["samples"])], 16_000)
    assert (ratings.dtype, ratings.shape, ratings.requires_grad) == (torch.float64, (1, 4), False)
    wanted = [CASES[name]["score"][axis] for axis in AXES]
    torch.testing.assert_close(
        ratings[0], torch.tensor(wanted, dtype=torch.float64), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("name", CASES)
def test_published_windows(module: AudioboxModule, name: str):
    samples = torch.from_numpy(wave(CASES[name]["samples"]))
    with torch.no_grad():
        ratings = torch.cat([module.net(window[None]) for window in samples.split(160_000)])
    wanted = torch.tensor([CASES[name]["windows"][axis] for axis in AXES]).T
    torch.testing.assert_close(
        (ratings - module.net.targets[:, 0]) / module.net.targets[:, 1], wanted, rtol=0, atol=1e-5
    )


def test_published_layer_states(module: AudioboxModule):
    with torch.no_grad():
        states = module.net.states(torch.from_numpy(wave(160_000))[None])
    assert len(states) == len(TOLD["layer_states_frame0"]) == 3
    for state, first, last in zip(
        states, TOLD["layer_states_frame0"], TOLD["layer_states_frame_last"], strict=True
    ):
        assert state.shape == (1, TOLD["frames"], 48)
        torch.testing.assert_close(state[0, 0], torch.tensor(first), rtol=0, atol=1e-5)
        torch.testing.assert_close(state[0, -1], torch.tensor(last), rtol=0, atol=1e-5)


def test_sizes_are_read_from_the_tensors(module: AudioboxModule):
    assert module.net.config.to_dict() == {
        "layers": 2,
        "hidden": 48,
        "heads": 4,
        "feed_forward": 96,
        "channels": 32,
        "kernels": [10, 3, 3, 3, 3, 2, 2],
        "position_kernel": 128,
        "position_groups": 16,
        "buckets": 320,
        "depth": 5,
    }
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert module.loaded_from == {
        "name": "audiobox-aesthetics, model.safetensors",
        "licence": "cc-by-4.0",
    }


def checkpoint(path: Path, **more: Any) -> Path:
    """The fixture in the layout of the publisher's other file."""
    tensors = {f"model.{name}": value for name, value in load_file(TINY).items()}
    settings = {name: value for name, value in SETTINGS.items() if name != "target_transform"}
    torch.save(
        {
            "state_dict": tensors,
            "model_cfg": settings,
            "target_transform": SETTINGS["target_transform"],
            **more,
        },
        path,
    )
    return path


def test_the_other_published_file_is_the_same_model(module: AudioboxModule, tmp_path: Path):
    other = load("audiobox-aesthetics", weights=checkpoint(tmp_path / "checkpoint.pt"))
    assert other.net.state_dict().keys() == module.net.state_dict().keys()
    assert all(
        torch.equal(value, module.net.state_dict()[name])
        for name, value in other.net.state_dict().items()
    )
    assert torch.equal(other.net.targets, module.net.targets)


def test_loading_by_name_fetches_the_settings_of_the_same_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    revision = entry("audiobox-aesthetics").revision
    snapshot = tmp_path / revision
    snapshot.mkdir()
    asked = []

    def download(repository: str, filename: str, **options: Any) -> str:
        asked.append((repository, filename, options["revision"]))
        if filename == "config.json":
            (snapshot / filename).write_text(json.dumps(SETTINGS))
        else:
            shutil.copy(TINY, snapshot / filename)
        return str(snapshot / filename)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert load("audiobox-aesthetics").source == "audiobox-aesthetics"
    assert asked == [
        ("facebook/audiobox-aesthetics", name, revision)
        for name in ("model.safetensors", "config.json")
    ]
    assert len(revision) == 40


def test_the_published_sizes_have_the_published_tensors():
    from musiczoo.models.audiobox.net import AudioboxConfig, AudioboxNet

    with torch.device("meta"):
        net = AudioboxNet(AudioboxConfig(), dict.fromkeys(AXES, (0.0, 1.0)))
    state = net.state_dict()
    assert (len(state), sum(value.numel() for value in state.values())) == (324, 103_859_112)
    assert config_of(state, TINY) == AudioboxConfig()
    assert entry("audiobox-aesthetics").parameters == 103_859_112


def test_opening_draws_no_random_numbers(tmp_path: Path):
    path = checkpoint(tmp_path / "checkpoint.pt")
    before = torch.get_rng_state()
    AudioboxModule.from_audiobox(path)
    assert torch.equal(torch.get_rng_state(), before)


def changed(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    tensors = load_file(TINY)
    change(tensors)
    save_file(
        {name: value.contiguous() for name, value in tensors.items()},
        folder / "changed.safetensors",
    )
    (folder / "config.json").write_text(json.dumps(SETTINGS))
    return folder / "changed.safetensors"


_LAYER = "wavlm_model.encoder.layers"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.pop("proj_layer.PQ.12.bias"), r"proj_layer\.PQ\.12\.bias is missing"),
        (lambda t: t.pop("layer_weights.CU"), r"layer_weights\.CU is missing"),
        (
            lambda t: t.pop(f"{_LAYER}.1.self_attn.grep_a"),
            r"layers\.1\.attention\.gru_rel_pos_const is missing",
        ),
        (lambda t: t.pop("wavlm_model.encoder.pos_conv.0.weight_v"), "original1 is missing"),
        (
            lambda t: t.pop("wavlm_model.feature_extractor.conv_layers.3.0.weight"),
            r"conv_layers\.3\.conv\.weight is missing",
        ),
        (lambda t: t.update({"surplus": torch.ones(1)}), "surplus is not part of the model"),
        (
            lambda t: t.update({"wavlm_model.surplus": torch.ones(1)}),
            r"wavlm_model\.surplus is not part of the model",
        ),
        (
            lambda t: t.update({f"{_LAYER}.1.fc1.weight": torch.ones(95, 48)}),
            r"shape \(95, 48\) instead of \(96, 48\)",
        ),
        (
            lambda t: t.update({"layer_weights.CE": torch.ones(13)}),
            r"layer_weights\.CE has shape \(13,\) instead of \(3,\)",
        ),
        (
            lambda t: t.update(
                {f"{_LAYER}.0.self_attn.relative_attention_bias.weight": torch.ones(5)}
            ),
            "2 axes were expected",
        ),
        (
            lambda t: t.update(
                {f"{_LAYER}.0.self_attn.relative_attention_bias.weight": torch.ones(320, 5)}
            ),
            "no 5 heads",
        ),
        (
            lambda t: t.update(
                {"wavlm_model.feature_extractor.conv_layers.2.0.weight": torch.ones(32, 32, 4)}
            ),
            "not WavLM's",
        ),
        (
            lambda t: t.update({"wavlm_model.encoder.pos_conv.0.weight_v": torch.ones(48, 3, 256)}),
            "not WavLM's",
        ),
        (lambda t: t.clear() or t.update({"weight": torch.ones(1)}), "is missing"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], None], told: str
):
    with pytest.raises(MusicZooError, match=told) as caught:
        load("audiobox-aesthetics", weights=changed(tmp_path, change))
    assert caught.value.path.endswith("changed.safetensors")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("{}", "target_transform, CE"),
        ('{"target_transform": {"CE": {"mean": 1, "std": 2}}}', "target_transform, CU"),
        ('{"target_transform": {"CE": {"mean": "x", "std": 2}}}', "mean and standard deviation"),
        ('{"target_transform": {"CE": {"mean": NaN, "std": 2}}}', "must be numbers"),
        ('{"target_transform": 5}', "mean and standard deviation"),
        ("[]", "holds a list"),
        ("{", "no JSON file"),
        (
            json.dumps({**SETTINGS, "normalize_embed": False}),
            "normalize_embed = False are not known",
        ),
        (
            json.dumps({**SETTINGS, "model_cfg": {"use_weighted_layer_sum": False}}),
            "use_weighted_layer_sum = False",
        ),
        (None, "cannot be read"),
    ],
)
def test_settings_that_do_not_fit_are_told(tmp_path: Path, settings: str | None, told: str):
    if settings is not None:
        (tmp_path / "config.json").write_text(settings)
    with pytest.raises(MusicZooError, match=told) as caught:
        load("audiobox-aesthetics", weights=shutil.copy(TINY, tmp_path / "model.safetensors"))
    assert caught.value.path.endswith("config.json")


def test_nothing_but_tensors_is_unpickled(tmp_path: Path):
    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps({"state_dict": Path("x")}))
    with pytest.raises(MusicZooError, match=r"evil\.pt"):
        load("audiobox-aesthetics", weights=path)
    with pytest.raises(MusicZooError, match="more than tensors"):
        load("audiobox-aesthetics", weights=checkpoint(tmp_path / "code.pt", more=Path("x")))
    torch.save({"state_dict": {}}, path)
    with pytest.raises(MusicZooError, match="no table of tensors"):
        load("audiobox-aesthetics", weights=path)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(TINY.read_bytes()[:100_000])
    with pytest.raises(MusicZooError, match="no readable safetensors file"):
        load("audiobox-aesthetics", weights=broken)


def test_an_adapter_is_refused(module: AudioboxModule):
    with pytest.raises(MusicZooError, match="lora"):
        module.add_lora({"rank": 2})


def test_names_that_are_not_wavlm_stay():
    assert renamed("proj_layer.CE.0.weight") == "proj_layer.CE.0.weight"
    assert (
        renamed("wavlm_model.layer_norm.bias") == "wavlm_model.feature_projection.layer_norm.bias"
    )
    assert renamed("wavlm_model.encoder.layer_norm.bias") == "wavlm_model.encoder.layer_norm.bias"
