"""M3 in its publisher's layout. The encoder is the fixture's, so that its features are those of the published code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from musiczoo.hub.loading import load
from musiczoo.hub.registry import entry
from musiczoo.models.m3 import M3Config, M3Net
from musiczoo.music.errors import MusicZooError

FIXTURES = Path(__file__).parents[2] / "fixtures" / "clamp2"


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    """The fixture's encoder with an untrained decoder under the published names."""
    clamp = torch.load(FIXTURES / "clamp2_tiny.pth", weights_only=True)["model"]
    encoder = {
        name.replace("music_model.", "encoder."): value
        for name, value in clamp.items()
        if name.startswith("music_model.")
    }
    torch.manual_seed(0)
    net = M3Net(M3Config(layers=2, decoder_layers=3, hidden=64))
    decoder = {
        name: value for name, value in net.state_dict().items() if name.startswith("decoder.")
    }
    head = {"decoder.base.lm_head.weight": decoder["decoder.base.transformer.wte.weight"]}
    buffers = {"decoder.base.transformer.h.0.attn.bias": torch.ones(1, 1, 64, 64, dtype=torch.bool)}
    return {**encoder, **decoder, **head, **buffers}


def saved(tensors: dict[str, torch.Tensor], folder: Path) -> Path:
    torch.save(
        {"model": tensors, "epoch": 3, "best_epoch": 2, "min_eval_loss": 0.5}, folder / "m3.pth"
    )
    return folder / "m3.pth"


def test_sizes_and_features(tensors, tmp_path):
    module = load("m3", weights=saved(tensors, tmp_path), strip_unit_length=False)
    sizes = {"layers": 2, "decoder_layers": 3, "hidden": 64, "patch_size": 64, "patch_length": 512}
    assert {name: module.to_config()[name] for name in sizes} == sizes
    assert not module.training
    clamp = torch.load(FIXTURES / "clamp2_tiny.pth", weights_only=True)["model"]
    for case in json.loads((FIXTURES / "clamp2_tiny.json").read_text())["cases"].values():
        projected = (
            module.features([case["text"]]) @ clamp["music_proj.weight"].T
            + clamp["music_proj.bias"]
        )
        torch.testing.assert_close(
            projected[0], torch.tensor(case["feature"]), rtol=1e-4, atol=1e-5
        )


def test_the_unit_length_is_left_out_as_in_training(tensors, tmp_path):
    path = saved(tensors, tmp_path)
    assert load("m3", weights=path).representation.strip_unit_length
    assert load("m3", weights=path, dropout=0.0, seed=7).seed == 7


def renamed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.replace("encoder.", "music_model.", 1): value for name, value in tensors.items()}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda model: {**model, "decoder.base.lm_head.weight": torch.ones(128, 64)},
            "lm_head.weight differs",
        ),
        (
            lambda model: {**model, "encoder.extra": torch.ones(1)},
            "encoder.extra is not part of the model",
        ),
        (
            lambda model: {
                name: value
                for name, value in model.items()
                if name != "encoder.patch_embedding.bias"
            },
            "patch_embedding.bias is mis",
        ),
        (
            lambda model: {
                name: value for name, value in model.items() if ".position_emb" not in name
            },
            "position_embeddings.weight is missing",
        ),
        (
            lambda model: {**model, "encoder.patch_embedding.bias": torch.ones(5)},
            r"has shape \(5,\) instead of \(64,\)",
        ),
        (renamed, 'load."clamp2"'),
    ],
)
def test_files_that_do_not_fit_are_told_what_is_wrong(tensors, tmp_path, change: Any, told: str):
    with pytest.raises(MusicZooError, match=told):
        load("m3", weights=saved(change(tensors), tmp_path))


def test_the_published_number_of_parameters():
    with torch.device("meta"):
        net = M3Net(M3Config())
    # The published file counts the decoder's output layer, tied to its embedding, once.
    assert entry("m3").parameters == sum(value.numel() for value in net.parameters())
