"""Prompts as text for people, and as plain values for files."""

from __future__ import annotations

import json

import pytest
import torch

from musiczoo.callbacks.prompts.records import prompt_record, prompt_text, recorded_prompt
from musiczoo.music.recipes.labels import Labels


def test_prompts_for_people_to_read():
    assert prompt_text(torch.tensor([1, 0, 7]), ["PAD", "BOS"]) == "BOS PAD 7"
    assert prompt_text(torch.tensor([[1, 0]]), None) == "1 0"
    assert prompt_text(Labels("Traditional", "Here", "jig"), None) == "Traditional / Here / jig"
    assert prompt_text("Bar_None", ["PAD"]) == "Bar_None"
    assert prompt_text(None, None) == ""


@pytest.mark.parametrize(
    "prompt", [None, "", 'M:6/8\n"é"', Labels("Baroque", "Dvořák, Antonín", "Choral")]
)
def test_what_is_recorded_comes_back(prompt):
    record = json.loads(json.dumps(prompt_record(prompt)))
    found = recorded_prompt(record)
    assert found == prompt
    assert type(found) is type(prompt)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8])
def test_token_ids_come_back(dtype):
    ids = torch.tensor([[1, 5], [7, 9]], dtype=dtype)
    found = recorded_prompt(json.loads(json.dumps(prompt_record(ids))))
    assert found.dtype == dtype
    assert torch.equal(found, ids)


def test_other_prompts_are_named_by_what_they_are_and_not_by_where_they_lie():
    class Image:
        pass

    assert prompt_record(Image()) == prompt_record(Image())
    assert prompt_record(("a", "b", "c")) == {"repr": "('a', 'b', 'c')"}
    assert recorded_prompt(prompt_record(("a",))) == "('a',)"
