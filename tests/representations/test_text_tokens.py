"""Texts come back as they were, whatever they hold, and the tokens are those that were trained."""

from __future__ import annotations

import json
import pickle
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from musiczoo.music.errors import MusicZooError
from musiczoo.representations.text_tokens import BOS, EOS, TextTokens

TEXTS = ["X:1\nK:C\nCDEF GABc|", "cBAG FEDC|]\n", "Bar 3 is a sequence of bar 1."] * 3
BYTES = TextTokens.bytes()
TRAINED = TextTokens.train(TEXTS, vocabulary=280)
BOTH = pytest.mark.parametrize("tokens", [BYTES, TRAINED], ids=["bytes", "trained"])


@BOTH
@given(text=st.text())
@settings(max_examples=100, deadline=None)
def test_any_text_comes_back(tokens: TextTokens, text: str) -> None:
    ids = tokens.encode(text)
    assert tokens.decode(ids) == tokens.text(ids) == text
    assert ids[0] == BOS
    assert ids[-1] == EOS
    assert tokens.encode_prompt(text).equal(ids[:-1])
    assert not {0, BOS, EOS} & set(ids[1:-1].tolist())


@BOTH
def test_special_names_and_rare_signs_in_a_text_are_text(tokens: TextTokens) -> None:
    rng = random.Random(0)
    every = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    for text in (
        "⟨BOS⟩ C ⟨EOS⟩⟨PAD⟩",
        "\x00\r\n\t  a",
        "日本語🎵",
        "".join(map(chr, rng.choices(every, k=5000))),
    ):
        assert tokens.decode(tokens.encode(text)) == text


def test_bytes_are_those_of_utf_8() -> None:
    text = "é🎵|\n"
    assert len(BYTES.vocabulary) == 259
    assert BYTES.encode(text).tolist() == [BOS, *(3 + byte for byte in text.encode()), EOS]
    assert BYTES.decode([BOS, 3 + 0xC3]) == "\ufffd"


def test_training_learns_merges_and_is_the_same_again() -> None:
    assert len(TRAINED.vocabulary) == 280
    assert len(TRAINED.encode(TEXTS[0])) < len(BYTES.encode(TEXTS[0]))
    assert TextTokens.train(TEXTS, vocabulary=280).to_config() == TRAINED.to_config()
    # Nothing is left to merge.
    assert len(TextTokens.train(["aa"], vocabulary=1000).vocabulary) == 260
    # Not even a text full of special names makes one of them a merge.
    named = TextTokens.train(["⟨BOS⟩"] * 50, vocabulary=400)
    assert named.decode(named.encode("⟨BOS⟩")) == "⟨BOS⟩"
    with pytest.raises(MusicZooError, match="no room for all bytes"):
        TextTokens.train(TEXTS, vocabulary=258)


@BOTH
def test_the_settings_are_json_and_hold_everything(tokens: TextTokens) -> None:
    config = json.loads(json.dumps(tokens.to_config()))
    again = TextTokens.from_config(config)
    assert again.to_config() == config == tokens.to_config()
    assert again.vocabulary == tokens.vocabulary
    assert again.encode(TEXTS[2]).equal(tokens.encode(TEXTS[2]))
    pickled = pickle.loads(pickle.dumps(tokens))
    assert pickled.encode("⟨BOS⟩ x").equal(tokens.encode("⟨BOS⟩ x"))
    assert TextTokens.bytes(max_length=9).to_config()["max_length"] == 9


def test_transformers_reads_the_same_tokens() -> None:
    theirs = PreTrainedTokenizerFast(tokenizer_object=TRAINED.tokenizer)
    found = theirs(TEXTS[0], add_special_tokens=False)["input_ids"]
    assert TRAINED.encode(TEXTS[0])[1:-1].tolist() == found


def test_files_and_what_is_wrong_with_them(tmp_path) -> None:
    file = tmp_path / "tokenizer.json"
    content = TRAINED.to_config()["tokenizer"]
    short = {"max_length": 4, "stride": 0, "strategy": "LongestFirst", "direction": "Right"}
    # What transformers was last called with does not count.
    file.write_text(json.dumps({**content, "truncation": short}))
    found = TextTokens.from_file(file, bos=EOS, eos=EOS)
    assert found.encode(TEXTS[0])[1:].equal(TRAINED.encode(TEXTS[0])[1:])
    assert found.encode("")[0] == EOS
    for text, message in (("{", "cannot be read"), ("{}", "no tokenizer")):
        file.write_text(text)
        with pytest.raises(MusicZooError, match=message):
            TextTokens.from_file(file, bos=1, eos=2)
    with pytest.raises(MusicZooError, match="cannot be read"):
        TextTokens.from_file(tmp_path / "none.json", bos=1, eos=2)
    with pytest.raises(MusicZooError, match="no ids 1 and 900"):
        TextTokens(content, eos=900)
    with pytest.raises(MusicZooError, match="surrogate"):
        BYTES.encode("a\ud800")


def test_crops_and_batches() -> None:
    whole = BYTES.encode("abcdefghij")
    assert BYTES.encode("abcdefghij", max_length=5).equal(whole[:5])
    limited = TextTokens.bytes(max_length=5)
    rng = random.Random(0)
    crops = {tuple(limited.encode("abcdefghij", rng=rng).tolist()) for _ in range(60)}
    assert crops == {tuple(whole[k : k + 5].tolist()) for k in range(8)}
    batch = BYTES.collate([whole, whole[:3]])
    assert batch["ids"].dtype == torch.int64
    assert batch["ids"].shape == (2, 12)
    assert batch["lengths"].tolist() == [12, 3]
    assert not batch["ids"][1, 3:].any()
