"""The text side with a small random XLM-RoBERTa and a tokenizer made here."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from musiczoo.hub.checkpoint import open_checkpoint, save_checkpoint
from musiczoo.hub.loading import load
from musiczoo.models.clamp2 import Clamp2Module
from musiczoo.music.errors import MusicZooError

TINY = Path(__file__).parents[2] / "fixtures" / "clamp2" / "clamp2_tiny.pth"
WORDS = [
    "a",
    "slow",
    "sad",
    "waltz",
    "in",
    "minor",
    "for",
    "piano",
    "and",
    "strings",
    "une",
    "danse",
    "lente",
]


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    """A folder as a download of XLM-RoBERTa leaves it, without weights."""
    folder = tmp_path_factory.mktemp("xlm-roberta")
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(
        WordLevel({word: index for index, word in enumerate([*marks, *WORDS])}, unk_token="<unk>")
    )
    tokenizer.add_special_tokens(marks)
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        cls_token="<s>",
        unk_token="<unk>",
        pad_token="<pad>",
    ).save_pretrained(folder)
    config = XLMRobertaConfig(
        vocab_size=len(marks) + len(WORDS),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=140,
        type_vocab_size=1,
        pad_token_id=1,
    )
    config.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def reference(text_model):
    torch.manual_seed(3)
    model = XLMRobertaModel(XLMRobertaConfig.from_pretrained(text_model)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture(scope="module")
def weights(tmp_path_factory, reference):
    """The published layout, whole: the fixture's half for music and a half for text."""
    path = tmp_path_factory.mktemp("clamp2") / "whole.pth"
    content = torch.load(TINY, weights_only=True)
    content["model"] |= {
        f"text_model.{name}": value for name, value in reference.state_dict().items()
    }
    content["model"]["text_proj.weight"] = torch.randn(
        64, 48, generator=torch.Generator().manual_seed(1)
    )
    # A buffer that old versions of transformers stored.
    content["model"]["text_model.embeddings.position_ids"] = torch.arange(140)[None]
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def module(weights, text_model):
    return load("clamp2", weights=weights, text_model=text_model)


def ids(text: str) -> list[int]:
    return [0, *(5 + WORDS.index(word) if word in WORDS else 3 for word in text.split()), 2]


@torch.no_grad()
def wanted(module, reference, segments: list[tuple[list[int], int]]) -> torch.Tensor:
    """transformers' own model, one segment at a time, without padding."""
    total = torch.zeros(64)
    for tokens, weight in segments:
        total += (
            weight
            * module.net.text_proj(reference(torch.tensor([tokens])).last_hidden_state.mean(dim=1))[
                0
            ]
        )
    return total / sum(weight for _, weight in segments)


def test_features_of_text_are_projected_means_whatever_the_batch(module, reference):
    texts = ["a slow sad waltz", "piano", "une danse lente in minor", "a fugue"]
    features = module.text_features(texts)
    assert (features.shape, features.dtype, features.requires_grad) == (
        (4, 64),
        torch.float32,
        False,
    )
    for text, feature in zip(texts, features, strict=True):
        torch.testing.assert_close(
            feature, wanted(module, reference, [(ids(text), 1)]), rtol=1e-4, atol=1e-5
        )


def test_long_text_is_cut_into_segments_of_128_tokens(module, reference):
    rng = random.Random(0)
    text = " ".join(rng.choice(WORDS) for _ in range(298))
    tokens = ids(text)
    segments = [(tokens[:128], 128), (tokens[128:256], 128), (tokens[-128:], 44)]
    torch.testing.assert_close(
        module.text_features([text, "piano"])[0],
        wanted(module, reference, segments),
        rtol=1e-4,
        atol=1e-5,
    )


def test_lines_are_joined_by_the_separator_each_once(module, reference):
    tokens = [*ids("slow waltz")[:-1], 2, *ids("for piano")[1:]]
    feature = module.text_features(["slow waltz\n\nfor piano\nslow waltz\n"])[0]
    torch.testing.assert_close(
        feature, wanted(module, reference, [(tokens, 1)]), rtol=1e-4, atol=1e-5
    )


def test_both_sides_come_from_one_file(module):
    case = json.loads((TINY.parent / "clamp2_tiny.json").read_text())["cases"]["abc"]
    torch.testing.assert_close(
        module.features([case["text"]])[0], torch.tensor(case["feature"]), rtol=1e-4, atol=1e-5
    )


def test_a_checkpoint_folder_keeps_the_text_side(module, text_model, tmp_path):
    save_checkpoint(module, tmp_path / "folder")
    again = open_checkpoint(tmp_path / "folder", text_model=text_model)
    assert again.text_features(["a slow waltz"]).equal(module.text_features(["a slow waltz"]))
    with pytest.raises(MusicZooError, match="text_model=FOLDER"):
        open_checkpoint(tmp_path / "folder").text_features(["a slow waltz"])


def test_what_is_missing_is_named(module, weights, text_model, tmp_path):
    with pytest.raises(MusicZooError, match="no half for text"):
        Clamp2Module.from_clamp2(TINY, text_model=text_model)
    with pytest.raises(MusicZooError, match="text_model=FOLDER"):
        Clamp2Module.from_clamp2(TINY).text_features(["piano"])
    with pytest.raises(MusicZooError, match=r"no config\.json"):
        Clamp2Module.from_clamp2(weights, text_model=tmp_path)
    with pytest.raises(MusicZooError, match=r"text 1.*blank"):
        module.text_features(["piano", " \n"])
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(MusicZooError, match="bert model"):
        Clamp2Module.from_clamp2(weights, text_model=tmp_path)
    (tmp_path / "config.json").write_text((text_model / "config.json").read_text())
    with pytest.raises(MusicZooError, match="no tokenizer"):
        Clamp2Module.from_clamp2(weights, text_model=tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(MusicZooError, match="tokenizer cannot be opened"):
        Clamp2Module.from_clamp2(weights, text_model=tmp_path)
    for file in text_model.glob("token*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((text_model / "config.json").read_text())
    for size, told in (
        (7, "18 tokens and the text encoder 7"),
        (19, r"word_embeddings.weight has shape \(18, 48\) instead of \(19, 48\)"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**settings, "vocab_size": size}))
        with pytest.raises(MusicZooError, match=told):
            Clamp2Module.from_clamp2(weights, text_model=tmp_path)
