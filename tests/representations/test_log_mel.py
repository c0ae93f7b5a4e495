"""Log-mel levels: against a plain discrete Fourier transform, by sines of known loudness, and whatever the sample rate."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.rendering import Clip
from musiczoo.representations.log_mel import LogMel, mel_filters


def sine(
    frequency: float, seconds: float = 1.0, rate: int = 48_000, amplitude: float = 1.0
) -> np.ndarray:
    return (
        amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    ).astype(np.float32)


def centres(representation: LogMel) -> np.ndarray:
    edges = [2595 * np.log10(1 + edge / 700) for edge in (representation.low, representation.high)]
    return 700 * (10 ** (np.linspace(*edges, representation.mels + 2)[1:-1] / 2595) - 1)


def test_levels_are_those_of_the_plain_formula() -> None:
    representation = LogMel(mels=12)
    rng = np.random.default_rng(0)
    wave = (0.1 * rng.normal(size=3000)).astype(np.float32)
    found = representation.encode_audio(wave, 12_000)
    padded = np.concatenate([np.zeros(480), wave, np.zeros(480)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(960) / 960)
    edges = np.linspace(2595 * np.log10(1 + 40 / 700), 2595 * np.log10(1 + 5000 / 700), 14)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    for row, start in enumerate(range(0, 3001, 240)):
        frame = padded[start : start + 960] * hann
        bins = np.arange(481)
        spectrum = np.exp(-2j * np.pi * np.outer(bins, np.arange(960)) / 960) @ frame
        amplitude = np.abs(spectrum) * 2 / hann.sum()
        for band in range(12):
            weights = np.interp(12.5 * bins, hertz[band : band + 3], [0.0, 1.0, 0.0])
            level = (10 * np.log10(max(1e-8, weights @ amplitude**2)) + 80) / 80 * 255
            assert abs(int(found[row, band]) - min(255.0, max(0.0, level))) < 0.51
    assert len(found) == 13


@pytest.mark.parametrize("rate", [44_100, 48_000, 16_000])
def test_a_sine_stands_in_its_band_with_its_loudness(rate: int) -> None:
    representation = LogMel()
    peaks = centres(representation)
    for band in (10, 40, 80):
        for decibels in (0.0, -20.0, -60.0):
            rows = representation.encode_audio(
                sine(peaks[band], rate=rate, amplitude=10 ** (decibels / 20)), rate
            )
            middle = rows[10:-10].double()
            assert (middle.argmax(dim=1) == band).all()
            # The main lobe is wider than the narrow bands, so that neighbouring bins add up to 1.8
            # dB.
            assert middle[:, band].mean() / 255 * 80 - 80 == pytest.approx(decibels, abs=2.0)


def test_neighbouring_semitones_differ_from_middle_c() -> None:
    representation = LogMel()
    for pitch in range(60, 90):
        one, other = (
            representation.encode_audio(sine(440 * 2 ** ((key - 69) / 12)), 48_000)[25].double()
            for key in (pitch, pitch + 1)
        )
        assert (one - other).abs().max() > 15  # 5 dB


def test_channels_are_averaged_and_silence_is_zero() -> None:
    representation = LogMel()
    left = sine(440)
    assert torch.equal(
        representation.encode_audio(np.stack([left, left]), 48_000),
        representation.encode_audio(left, 48_000),
    )
    assert not representation.encode_audio(np.stack([left, -left]), 48_000).any()
    assert representation.encode_audio(np.zeros((2, 48_000), np.float32), 48_000).shape == (51, 96)
    assert len(representation.encode_audio(np.zeros(1, np.float32), 48_000)) == 1


def test_collate_pads_with_silence() -> None:
    representation = LogMel(mels=16)
    rows = [torch.full((length, 16), length, dtype=torch.uint8) for length in (3, 7)]
    batch = representation.collate(rows)
    assert batch["mel"].shape == (2, 7, 16)
    assert batch["mel"].dtype == torch.uint8
    assert batch["lengths"].tolist() == [3, 7]
    assert not batch["mel"][0, 3:].any()
    assert torch.equal(batch["mel"][0, :3], rows[0])


def test_encode_renders_and_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    import musiczoo.music.sound.rendering as rendering

    answer: list[Any] = [Clip(np.stack([sine(440, 2.0)] * 2))]
    monkeypatch.setattr(rendering, "render_clip", lambda piece, settings: answer[0])
    representation = LogMel()
    whole = representation.encode(None)
    assert len(whole) == 101
    assert torch.equal(representation.encode(None, max_length=20), whole[:20])
    crops = [
        representation.encode(None, max_length=100, rng=random.Random(seed)) for seed in range(9)
    ]
    assert {len(crop) for crop in crops} == {100}
    assert len({crop.numpy().tobytes() for crop in crops}) == 2
    answer[0] = Clip(None, "it is cursed")
    with pytest.raises(MusicZooError, match="cursed"):
        representation.encode(None)
    with pytest.raises(MusicZooError, match="cannot be turned into notes"):
        representation.decode(whole)


def test_settings_come_back() -> None:
    representation = LogMel(
        mels=32, low=20.0, high=3000.0, window=0.1, hop=0.05, floor=-60.0, rate=8000
    )
    again = LogMel.from_config(representation.to_config())
    assert again.to_config() == representation.to_config()
    wave = sine(500)
    assert torch.equal(again.encode_audio(wave, 48_000), representation.encode_audio(wave, 48_000))


@pytest.mark.parametrize(
    "settings", [{"mels": 0}, {"high": 7000.0}, {"low": 6000.0}, {"hop": 0.1}, {"floor": 0.0}]
)
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(MusicZooError, match="no spectrogram"):
        LogMel(**settings)


def test_sound_that_is_none() -> None:
    for samples, rate in (
        (np.zeros(100), 8000),
        (np.zeros((2, 0)), 48_000),
        (np.full(100, np.nan), 48_000),
    ):
        with pytest.raises(MusicZooError):
            LogMel().encode_audio(samples, rate)


def test_filters_overlap_by_half() -> None:
    filters = mel_filters(20, 100.0, 4000.0, 1.0, 5001)
    assert filters.max(axis=0) == pytest.approx(1.0, abs=0.02)
    inside = filters[250:3500].sum(axis=1)
    assert inside == pytest.approx(1.0, abs=0.02)
