"""Texts as batches."""

from __future__ import annotations

import logging

import lightning
import pytest

from musiczoo.datamodules import TextDataModule
from musiczoo.models.causal_lm import TextLM
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.text_tokens import TextTokens
from tests.small_runs import QUIET


def test_every_text_comes_once_an_epoch_with_both_ends() -> None:
    texts = [f"text {n}" * (n + 1) for n in range(9)]
    tokens = TextTokens.bytes()
    data = TextDataModule(texts, tokens, batch_size=4, val_fraction=0.0)
    seen = []
    for batch in data.train_dataloader():
        for ids, length in zip(batch["ids"], batch["lengths"].tolist(), strict=True):
            assert (ids[0], ids[length - 1]) == (tokens.bos, tokens.eos)
            seen.append(tokens.decode(ids[:length]))
    assert sorted(seen) == sorted(texts)


def test_equal_texts_are_in_one_split() -> None:
    texts = [f"text {n % 10}" for n in range(40)]
    data = TextDataModule(texts, TextTokens.bytes(), val_fraction=0.3)
    parts = [{data.texts[place] for place in part} for part in data.splits]
    assert all(parts[:2])
    assert not parts[0] & parts[1]


def test_empty_texts_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    data = TextDataModule(["one", "", " \n"], TextTokens.bytes(), val_fraction=0.0)
    with caplog.at_level(logging.WARNING):
        data.setup()
    assert "2 empty texts" in caplog.text
    with pytest.raises(MusicZooError, match="no text"):
        TextDataModule(["", " "], TextTokens.bytes()).setup()


def test_a_language_model_is_fitted() -> None:
    model = TextLM(layers=1, hidden=16, heads=2, intermediate=24)
    data = TextDataModule(["one two", "three"] * 3, batch_size=2, val_fraction=0.4, progress=False)
    trainer = lightning.Trainer(**QUIET, max_epochs=1)
    trainer.fit(model, data)
    assert "val/bits_per_token" in trainer.callback_metrics
