"""Rewards as the command line names them."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import pytest
import torch

from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.rendering import Renderer
from musiczoo.rewards import AudioReward, FunctionReward, MelAesthetics, Mixture, Scores
from musiczoo.rewards.by_name import FEATURES, named_reward
from tests.soundfonts import sine_soundfont

USERS = """
def length(pieces):
    return [len(piece.text) for piece in pieces]

number = 3
"""


class Loudness(AudioReward):
    name = "loudness"

    def score_audio(self, samples, rate):
        return Scores(torch.zeros(len(samples)), (None,) * len(samples))


def mixture() -> Mixture:
    parts = Loudness(Renderer(workers=0)), Loudness(Renderer(workers=0))
    parts[1].name = "other"
    return Mixture([(part, 1.0) for part in parts])


MIXTURE = mixture()


def test_names(tmp_path, monkeypatch):
    (tmp_path / "users_rewards.py").write_text(USERS)
    monkeypatch.syspath_prepend(tmp_path)
    with ExitStack() as stack:
        assert named_reward("features", stack).weights == FEATURES
        assert isinstance(named_reward("mel", stack), MelAesthetics)
        length = named_reward("users_rewards:length", stack)
        assert isinstance(length, FunctionReward)
        assert length.name == "length"
        for name, message in (
            ("loudest", "There is no reward 'loudest'"),
            ("users_rewards:nothing", "cannot be loaded"),
            ("users_rewards:number", "is a int, not a reward"),
            ("mel:m3-small", "m3-small does not score sound"),
        ):
            with pytest.raises(MusicZooError, match=message):
                named_reward(name, stack)


def test_parts_with_equal_settings_share_a_renderer(monkeypatch, tmp_path):
    module = type("Module", (), {"MIXTURE": MIXTURE})
    monkeypatch.setitem(sys.modules, "users_mixture", module)
    soundfont = str(sine_soundfont(tmp_path / "elsewhere.sf2"))
    with ExitStack() as stack:
        reward = named_reward("users_mixture:MIXTURE", stack, soundfont=soundfont)
        assert isinstance(reward, Mixture)
        (renderer,) = reward.renderers()
        assert renderer.rendering.soundfont == soundfont
