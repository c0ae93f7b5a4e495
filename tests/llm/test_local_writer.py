"""A model of transformers in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from musiczoo.llm.local_writer import LocalWriter
from musiczoo.llm.schema import Schema
from musiczoo.llm.writer import NoAnswer
from musiczoo.music.errors import MusicZooError

ANSWER = '{"word": "waltz"}'
SAY = [{"role": "user", "content": "Say it."}]


class Word(Schema):
    word: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of bytes that has learned to write one answer after the last byte of a request."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*alphabet, "</s>"])}
    plain = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    plain.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="</s>")
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=1024,
        eos_token_id=vocabulary["</s>"],
        bos_token_id=None,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    ids = torch.tensor([tokenizer("}\n\n" + ANSWER)["input_ids"] + [vocabulary["</s>"]]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    path = tmp_path_factory.mktemp("model")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_it_answers_and_keeps_its_answers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LocalWriter(folder, cache=tmp_path, max_tokens=40)
    # So small a model has learned its answer after three bytes alone.
    monkeypatch.setattr(LocalWriter, "_prompt", lambda self, turns: "}\n\n")
    assert writer.ask(SAY, Word).value.word == "waltz"
    assert writer.usage.calls == 1
    assert writer.usage.answer_tokens == len(ANSWER) + 1
    again = LocalWriter(folder, cache=tmp_path, max_tokens=40)
    assert again.ask(SAY, Word).cached
    assert again.usage.calls == 0


def test_nonsense_is_no_answer(folder: Path) -> None:
    writer = LocalWriter(folder, max_tokens=4, attempts=2)
    with pytest.raises(NoAnswer, match="2 attempts"):
        writer.ask(SAY, Word)


def test_requests_that_are_too_long_are_errors(folder: Path) -> None:
    with pytest.raises(MusicZooError, match="the model reads 1024"):
        LocalWriter(folder).ask([{"role": "user", "content": "x" * 2000}], Word)


def test_templates_of_chats_are_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = LocalWriter(folder)
    assert writer._prompt([{"role": "user", "content": "a"}]) == "a\n\n"
    writer._tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}!"
    )
    assert writer._prompt([{"role": "user", "content": "a"}]) == "<user>a!"


def test_a_model_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MusicZooError, match="cannot be loaded"):
        LocalWriter(tmp_path)
