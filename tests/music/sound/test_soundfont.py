"""Soundfont files: zones resolved as the specification has it, samples plain and compressed, damage."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.audio import find_soundfont
from musiczoo.music.sound.soundfont import PERCUSSION_BANK, SoundFont
from tests.soundfonts import INSTRUMENT, KEYS, SAMPLE, MadeSample, MadeSoundfont, sine

VELOCITIES, ATTENUATION, COARSE, FINE, ROOT, PAN, RELEASE, SCALE = 44, 48, 51, 52, 58, 17, 38, 56


def test_presets_add_to_instruments_and_global_zones_stand_behind_local_ones(
    tmp_path: Path,
) -> None:
    made = MadeSoundfont(
        [sine(), sine()],
        [
            [
                {RELEASE: 1200, PAN: 100, ATTENUATION: 40},  # global
                {KEYS: (0, 60), SAMPLE: 0, PAN: -500, COARSE: -1},
                {KEYS: (61, 127), SAMPLE: 1, ROOT: 72, FINE: 25},
            ],
            [{SAMPLE: 1, VELOCITIES: (64, 127), ROOT: 60}],
        ],
        [
            (
                0,
                0,
                [
                    {ATTENUATION: 60, KEYS: (20, 100)},
                    {INSTRUMENT: 0, FINE: 50},
                    {INSTRUMENT: 1, KEYS: (50, 70), ROOT: 40},
                ],
            ),
            (PERCUSSION_BANK, 0, [{INSTRUMENT: 1}]),
            (0, 5, [{INSTRUMENT: 0, KEYS: (61, 127)}]),
        ],
    )
    font = SoundFont(made.write(tmp_path / "made.sf2"))
    assert font.programs == ((0, 0), (0, 5), (128, 0))
    low, high, layer = font.regions(0, 0)
    assert (low.keys, low.sample, low.pan, low.tuning, low.root) == ((20, 60), 0, -1.0, -0.5, 69)
    assert (high.keys, high.sample, high.pan, high.tuning, high.root) == (
        (61, 100),
        1,
        0.2,
        0.75,
        72,
    )
    assert low.gain == high.gain == pytest.approx(10 ** (-(40 + 60) / 10 / 20))
    assert (low.volume.release, layer.volume.release) == (2.0, 0.0)
    assert (layer.keys, layer.velocities, layer.root) == (
        (50, 70),
        (64, 127),
        60,
    )  # a preset cannot change the root
    assert layer.gain == pytest.approx(10 ** (-60 / 10 / 20))
    assert [region.keys for region in font.regions(0, 5)] == [
        (61, 127)
    ]  # empty intersections play nothing


def test_presets_that_a_file_lacks(tmp_path: Path) -> None:
    made = MadeSoundfont(
        [sine()],
        [[{SAMPLE: 0}], [{SAMPLE: 0, ROOT: 50}]],
        [(0, 7, [{INSTRUMENT: 0}]), (128, 0, [{INSTRUMENT: 1}])],
    )
    font = SoundFont(made.write(tmp_path / "made.sf2"))
    assert [
        font.regions(*preset)[0].root for preset in ((0, 7), (0, 3), (8, 7), (128, 0), (128, 25))
    ] == [69, 69, 69, 50, 50]


def test_samples_plain_and_compressed(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    wave = 0.5 * np.sin(2 * np.pi * np.arange(4000) / 100)
    stream = io.BytesIO()
    soundfile.write(stream, wave, 44100, format="OGG", subtype="VORBIS")
    made = MadeSoundfont(
        [MadeSample(wave, (1000, 3000)), MadeSample(0.25 * wave, (500, 600), 22050)],
        [[{SAMPLE: 0}]],
    )
    packed = MadeSoundfont(
        [
            MadeSample(stream.getvalue(), (1000, 3000)),
            MadeSample(stream.getvalue(), (500, 600), 22050),
        ],
        [[{SAMPLE: 0}]],
    )
    plain, compressed = (
        SoundFont(made.write(tmp_path / "made.sf2")),
        SoundFont(packed.write(tmp_path / "made.sf3")),
    )
    np.testing.assert_allclose(plain.sample(0).waveform, wave, atol=1e-4)
    np.testing.assert_allclose(plain.sample(1).waveform, 0.25 * wave, atol=1e-4)
    np.testing.assert_allclose(compressed.sample(1).waveform[:4000], wave, atol=0.02)
    for font in (plain, compressed):
        assert [font.sample(number).loop for number in (0, 1)] == [(1000, 3000), (500, 600)]
        assert [font.sample(number).rate for number in (0, 1)] == [44100, 22050]


def test_damaged_files(tmp_path: Path) -> None:
    whole = MadeSoundfont([sine()], [[{SAMPLE: 0}]]).write(tmp_path / "whole.sf2").read_bytes()
    for content in (
        b"",
        b"no soundfont at all",
        whole[:40],
        whole[:700],
        whole[: len(whole) // 2],
        whole.replace(b"phdr", b"phdx"),
    ):
        (tmp_path / "bad.sf2").write_bytes(content)
        with pytest.raises(MusicZooError, match=r"bad\.sf2.*soundfont"):
            SoundFont(tmp_path / "bad.sf2")
    with pytest.raises(MusicZooError, match="cannot be read"):
        SoundFont(tmp_path / "none.sf2")
    outside = MadeSoundfont([sine()], [[{SAMPLE: 9}]]).write(tmp_path / "outside.sf2")
    with pytest.raises(MusicZooError, match="damaged"):
        SoundFont(outside).regions(0, 0)
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(whole)
        for place in generator.integers(len(whole), size=3):
            damaged[place] = generator.integers(256)
        (tmp_path / "bad.sf2").write_bytes(damaged)
        try:
            font = SoundFont(tmp_path / "bad.sf2")
            for region in font.regions(0, 0):
                font.sample(region.sample)
        except MusicZooError:
            refused += 1
    assert 0 < refused < 200


def test_every_preset_of_the_packaged_soundfont_can_be_read() -> None:
    path = find_soundfont()
    if path is None:
        pytest.skip("no soundfont is installed on this machine (see the README)")
    font = SoundFont(path)
    assert len(font.programs) >= 128
    for bank, program in font.programs:
        for region in font.regions(bank, program):
            assert 0 < region.gain <= 1
            assert region.keys[0] <= region.keys[1] <= 127
    assert np.abs(font.sample(0).waveform).max() <= 1
