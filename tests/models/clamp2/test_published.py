"""CLaMP 2 against the features that its published code gives for the same random weights, and what files may hold."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import musiczoo.models.clamp2.net
from musiczoo.hub.loading import load
from musiczoo.hub.registry import entry
from musiczoo.music.errors import MusicZooError

FIXTURES = Path(__file__).parents[2] / "fixtures" / "clamp2"
TINY = FIXTURES / "clamp2_tiny.pth"
CASES = json.loads((FIXTURES / "clamp2_tiny.json").read_text())["cases"]


@pytest.fixture(scope="module")
def module():
    return load("clamp2", weights=TINY)


def assert_published(features: torch.Tensor, names: list[str]) -> None:
    wanted = torch.tensor([CASES[name]["feature"] for name in names])
    assert ((features - wanted).norm(dim=1) / wanted.norm(dim=1)).max() < 1e-5
    torch.testing.assert_close(features, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_published_features(module, name: str):
    features = module.features([CASES[name]["text"]])
    assert (features.dtype, features.requires_grad) == (torch.float32, False)
    assert_published(features, [name])


def test_a_batch_gives_the_same_numbers(module):
    names = ["mtf", "long_abc", "abc", "mtf", "abc"]
    assert_published(module.features([CASES[name]["text"] for name in names]), names)
    assert module.features([]).shape == (0, 64)


def test_training_mode_changes_nothing_and_stays(module):
    module.net.train()
    assert_published(module.features([CASES["abc"]["text"]]), ["abc"])
    assert module.net.training
    module.net.eval()


def test_sizes_are_read_from_the_tensors(module):
    assert module.to_config() == {
        "layers": 2,
        "hidden": 64,
        "patch_size": 64,
        "patch_length": 512,
        "dropout": 0.1,
        "heads": 0,
        "dim": 64,
        "text": None,
    }
    assert not module.training
    assert module.loaded_from["name"] == "clamp2, clamp2_tiny.pth"


def changed(folder: Path, change: Any) -> Path:
    content = torch.load(TINY, weights_only=True)
    content["model"] = change(content["model"])
    torch.save(content, folder / "changed.pth")
    return folder / "changed.pth"


def as_clamp3(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    renamed = {name.replace("music_", "symbolic_"): value for name, value in tensors.items()}
    return {
        **renamed,
        "audio_model.embeddings.position_embeddings.weight": torch.zeros(3, 5),
        "audio_proj.bias": torch.zeros(5),
    }


def test_clamp3_leaves_sound_aside_and_strips_the_unit_length(tmp_path):
    path = changed(tmp_path, as_clamp3)
    module = load("clamp3", weights=path)
    assert_published(module.features([CASES["mtf"]["text"]]), ["mtf"])
    assert_published(
        load("clamp3", weights=path, strip_unit_length=False).features([CASES["abc"]["text"]]),
        ["abc"],
    )
    without = CASES["abc"]["text"].replace("L:1/8\n", "")
    stripped = module.features([CASES["abc"]["text"], without])
    torch.testing.assert_close(stripped[0], stripped[1])
    torch.testing.assert_close(stripped[1], load("clamp2", weights=TINY).features([without])[0])
    torch.testing.assert_close(
        stripped[0],
        load("clamp2", weights=TINY, strip_unit_length=True).features([CASES["abc"]["text"]])[0],
    )
    assert (stripped[0] - torch.tensor(CASES["abc"]["feature"])).abs().max() > 1e-3


def test_the_half_for_text_is_neither_built_nor_read(tmp_path, monkeypatch):
    class Forbidden:
        def __init__(self, *arguments: object) -> None:
            raise AssertionError("the half for text was built")

    monkeypatch.setattr(musiczoo.models.clamp2.net, "XLMRobertaModel", Forbidden)
    path = changed(
        tmp_path,
        lambda model: {
            **model,
            "text_model.embeddings.word_embeddings.weight": torch.zeros(2_000_000, 4),
        },
    )
    copied = []
    # What is read of the file is copied into the net; everything else stays a window on the disk.
    monkeypatch.setattr(
        "musiczoo.hub.published.fill",
        lambda net, tensors, path: copied.extend(tensors) or net.load_state_dict(dict(tensors)),
    )
    assert_published(load("clamp2", weights=path).features([CASES["abc"]["text"]]), ["abc"])
    assert copied
    assert not [name for name in copied if not name.startswith(("music_model.", "music_proj."))]


def without(name: str) -> Any:
    return lambda model: {key: value for key, value in model.items() if key != name}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without("music_proj.bias"), "music_proj.bias is missing"),
        (
            without("music_model.patch_embedding.weight"),
            "music_model.patch_embedding.weight is missing",
        ),
        (
            without("music_model.base.encoder.layer.1.output.dense.bias"),
            r"layer\.1\.output\.dense\.bias is missing",
        ),
        (
            lambda model: {**model, "music_proj.scale": torch.ones(1)},
            "music_proj.scale is not part of the model",
        ),
        (
            lambda model: {**model, "lyrics.weight": torch.ones(1)},
            "lyrics.weight is not part of the model",
        ),
        (
            lambda model: {**model, "music_proj.bias": torch.ones(3)},
            r"music_proj.bias has shape \(3,\) instead of \(64,\)",
        ),
        (lambda model: {**model, "music_proj.weight": torch.ones(3)}, "2 axes were expected"),
        (
            lambda model: {
                f"encoder.{key.removeprefix('music_model.')}": value for key, value in model.items()
            },
            'load."m3"',
        ),
        (as_clamp3, 'load."clamp3"'),
        (lambda model: {}, 'no table of tensors under "model"'),
    ],
)
def test_files_that_do_not_fit_are_told_what_is_wrong(tmp_path, change, told):
    with pytest.raises(MusicZooError, match=told) as caught:
        load("clamp2", weights=changed(tmp_path, change))
    assert caught.value.path.endswith("changed.pth")


def test_nothing_but_tensors_is_unpickled(tmp_path):
    path = tmp_path / "evil.pth"
    with open(path, "wb") as stream:
        pickle.dump({"model": Path("x")}, stream)
    with pytest.raises(MusicZooError, match=r"evil\.pth"):
        load("clamp2", weights=path)
    torch.save({"model": {"music_proj.bias": Path("x")}}, path)
    with pytest.raises(MusicZooError, match="more than tensors"):
        load("clamp2", weights=path)
    path.write_bytes(TINY.read_bytes()[:100_000])
    with pytest.raises(MusicZooError, match="no readable PyTorch file"):
        load("clamp2", weights=path)
    with pytest.raises(MusicZooError, match="no such weights file"):
        load("clamp2", weights=tmp_path / "absent.pth")


def test_text_that_holds_no_music_is_named(module):
    with pytest.raises(MusicZooError, match=r"text 1.*no music"):
        module.features([CASES["abc"]["text"], "%Baroque\n"])


def test_names_of_the_published_files():
    assert entry("clamp2").filename.startswith(
        "weights_clamp2_h_size_768_lr_5e-05_batch_128_scale_1_t_length_128_t_model_FacebookAI_xlm-"
    )
    assert entry("clamp3").filename.count("_c2_") == 1
    assert {entry(name).repository for name in ("clamp2", "m3")} == {"sander-wood/clamp2"}
    # Counted from the sizes: music half, its projection, text half, its projection.
    with torch.device("meta"):
        net = musiczoo.models.clamp2.net.Clamp2Net(musiczoo.models.clamp2.net.Clamp2Config())
    music = sum(value.numel() for value in net.parameters())
    assert entry("clamp2").parameters == music + 278_043_648 + 768 * 768 + 768
