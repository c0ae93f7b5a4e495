"""The resampler against the formula of the windowed sinc, written down sample by sample, and against what sound does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.resampling import resample


def by_formula(samples: np.ndarray, rate: int, target: int) -> np.ndarray:
    """Each output sample as a sum over all input samples, in float64 and seconds."""
    nyquist = 0.99 * min(rate, target) / 2
    result = np.zeros(math.ceil(len(samples) * target / rate))
    for index in range(len(result)):
        for place, value in enumerate(samples):
            crossings = 2 * nyquist * (index / target - place / rate)
            if abs(crossings) < 6:
                sinc = (
                    1.0 if crossings == 0 else math.sin(math.pi * crossings) / (math.pi * crossings)
                )
                result[index] += (
                    value * (2 * nyquist / rate) * sinc * math.cos(math.pi * crossings / 12) ** 2
                )
    return result


@pytest.mark.parametrize(
    ("rate", "target", "count"),
    [
        (48_000, 16_000, 500),
        (48_000, 16_000, 1),
        (48_000, 16_000, 2),
        (44_100, 16_000, 450),
        (22_050, 16_000, 333),
        (8_000, 16_000, 100),
        (7, 5, 50),
    ],
)
def test_equals_the_formula(rate: int, target: int, count: int):
    samples = np.random.default_rng(count).standard_normal(count).astype(np.float32)
    found = resample(samples, rate, target)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_formula(samples, rate, target), atol=3e-6)


def test_keeps_what_both_rates_can_hold_and_drops_what_they_cannot():
    seconds = np.arange(48_000) / 48_000
    low, high = (np.sin(2 * np.pi * pitch * seconds).astype(np.float32) for pitch in (440, 12_000))
    middle = slice(100, -100)
    wanted = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(resample(low, 48_000, 16_000)[middle], wanted[middle], atol=2e-3)
    assert np.abs(resample(high, 48_000, 16_000)[middle]).max() < 3e-3


def test_leading_axes_and_equal_rates():
    samples = np.random.default_rng(0).standard_normal((2, 3, 441)).astype(np.float32)
    found = resample(samples, 44_100, 16_000)
    assert found.shape == (2, 3, 160)
    np.testing.assert_array_equal(found[1, 2], resample(samples[1, 2], 44_100, 16_000))
    np.testing.assert_array_equal(resample(samples, 16_000, 16_000), samples)
    assert resample(samples[..., :0], 48_000, 16_000).shape == (2, 3, 0)


@pytest.mark.parametrize("rate", [0, -48_000, 44_100.5])
def test_rates_that_are_none(rate: float):
    with pytest.raises(MusicZooError, match="no rate"):
        resample(np.zeros(10, np.float32), rate, 16_000)
