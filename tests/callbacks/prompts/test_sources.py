"""Sources of prompts."""

from __future__ import annotations

import random

import pytest
import torch

from musiczoo.callbacks.prompts.remi import ProceduralPrompts
from musiczoo.callbacks.prompts.sources import FixedPrompts, as_prompt_source
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


def test_labels_of_yaml():
    labels = {"period": "Traditional", "composer": "Here", "instrumentation": "jig"}
    assert as_prompt_source([labels, "text"]).draw(2, random.Random(1)) in (
        [Labels(**labels), "text"],
        ["text", Labels(**labels)],
    )
    with pytest.raises(MusicZooError, match=r"of period is no labels\. Give period, composer"):
        as_prompt_source([{"period": "Traditional"}])
