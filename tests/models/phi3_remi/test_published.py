"""Weights in transformers' layout: equal to transformers' own forward pass, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Phi3Config, Phi3ForCausalLM

import musiczoo
from musiczoo.models.phi3_remi import Phi3RemiModule
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.remi import Remi


def folder(path: Path, **settings: Any) -> Phi3ForCausalLM:
    """A folder as transformers and MidiTok save it."""
    torch.manual_seed(7)
    sizes: dict[str, Any] = {
        "vocab_size": 413,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 80,
        "original_max_position_embeddings": 80,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    net = Phi3ForCausalLM(Phi3Config(**{**sizes, **settings})).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    net.save_pretrained(path)
    Remi.smart().tokenizer.save(path / "tokenizer.json")
    return net


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"num_key_value_heads": 2},
        {"tie_word_embeddings": True},
        {
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 500.0,
                "partial_rotary_factor": 0.5,
            }
        },
        {"rms_norm_eps": 1e-3},
    ],
    ids=str,
)
def test_forward_equals_transformers(tmp_path: Path, settings: dict[str, Any]) -> None:
    net = folder(tmp_path, **settings)
    module = musiczoo.load("smart", weights=tmp_path)
    batch = module.reference_batch()
    ids, lengths = batch["ids"], batch["lengths"]
    mask = torch.arange(ids.shape[1]) < lengths.unsqueeze(1)
    with torch.no_grad():
        logits = net(ids, attention_mask=mask.long()).logits / 1.3
        ours = module.log_probs(batch, temperature=1.3)
    theirs = logits.log_softmax(-1)[:, :-1].gather(2, ids[:, 1:].unsqueeze(2)).squeeze(2)
    assert ours.mask.equal(mask[:, 1:])
    torch.testing.assert_close(ours.values, theirs * ours.mask, rtol=1e-5, atol=1e-5)


def test_a_file_and_bin_weights_open_as_the_folder_does(tmp_path: Path) -> None:
    net = folder(tmp_path)
    by_file = Phi3RemiModule.from_published(tmp_path / "model.safetensors")
    torch.save(net.state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    by_bin = Phi3RemiModule.from_published(tmp_path)
    for name, value in net.state_dict().items():
        assert by_file.net.state_dict()[name].equal(value)
        assert by_bin.net.state_dict()[name].equal(value)
    assert by_file.representation.vocabulary == Remi.smart().vocabulary


def test_greedy_continuation_equals_transformers(tmp_path: Path) -> None:
    from musiczoo.models.sampling import GREEDY

    net = folder(tmp_path)
    module = Phi3RemiModule.from_published(tmp_path)
    prompt = module.reference_batch()["ids"][:1, :7]
    theirs = net.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=40, do_sample=False
    )[0]
    [ours] = module.generate([prompt[0]], GREEDY, max_new_tokens=40)
    assert ours.tokens.equal(theirs)


def test_half_precision_weights_are_computed_in_float32(tmp_path: Path) -> None:
    folder(tmp_path)
    tensors = {
        name: value.bfloat16() for name, value in load_file(tmp_path / "model.safetensors").items()
    }
    save_file(tensors, tmp_path / "model.safetensors")
    assert {
        parameter.dtype for parameter in Phi3RemiModule.from_published(tmp_path).net.parameters()
    } == {torch.float32}


def test_an_old_tokenizer_gives_the_same_tokens(tmp_path: Path) -> None:
    folder(tmp_path)
    file = tmp_path / "tokenizer.json"
    content = json.loads(file.read_text())
    content["miditok_version"] = "3.0.4"
    content["config"]["pitch_range"] = [21, 109]
    file.write_text(json.dumps(content))
    assert (
        Phi3RemiModule.from_published(tmp_path).representation.vocabulary == Remi.smart().vocabulary
    )


def _without(name: str) -> Any:
    def change(path: Path) -> None:
        tensors = load_file(path / "model.safetensors")
        del tensors[name]
        save_file(tensors, path / "model.safetensors")

    return change


def _config(**values: Any) -> Any:
    def change(path: Path) -> None:
        told = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps({**told, **values}))

    return change


def _tokenizer(**values: Any) -> Any:
    def change(path: Path) -> None:
        told = json.loads((path / "tokenizer.json").read_text())
        (path / "tokenizer.json").write_text(json.dumps({**told, **values}))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("model.layers.1.mlp.down_proj.weight"), "down_proj.weight is missing"),
        (_config(model_type="llama"), "of a llama"),
        (_config(rope_parameters={"rope_type": "longrope"}), "scaled"),
        (_config(num_attention_heads=5), "cannot be built"),
        (_config(hidden_act="gelu"), "gelu"),
        (lambda path: (path / "config.json").write_text("{"), "cannot be read"),
        (lambda path: (path / "config.json").unlink(), "cannot be read"),
        (lambda path: (path / "model.safetensors").unlink(), "no weights"),
        (
            lambda path: (path / "model.safetensors").write_bytes(b"nothing"),
            "no readable safetensors",
        ),
        (_tokenizer(tokenization="TSD"), "not REMI"),
        (_tokenizer(_model="{}"), "merged"),
        (
            _tokenizer(config={"pitch_range": [21, 90], "special_tokens": ["PAD", "BOS", "EOS"]}),
            "has 413 tokens",
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, change: Any, message: str) -> None:
    folder(tmp_path)
    change(tmp_path)
    with pytest.raises(MusicZooError, match=message):
        Phi3RemiModule.from_published(tmp_path)


def test_a_folder_is_no_weights_of_other_models(tmp_path: Path) -> None:
    with pytest.raises(MusicZooError, match="no such weights file"):
        musiczoo.load("notagen", weights=tmp_path)
