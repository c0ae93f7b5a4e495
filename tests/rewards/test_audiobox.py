"""Audiobox Aesthetics as a reward: the weighted mean of its axes, and clips that have none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from musiczoo.models.audiobox import AXES
from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.rendering import Clip, Renderer
from musiczoo.rewards import AudioboxAesthetics

FIXTURES = Path(__file__).parents[1] / "fixtures" / "audiobox"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    settings = json.loads((FIXTURES / "audiobox_tiny.json").read_text())["config"]
    (tmp_path / "config.json").write_text(
        json.dumps({"target_transform": settings["target_transform"]})
    )
    return Path(shutil.copy(FIXTURES / "audiobox_tiny.safetensors", tmp_path / "model.safetensors"))


def noise(seed: int, seconds: float = 0.5) -> np.ndarray:
    return (
        np.random.default_rng(seed).uniform(-1, 1, (2, round(48_000 * seconds))).astype(np.float32)
    )


def test_the_weighted_mean_of_the_axes_by_ten(weights: Path):
    clips = [noise(0), noise(1, 2.0), np.zeros((2, 48_000), np.float32)]
    scores = AudioboxAesthetics(weights).score_audio(clips, 48_000)
    assert tuple(scores.details) == AXES
    assert scores.reasons == (None, None, None)
    torch.testing.assert_close(scores.values, scores.details["CE"] / 10)
    ratings = AudioboxAesthetics(weights).module.ratings(clips, 48_000)
    torch.testing.assert_close(torch.stack(list(scores.details.values()), dim=1), ratings)
    mixed = AudioboxAesthetics(weights, {"CE": 2.0, "PQ": 1.0, "PC": 0.0}).score_audio(
        clips, 48_000
    )
    torch.testing.assert_close(mixed.values, (2 * ratings[:, 0] + ratings[:, 3]) / 30)
    assert mixed.values.isfinite().all()


def test_clips_that_are_none_have_a_reason(weights: Path):
    clips = [np.zeros((2, 0), np.float32), noise(0), np.full((2, 9), np.nan, np.float32)]
    scores = AudioboxAesthetics(weights).score_audio(clips, 48_000)
    assert scores.values.isnan().tolist() == [True, False, True]
    assert scores.reasons == (
        "the clip has no samples",
        None,
        "the clip has samples that are no numbers",
    )
    assert scores.details["PQ"].isnan().tolist() == [True, False, True]
    torch.testing.assert_close(
        scores.values[1], AudioboxAesthetics(weights).score_audio([noise(0)], 48_000).values[0]
    )
    none = AudioboxAesthetics("nowhere.safetensors").score_audio(clips[:1], 48_000)
    assert none.values.isnan().all()


class Recorded(Renderer):
    """Clips that were made beforehand."""

    def clips(self, pieces):
        return [
            Clip(None, "it cannot be read") if piece is None else Clip(noise(3)) for piece in pieces
        ]


def test_pieces_are_rated_by_their_sound(weights: Path):
    nothing = torch.zeros(0)
    pieces = [
        Generated(piece, "", nothing, nothing, nothing.bool(), "end")
        for piece in (read_abc("X:1\nK:C\nCDEF|\n"), None)
    ]
    reward = AudioboxAesthetics(weights, renderer=Recorded())
    scores = reward.score(pieces)
    assert scores.reasons == (None, "it cannot be read")
    torch.testing.assert_close(scores.values[:1], reward.score_audio([noise(3)], 48_000).values)
    assert scores.values[1].isnan()


@pytest.mark.parametrize(
    "axes", [{"XY": 1.0}, {}, {"CE": 0.0}, {"CE": -1.0, "PQ": 2.0}, {"CE": float("nan")}]
)
def test_axes_that_make_no_mean(axes: dict[str, float]):
    with pytest.raises(MusicZooError, match="axes"):
        AudioboxAesthetics(axes=axes)


def test_missing_weights_say_so(tmp_path: Path):
    with pytest.raises(MusicZooError, match="no such weights file"):
        AudioboxAesthetics(tmp_path / "none.safetensors").score_audio([noise(0)], 48_000)
