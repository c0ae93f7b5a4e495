"""The synthesizer: pitch, loudness, envelopes and filter against values from their formulas, and against TinySoundFont where it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from symusic import Note, Score, Track

from musiczoo.music.sound import synthesizer
from musiczoo.music.sound.audio import find_soundfont
from musiczoo.music.sound.note_table import performance
from musiczoo.music.sound.sample_voice import _level, _volume
from musiczoo.music.sound.soundfont import Envelope, SoundFont
from musiczoo.music.sound.synthesizer import Synthesizer
from tests.soundfonts import (
    INSTRUMENT,
    KEYS,
    SAMPLE,
    MadeSample,
    MadeSoundfont,
    sine,
    sine_soundfont,
)

RATE = 44100
PACKAGED = find_soundfont()
with_a_soundfont = pytest.mark.skipif(
    PACKAGED is None, reason="no soundfont is installed on this machine (see the README)"
)
OTHER_SOUNDFONT = os.environ.get("MUSICZOO_TEST_SOUNDFONT")


def score(*notes: tuple[float, float, int, int], program: int = 0, drum: bool = False) -> Score:
    """Notes as (start in seconds, length in seconds, pitch, velocity) at 120 quarters a minute."""
    piece = Score(480)
    track = Track("", program, drum)
    for start, length, pitch, velocity in notes:
        track.notes.append(Note(round(start * 960), round(length * 960), pitch, velocity))
    piece.tracks.append(track)
    return piece


def play(
    font: Path | Synthesizer, piece: Score, seconds: float = 1.0, rate: int = RATE
) -> np.ndarray:
    instrument = font if isinstance(font, Synthesizer) else Synthesizer(SoundFont(font), rate)
    return instrument.render(performance(piece), round(seconds * rate))


def frequency(samples: np.ndarray, rate: int = RATE) -> float:
    """The fundamental, by the first high peak of the autocorrelation."""
    spectrum = np.abs(np.fft.rfft(samples, 4 * len(samples))) ** 2
    correlation = np.fft.irfft(spectrum)[: len(samples) // 2]
    low = round(rate / 3000)
    rest = correlation[low:]
    high = np.flatnonzero(rest > 0.8 * rest.max())
    stop = high[0]
    while stop + 1 < len(rest) and rest[stop + 1] > rest[stop]:
        stop += 1
    return rate / (low + stop)


@pytest.mark.parametrize("pitch", [57, 63, 69, 70, 81])
def test_pitch(pitch: int, tmp_path: Path) -> None:
    sound = play(sine_soundfont(tmp_path / "sine.sf2"), score((0, 1, pitch, 100)))[0]
    peak = np.argmax(np.abs(np.fft.rfft(sound)))
    assert abs(peak - 441 * 2 ** ((pitch - 69) / 12)) <= 1


def test_tuning_scale_and_rate(tmp_path: Path) -> None:
    tuned = sine_soundfont(
        tmp_path / "tuned.sf2", g51=12, g52=-50, g56=50
    )  # an octave less a quarter tone up, half a semitone a key
    sound = play(tuned, score((0, 1, 73, 100)), rate=48000)[0]
    assert abs(np.argmax(np.abs(np.fft.rfft(sound))) - 441 * 2 ** ((12 - 0.5 + 2) / 12)) <= 1


def test_loudness_is_proportional_to_velocity_attenuation_in_decibels_and_panorama_keeps_the_power(
    tmp_path: Path,
) -> None:
    plain = sine_soundfont(tmp_path / "plain.sf2")
    loud = play(plain, score((0, 1, 69, 127)))
    np.testing.assert_allclose(play(plain, score((0, 1, 69, 64))), loud * 64 / 127, atol=1e-6)
    assert np.abs(loud).max() == pytest.approx(0.5 * 0.5**0.5, rel=1e-3)
    quiet = play(sine_soundfont(tmp_path / "quiet.sf2", g48=120), score((0, 1, 69, 127)))
    np.testing.assert_allclose(quiet, loud * 10 ** (-12 / 20), atol=1e-6)
    right = play(sine_soundfont(tmp_path / "right.sf2", g17=500), score((0, 1, 69, 127)))
    assert np.abs(right[0]).max() == 0
    np.testing.assert_allclose(right[1], loud[1] * 2**0.5, atol=1e-6)
    half = play(sine_soundfont(tmp_path / "half.sf2", g17=-250), score((0, 1, 69, 127)))
    assert (half**2).sum() == pytest.approx((loud**2).sum(), rel=1e-5)


def test_notes_add_up(tmp_path: Path) -> None:
    font = Synthesizer(SoundFont(sine_soundfont(tmp_path / "sine.sf2", g38=-2400)), RATE)
    notes = [(0, 0.5, 60, 90), (0.25, 0.5, 67, 30), (0.25, 0.1, 60, 127)]
    together = play(font, score(*notes))
    np.testing.assert_allclose(together, sum(play(font, score(note)) for note in notes), atol=1e-6)


def envelope_of(sound: np.ndarray, moment: float) -> float:
    """The amplitude around a moment, of a sine."""
    part = sound[0, round((moment - 0.005) * RATE) : round((moment + 0.005) * RATE)]
    return float(np.abs(part).max())


def test_the_volume_envelope(tmp_path: Path) -> None:
    # Attack 0.25 s, hold 0.25 s, decay of 100 dB in 2 s down to -20 dB, release of 100 dB in 1 s.
    font = sine_soundfont(tmp_path / "sine.sf2", g34=-2400, g35=-2400, g36=1200, g37=200, g38=0)
    sound = play(font, score((0, 1.5, 69, 127)), seconds=3)
    peak = 0.5 * 0.5**0.5
    assert envelope_of(sound, 0.125) == pytest.approx(
        peak * 0.52, rel=0.02
    )  # the loudest within 10 ms
    assert envelope_of(sound, 0.4) == pytest.approx(peak, rel=0.01)
    assert 20 * np.log10(envelope_of(sound, 0.7) / peak) == pytest.approx(-10, abs=0.5)
    assert 20 * np.log10(envelope_of(sound, 1.2) / peak) == pytest.approx(-20, abs=0.1)
    assert 20 * np.log10(envelope_of(sound, 1.6) / peak) == pytest.approx(-30, abs=0.7)
    assert np.abs(sound[:, round(2.31 * RATE) :]).max() == 0  # 80 dB below the peak


def test_a_key_released_in_the_attack_falls_from_there(tmp_path: Path) -> None:
    font = sine_soundfont(tmp_path / "sine.sf2", g34=0, g38=0)
    sound = play(font, score((0, 0.25, 69, 127)))
    assert envelope_of(sound, 0.25) == pytest.approx(0.25 * 0.5 * 0.5**0.5, rel=0.05)
    assert envelope_of(sound, 0.45) < 0.11 * envelope_of(sound, 0.25)


def test_the_filter_has_the_response_of_its_formula(tmp_path: Path) -> None:
    cutoff = 8.176 * 2 ** (8400 / 1200)  # 1,046 Hz
    plain, filtered = (
        sine_soundfont(tmp_path / "plain.sf2"),
        sine_soundfont(tmp_path / "filtered.sf2", g8=8400, g9=60),
    )
    for pitch in (45, 69, 81, 84, 93, 105):
        hertz = 441 * 2 ** ((pitch - 69) / 12)
        one, other = (
            play(font, score((0, 1, pitch, 127)))[0, RATE // 2 :] for font in (plain, filtered)
        )
        ratio = np.tan(np.pi * hertz / RATE) / np.tan(np.pi * cutoff / RATE)
        expected = 1 / abs(1 - ratio**2 + 1j * ratio / 10 ** (6 / 20))
        assert np.sqrt((other**2).sum() / (one**2).sum()) == pytest.approx(expected, rel=0.02)


def test_a_loop_goes_on_without_a_seam_also_through_the_filter(tmp_path: Path) -> None:
    time = np.arange(2 * RATE) / RATE
    plain = play(sine_soundfont(tmp_path / "plain.sf2"), score((0, 2, 69, 127)), 2.0)[0]
    np.testing.assert_allclose(
        plain[100:], (0.5 * 0.5**0.5 * np.sin(2 * np.pi * 441 * time))[100:], atol=2e-4
    )
    filtered = play(
        sine_soundfont(tmp_path / "filtered.sf2", g8=6900), score((0, 2, 69, 127)), 2.0
    )[0]
    ratio = np.tan(np.pi * 441 / RATE) / np.tan(np.pi * 8.175799 * 2 ** (6900 / 1200) / RATE)
    response = 1 / (1 - ratio**2 + 1j * ratio)
    expected = 0.5 * 0.5**0.5 * abs(response) * np.sin(2 * np.pi * 441 * time + np.angle(response))
    np.testing.assert_allclose(filtered[2000:], expected[2000:], atol=3e-4)


def test_the_level_of_one_moment_is_that_of_the_course() -> None:
    time = np.linspace(0, 4, 101)
    for envelope in (
        Envelope(0.1, 0.5, 0.2, 2.0, 30.0, 1.0, 100, -100),
        Envelope(0.0, 0.0, 0.0, 0.0, 12.0, 0.0, 0, 0),
        Envelope(0.0, 0.01, 0.5, 30.0, 100.0, 1.0, 0, 50),
    ):
        for key in (40, 60, 90):
            levels = [_level(envelope, key, moment) for moment in time.tolist()]
            np.testing.assert_allclose(levels, _volume(envelope, key, time), rtol=1e-12)


def test_modulation_of_pitch_and_cutoff(tmp_path: Path) -> None:
    vibrato = sine_soundfont(
        tmp_path / "vibrato.sf2", g6=100, g24=-851
    )  # a semitone either way, 5 Hz
    sound = play(vibrato, score((0, 1, 69, 127)))[0]
    crossings = np.flatnonzero((sound[:-1] < 0) & (sound[1:] >= 0))
    periods = np.diff(crossings[5:-5])
    assert RATE / periods.min() == pytest.approx(441 * 2 ** (1 / 12), rel=0.01)
    assert RATE / periods.max() == pytest.approx(441 * 2 ** (-1 / 12), rel=0.01)
    # The envelope opens a filter that lets nothing through: from 100 Hz to 3,200 Hz in half a
    # second.
    opening = sine_soundfont(tmp_path / "opening.sf2", g8=4335, g11=6000, g26=-1200)
    sound = play(opening, score((0, 1, 69, 127)))
    assert envelope_of(sound, 0.05) < 0.15 * envelope_of(sound, 0.8)
    assert envelope_of(sound, 0.8) == pytest.approx(0.5 * 0.5**0.5, rel=0.05)


def test_regions_by_key_and_velocity_and_fixed_keys(tmp_path: Path) -> None:
    zones = [
        {KEYS: (0, 60), SAMPLE: 0},
        {KEYS: (61, 127), 44: (64, 127), SAMPLE: 0, 46: 57},
        {KEYS: (61, 127), 44: (0, 63), SAMPLE: 0, 47: 127},
    ]
    font = MadeSoundfont([sine()], [[{**zone, 54: 1} for zone in zones]]).write(
        tmp_path / "made.sf2"
    )
    for note, expected in (((0, 1, 57, 10), 220.5), ((0, 1, 69, 64), 220.5), ((0, 1, 69, 63), 441)):
        assert abs(np.argmax(np.abs(np.fft.rfft(play(font, score(note))[0]))) - expected) <= 1
    assert np.abs(play(font, score((0, 1, 69, 1)))).max() == pytest.approx(0.5 * 0.5**0.5, rel=1e-2)


def test_samples_without_a_loop_end_and_hits_of_a_class_end_one_another(tmp_path: Path) -> None:
    noise = MadeSample(np.random.default_rng(0).uniform(-0.5, 0.5, 30_000))
    zones = [
        {KEYS: (42, 42), SAMPLE: 0, 57: 1, 38: 1200},
        {KEYS: (46, 46), SAMPLE: 0, 57: 1, 38: 1200},
        {KEYS: (49, 49), SAMPLE: 0, 38: 1200},
    ]
    made = MadeSoundfont(
        [noise], [[{**zone, 46: 69} for zone in zones]], [(128, 0, [{INSTRUMENT: 0}])]
    )
    font = Synthesizer(SoundFont(made.write(tmp_path / "made.sf2")), RATE)
    alone = play(font, score((0, 0.1, 46, 100), drum=True))
    assert np.abs(alone[:, 30_002:]).max() == 0
    assert np.abs(alone[:, 29_000:30_000]).max() > 0
    hit = score((0.3, 0.1, 42, 100), drum=True)
    choked = play(font, score((0, 0.1, 46, 100), (0.3, 0.1, 42, 100), drum=True)) - play(font, hit)
    assert np.abs(choked[:, round(0.306 * RATE) :]).max() < 1e-6
    np.testing.assert_allclose(
        choked[:, : round(0.3 * RATE)], alone[:, : round(0.3 * RATE)], atol=1e-6
    )
    free = play(font, score((0, 0.1, 49, 100), (0.3, 0.1, 42, 100), drum=True)) - play(font, hit)
    np.testing.assert_allclose(free, alone, atol=1e-6)


@with_a_soundfont
def test_what_was_played_before_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [
        score((0, 0.3, 60, 80), (0.2, 2.0, 64, 50), (0.4, 0.1, 60, 120)),
        score((0, 4.0, 60, 80), program=48),
        score((0, 0.1, 60, 80), (1.0, 3.0, 60, 33), program=48),
        score((0, 0.5, 38, 90), (0.5, 0.5, 46, 90), (0.7, 0.5, 42, 90), drum=True),
    ]
    alone = [play(PACKAGED, piece, 5.0, 48000) for piece in pieces]
    shared = Synthesizer(SoundFont(PACKAGED), 48000)
    for _ in range(2):
        for piece, expected in reversed(list(zip(pieces, alone, strict=True))):
            np.testing.assert_array_equal(play(shared, piece, 5.0, 48000), expected)
    monkeypatch.setattr(synthesizer, "_KEPT_BYTES", 100_000)
    small = Synthesizer(SoundFont(PACKAGED), 48000)
    for piece, expected in list(zip(pieces, alone, strict=True)) * 2:
        np.testing.assert_array_equal(play(small, piece, 5.0, 48000), expected)
    assert small._kept <= 100_000


@with_a_soundfont
def test_later_notes_change_nothing_before_them() -> None:
    long = play(PACKAGED, score((0, 30, 60, 80), (1, 1, 64, 80), (12, 5, 67, 80)), 20)
    np.testing.assert_array_equal(
        play(PACKAGED, score((0, 30, 60, 80), (1, 1, 64, 80)), 10), long[:, : 10 * RATE]
    )


@with_a_soundfont
@pytest.mark.parametrize("program", [0, 19, 40, 73])
@pytest.mark.parametrize("pitch", [60, 69, 76])
def test_instruments_of_the_packaged_soundfont_are_in_tune(program: int, pitch: int) -> None:
    sound = play(PACKAGED, score((0, 1, pitch, 100), program=program))[0, 4000:40000]
    cents = 1200 * np.log2(frequency(sound) / (440 * 2 ** ((pitch - 69) / 12)))
    assert abs(cents - 1200 * round(cents / 1200)) < 25  # an organ's stops sound octaves
    assert abs(cents) < 25 or program == 19


@lru_cache(maxsize=1)
def tiny_sound_font(path: Path) -> Any:
    synth = pytest.importorskip(
        "tinysoundfont", reason="pip install --no-deps tinysoundfont"
    ).Synth(samplerate=48000)
    synth.sfload(str(path))
    return synth


@pytest.mark.parametrize(
    "path", [Path(path) for path in (PACKAGED, OTHER_SOUNDFONT) if path is not None]
)
def test_single_notes_are_those_of_tiny_sound_font(path: Path) -> None:
    theirs = tiny_sound_font(path)
    ours = Synthesizer(SoundFont(path), 48000)
    for program in (0, 4, 19, 24, 32, 40, 56, 73, 80):
        theirs.program_change(0, program)
        for pitch, velocity in ((48, 100), (60, 127), (72, 40), (84, 80)):
            theirs.sounds_off()
            theirs.generate(4_800)
            theirs.noteon(0, pitch, velocity)
            other = np.frombuffer(bytes(theirs.generate(48_000)), np.float32).reshape(-1, 2).T
            one = play(ours, score((0, 2, pitch, velocity), program=program), 1.0, 48000)
            for side in (0, 1):
                assert np.corrcoef(one[side], other[side])[0, 1] > 0.98, (program, pitch)
                assert 20 * np.log10(
                    np.linalg.norm(one[side]) / np.linalg.norm(other[side])
                ) == pytest.approx(0, abs=1), (program, pitch)


def test_the_synthesizer_needs_no_torch() -> None:
    program = "import sys; import musiczoo.music.sound.synthesizer, musiczoo.music.sound.render_workers; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
