"""Every architecture: what is saved comes back, through a folder and through the Hub."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import musiczoo
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.hub.registry import ARCHITECTURES, REPRESENTATIONS, representations_of, resolve
from tests.hub.models import MODELS


def test_every_architecture_of_the_table_is_tested() -> None:
    assert set(MODELS) == {name for name, row in ARCHITECTURES.items() if representations_of(row)}
    for name, make in MODELS.items():
        assert make().architecture == name
    for path in (*(row.module for row in ARCHITECTURES.values()), *REPRESENTATIONS.values()):
        assert isinstance(resolve(path), type)


@pytest.mark.parametrize("way", ["folder", "hub"])
@pytest.mark.parametrize("name", MODELS)
def test_what_is_saved_comes_back(
    name: str, way: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model = MODELS[name]()
    if way == "folder":
        save_checkpoint(model, tmp_path / "saved")
        again = musiczoo.load(f"local-dir:{tmp_path / 'saved'}")
    else:
        request.getfixturevalue("imitation_hub")
        musiczoo.publish(model, "me/model", licence="mit")
        again = musiczoo.load("hf-hub:me/model")
    assert type(again) is type(model)
    assert not again.training
    assert not again.net.training
    assert again.to_config() == model.to_config()
    assert type(again.representation) is type(model.representation)
    assert again.representation.to_config() == model.representation.to_config()
    assert again.record() == model.record()
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            again.net.state_dict().values(), model.net.state_dict().values(), strict=True
        )
    )
    batch = model.reference_batch()
    outputs = again.reference_outputs(batch)
    for key, value in model.reference_outputs(batch).items():
        assert torch.equal(outputs[key], value), key


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_rounds_once_and_loads_as_float32(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    before = {key: value.clone() for key, value in model.net.state_dict().items()}
    save_checkpoint(model, tmp_path / "half", dtype="bfloat16")
    save_checkpoint(model, tmp_path / "whole")
    assert all(torch.equal(value, before[key]) for key, value in model.net.state_dict().items())
    again = musiczoo.load(f"local-dir:{tmp_path / 'half'}")
    for key, value in again.net.state_dict().items():
        assert value.dtype == before[key].dtype
        assert torch.equal(value, before[key].to(torch.bfloat16).to(value.dtype)), key
    sizes = [
        (tmp_path / folder / "model.safetensors").stat().st_size for folder in ("half", "whole")
    ]
    assert sizes[0] < 0.6 * sizes[1]
    # Rounded weights are exact from then on.
    save_checkpoint(again, tmp_path / "again", dtype="bfloat16")
    assert (tmp_path / "again/model.safetensors").read_bytes() == (
        tmp_path / "half/model.safetensors"
    ).read_bytes()
