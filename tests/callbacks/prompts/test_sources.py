"""Sources of prompts."""

from __future__ import annotations

import random

import pytest
import torch

from musiczoo.callbacks.prompts.remi import ProceduralPrompts
from musiczoo.callbacks.prompts.sources import FixedPrompts, as_prompt_source, prompt_text
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels


def test_fixed_prompts_come_once_before_any_comes_again():
    source = FixedPrompts(["a", "b", "c"])
    for seed in range(20):
        assert len({*source.draw(2, random.Random(seed))}) == 2
        drawn = source.draw(8, random.Random(seed))
        assert sorted(drawn[:3]) == sorted(drawn[3:6]) == ["a", "b", "c"]
        assert drawn == source.draw(8, random.Random(seed))
    assert len({tuple(source.draw(3, random.Random(seed))) for seed in range(20)}) > 3


def test_sources_and_lists():
    source = ProceduralPrompts()
    assert as_prompt_source(source) is source
    assert as_prompt_source(["", ""]).draw(2, random.Random(0)) == ["", ""]
    ids = [torch.tensor([1, 4]), torch.tensor([1])]
    assert {len(prompt) for prompt in as_prompt_source(ids).draw(2, random.Random(0))} == {1, 2}
    for wrong in ("one", ids[0]):
        with pytest.raises(MusicZooError, match=r"Write \[prompt\]"):
            as_prompt_source(wrong)
    with pytest.raises(MusicZooError, match="no prompts"):
        as_prompt_source([])


def test_prompts_for_people_to_read():
    assert prompt_text(torch.tensor([1, 0, 7]), ["PAD", "BOS"]) == "BOS PAD 7"
    assert prompt_text(torch.tensor([[1, 0]]), None) == "1 0"
    assert prompt_text(Labels("Traditional", "Here", "jig"), None) == "Traditional / Here / jig"
    assert prompt_text("Bar_None", ["PAD"]) == "Bar_None"
