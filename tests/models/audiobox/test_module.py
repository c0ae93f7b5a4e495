"""Clips of any length, rate and number of channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import musiczoo.models.audiobox.module
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.models.audiobox import AudioboxModule
from musiczoo.models.audiobox.module import windows_of
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.resampling import resample
from tests.models.audiobox.test_net import SMALL, random_net


@pytest.fixture(scope="module")
def module() -> AudioboxModule:
    return AudioboxModule(random_net()).eval()


def noise(seconds: float, seed: int = 0, rate: int = 48_000, channels: int = 2) -> np.ndarray:
    return (
        np.random.default_rng(seed)
        .uniform(-1, 1, (channels, round(seconds * rate)))
        .astype(np.float32)
    )


def test_windows_are_the_resampled_mean_of_the_channels():
    clip = noise(21.5)
    windows = windows_of(clip, 48_000)
    assert [len(window) for window in windows] == [160_000, 160_000, 24_000]
    each = np.stack([resample(channel, 48_000, 16_000) for channel in clip])
    np.testing.assert_allclose(np.concatenate(windows), each.mean(axis=0), atol=1e-6)
    assert [len(window) for window in windows_of(noise(10), 48_000)] == [160_000]
    assert [len(window) for window in windows_of(np.ones(1, np.float32), 48_000)] == [1]


def test_windows_count_by_how_long_they_last(module: AudioboxModule):
    clip = noise(12.5, rate=16_000, channels=1)
    whole = module.ratings([clip], 16_000)
    parts = module.ratings([clip[:, :160_000], clip[:, 160_000:]], 16_000)
    torch.testing.assert_close(whole[0], (parts[0] * 160_000 + parts[1] * 40_000) / 200_000)


@pytest.mark.parametrize("together", [1, 3])
def test_clips_do_not_depend_on_each_other(
    module: AudioboxModule, monkeypatch: pytest.MonkeyPatch, together: int
):
    clips = [noise(seconds, seed) for seed, seconds in enumerate((10, 0.3, 12, 2, 10, 0.3, 10, 10))]
    alone = torch.cat([module.ratings([clip], 48_000) for clip in clips])
    monkeypatch.setitem(musiczoo.models.audiobox.module._TOGETHER, "cpu", together)
    torch.testing.assert_close(module.ratings(clips, 48_000), alone, rtol=1e-5, atol=1e-5)
    assert (alone[0] - alone[4]).abs().max() > 1e-4
    assert module.ratings([], 48_000).shape == (0, 4)


def test_silence_is_rated(module: AudioboxModule):
    assert module.ratings([np.zeros((2, 48_000), np.float32)], 48_000).isfinite().all()


@pytest.mark.parametrize(
    ("clip", "told"),
    [
        (np.zeros((2, 0), np.float32), "is no sound"),
        (np.zeros((1, 2, 5), np.float32), "is no sound"),
        (np.full((2, 500), np.nan, np.float32), "no numbers"),
        (np.full((2, 500), np.inf, np.float32), "no numbers"),
    ],
)
def test_clips_that_are_none(module: AudioboxModule, clip: np.ndarray, told: str):
    with pytest.raises(MusicZooError, match=rf"clip 2: .*{told}"):
        module.ratings([noise(0.1), clip], 48_000)


def test_sizes_as_a_config_one_by_one_or_a_net() -> None:
    assert AudioboxModule(SMALL).config == SMALL
    assert AudioboxModule(**SMALL.to_dict()).config == SMALL
    net = random_net()
    assert AudioboxModule(net).net is net
    assert not any(value.requires_grad for value in AudioboxModule(SMALL).parameters())


def test_it_is_neither_saved_nor_adapted(module: AudioboxModule, tmp_path: Path) -> None:
    with pytest.raises(MusicZooError, match="audiobox are not saved as checkpoint folders"):
        save_checkpoint(module, tmp_path / "saved")
    with pytest.raises(MusicZooError, match="nothing to adapt"):
        module.add_lora({"rank": 2})
