"""The examples in the docstrings, the room as an attribute, and which parts of a reward render."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
import torch

import musiczoo
import musiczoo.rewards
from musiczoo.music.sound.rendering import Renderer
from musiczoo.rewards import AudioReward, Mixture, Scores
from musiczoo.rewards.audio import listeners, renderers

MODULES = [module.name for module in pkgutil.iter_modules(musiczoo.rewards.__path__)]
WITH_EXAMPLES = {"audio", "base", "features", "mixture"}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    failed, tried = doctest.testmod(importlib.import_module(f"musiczoo.rewards.{name}"))
    assert failed == 0
    assert tried > 0 or name not in WITH_EXAMPLES


def test_room_is_an_attribute():
    assert all(hasattr(musiczoo.rewards, name) for name in musiczoo.rewards.__all__)
    assert musiczoo.rewards.MelAesthetics.name == "mel_aesthetics"


class Quiet(AudioReward):
    def __init__(self, name: str, renderer: Renderer) -> None:
        super().__init__(renderer)
        self.name = name

    def score_audio(self, samples, rate):
        return Scores(torch.zeros(len(samples)), (None,) * len(samples))


def test_parts_of_mixtures_that_render():
    def length(pieces):
        return [len(piece.text) for piece in pieces]

    shared = Renderer(workers=0)
    one, other = Quiet("one", shared), Quiet("other", shared)
    inner = Mixture([(length, 1.0), (one, 1.0)], name="inner")
    mixture = Mixture([(inner, 1.0), (other, 1.0)])
    assert listeners(mixture) == [one, other]
    assert listeners(length) == []
    assert renderers(mixture) == mixture.renderers() == [shared]
    assert renderers(length) == []
