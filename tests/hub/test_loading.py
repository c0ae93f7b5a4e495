"""Opening by name and path, and the errors of bad files."""

import pickle
import shutil
from pathlib import Path

import pytest
import torch

from musiczoo.hub.loading import load
from musiczoo.hub.registry import ARCHITECTURES, ENTRIES, list_models, resolve
from musiczoo.music.errors import MusicZooError

TINY = Path(__file__).parents[1] / "fixtures" / "bar_stream" / "notagen_tiny.pth"


def test_names_are_unique_and_openers_exist():
    names = [row.name for row in list_models()]
    assert len(set(names)) == len(names)
    assert {
        "notagen",
        "notagen-small",
        "notagen-medium",
        "notagen-large",
        "notagen-finetuned",
        "notagen-rl",
        "notagen-x",
    } <= set(names)
    for row in ENTRIES:
        architecture = ARCHITECTURES[row.architecture]
        assert isinstance(resolve(architecture.module), type)
        assert callable(resolve(architecture.reads_published))


def test_load_from_a_path_with_settings():
    model = load("notagen", weights=TINY, dropout=0.0, seed=7)
    assert not model.training
    assert (model.net.config.hidden, model.seed) == (64, 7)
    assert {part.p for part in model.modules() if isinstance(part, torch.nn.Dropout)} == {0.0}


def test_load_by_name_takes_the_published_file(monkeypatch):
    asked = []

    def download(repository, filename, **options):
        asked.append((repository, filename))
        return str(TINY)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert load("notagen-small").net.config.patch_layers == 2
    assert asked == [
        (
            "ElectricAlexis/NotaGen",
            "weights_notagen_pretrain_p_size_16_p_length_2048_p_layers_12_c_layers_3_h_size_768_lr_0.0002_batch_8.pth",
        )
    ]


def test_offline_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MusicZooError, match="weights=PATH"):
        load("notagen-small")


def test_wrong_name_gets_the_nearest():
    with pytest.raises(MusicZooError, match="notagen-small"):
        load("notagen-smal")
    with pytest.raises(MusicZooError, match=r"weights=\"\.\.\.\""):
        load("notagen")


def changed(tmp_path, change):
    content = torch.load(TINY, weights_only=True)
    change(content)
    path = tmp_path / "changed.pth"
    torch.save(content, path)
    return path


def test_missing_surplus_and_misshapen_tensors_are_named(tmp_path):
    def harm(content):
        model = content["model"]
        del model["patch_level_decoder.base.h.1.mlp.c_fc.bias"]
        model["char_level_decoder.base.transformer.h.0.ln_1.weight"] = torch.zeros(3)
        model["surplus"] = torch.zeros(1)

    with pytest.raises(MusicZooError) as caught:
        load("notagen", weights=changed(tmp_path, harm))
    text = str(caught.value)
    assert "h.1.mlp.c_fc.bias is missing" in text
    assert "h.0.ln_1.weight has shape (3,) instead of (64,)" in text
    assert "surplus is not part of the model" in text
    assert "changed.pth" in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("model"), "no table of tensors"),
        (
            lambda c: c["model"].pop("patch_level_decoder.patch_embedding.weight"),
            "patch_embedding.weight is missing",
        ),
        (
            lambda c: c["model"].update(
                {"patch_level_decoder.patch_embedding.weight": torch.zeros(4)}
            ),
            "2 axes",
        ),
        (
            lambda c: c["model"].update(
                {"char_level_decoder.base.lm_head.weight": torch.zeros(128, 64)}
            ),
            "tied",
        ),
    ],
)
def test_other_damage(tmp_path, change, words):
    with pytest.raises(MusicZooError, match=words):
        load("notagen", weights=changed(tmp_path, change))


def test_old_attention_buffers_and_training_state_are_left_aside(tmp_path):
    def add(content):
        content["model"]["patch_level_decoder.base.h.0.attn.bias"] = torch.ones(
            1, 1, 8, 8, dtype=torch.bool
        )
        content["model"]["patch_level_decoder.base.h.0.attn.masked_bias"] = torch.tensor(-1e4)
        content.update(optimizer={"state": {}}, epoch=3, min_eval_loss=0.5)

    assert load("notagen", weights=changed(tmp_path, add)).net.config.hidden == 64


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_pickle_with_code_is_not_executed(tmp_path, how):
    canary, path = tmp_path / "canary", tmp_path / "bomb.pth"
    content = {"model": {"x": torch.zeros(1)}, "extra": Bomb(canary)}
    if how == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    with pytest.raises(MusicZooError, match=r"bomb\.pth"):
        load("notagen", weights=path)
    assert not canary.exists()


def test_missing_empty_truncated_and_binary_files(tmp_path):
    with pytest.raises(MusicZooError, match="no such weights file"):
        load("notagen", weights=tmp_path / "none.pth")
    for name, content in {
        "empty": b"",
        "text": b"hello",
        "words": b"X:1\nK:C\nCDEF|\n",
        "cut": TINY.read_bytes()[:5000],
        "noise": bytes(range(256)) * 40,
    }.items():
        path = tmp_path / f"{name}.pth"
        path.write_bytes(content)
        with pytest.raises(MusicZooError, match=name):
            load("notagen", weights=path)
    folder = tmp_path / "folder.pth"
    folder.mkdir()
    with pytest.raises(MusicZooError):
        load("notagen", weights=folder)
    shutil.copy(TINY, tmp_path / "good.pth")
    load("notagen", weights=tmp_path / "good.pth")
