"""Labels of a data module's works as prompts."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from musiczoo.callbacks import FixedPrompts, WorkPrompts
from musiczoo.callbacks.prompts.works import checked_source, real_works
from musiczoo.models.prompts import Prompt
from musiczoo.music.errors import MusicZooError
from tests.callbacks.tiny_rounds import JIG, REEL, data


def known(*labels):
    return [Prompt(one.period, one.composer, one.instrumentation, 1) for one in labels]


def module(count=5):
    made = data(count)
    made.setup("fit")
    return made


def test_the_most_frequent_labels_come_first_and_rare_ones_not_at_all():
    source = WorkPrompts(module(), min_works=1)
    assert source.prompts == [JIG, REEL]  # 3 and 2 works
    assert WorkPrompts(module(), min_works=2).prompts == [JIG]
    assert sorted(source.draw(2, random.Random(0)), key=str) == [JIG, REEL]
    with pytest.raises(MusicZooError, match="more than 9 training works"):
        _ = WorkPrompts(module(), min_works=9).prompts


def test_labels_that_the_model_does_not_know_are_left_out():
    assert WorkPrompts(module(), 1, known(REEL)).prompts == [REEL]


def test_named_labels_are_checked_and_other_prompts_are_not():
    source = checked_source(FixedPrompts([JIG, "text"], "mine"), known(JIG))
    assert (source.name, source.prompts) == ("mine", [JIG, "text"])
    with pytest.raises(MusicZooError, match="not trained with"):
        checked_source(FixedPrompts([REEL]), known(JIG))
    drawn = SimpleNamespace(name="drawn", draw=lambda count, rng: [""] * count)
    assert checked_source(drawn, known(JIG)) is drawn


def test_real_works_are_those_of_the_prompts():
    one, other = (real_works(FixedPrompts(some), module()) for some in ([REEL, "text"], [JIG]))
    assert {labels: len(some) for labels, some in one.items()} == {REEL: 2}
    assert {labels: len(some) for labels, some in other.items()} == {JIG: 3}
    drawn = SimpleNamespace(name="drawn", draw=lambda count, rng: [])
    assert set(real_works(drawn, module())) == {JIG, REEL}
    assert real_works(FixedPrompts([JIG]), None) == {}
