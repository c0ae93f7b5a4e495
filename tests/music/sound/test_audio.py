"""Sound from a soundfont made here: one looped sine, two octaves of General MIDI's range are enough to find a pitch."""

from __future__ import annotations

import os
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound import audio
from musiczoo.music.sound.audio import find_soundfont, render_audio, write_wav

TUNE = read_abc("X:1\nL:1/4\nM:4/4\nQ:1/4=120\nK:C\nA4 |\n")


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def tiny_soundfont(path: Path) -> Path:
    """An SF2 file (SoundFont 2.01 technical specification) whose every program plays a sine: 100 samples a period, so 441 Hz is key 69."""
    sine = (12000 * np.sin(2 * np.pi * np.arange(1000) / 100)).astype("<i2").tobytes() + b"\0" * 92
    info = b"".join(
        [
            chunk(b"ifil", struct.pack("<HH", 2, 1)),
            chunk(b"isng", b"EMU8000\0"),
            chunk(b"INAM", b"sine\0\0"),
        ]
    )
    loop_on, sample_id, instrument = 54, 53, 41
    records = {
        b"phdr": struct.pack("<20sHHHIII", b"sine", 0, 0, 0, 0, 0, 0)
        + struct.pack("<20sHHHIII", b"EOP", 0, 0, 1, 0, 0, 0),
        b"pbag": struct.pack("<HHHH", 0, 0, 1, 0),
        b"pmod": b"\0" * 10,
        b"pgen": struct.pack("<HHHH", instrument, 0, 0, 0),
        b"inst": struct.pack("<20sH", b"sine", 0) + struct.pack("<20sH", b"EOI", 1),
        b"ibag": struct.pack("<HHHH", 0, 0, 2, 0),
        b"imod": b"\0" * 10,
        b"igen": struct.pack("<HHHHHH", loop_on, 1, sample_id, 0, 0, 0),
        b"shdr": struct.pack("<20sIIIIIBbHH", b"sine", 0, 1000, 100, 900, 44100, 69, 0, 0, 1)
        + struct.pack("<20sIIIIIBbHH", b"EOS", *[0] * 9),
    }
    body = chunk(b"LIST", b"INFO" + info) + chunk(b"LIST", b"sdta" + chunk(b"smpl", sine))
    body += chunk(b"LIST", b"pdta" + b"".join(chunk(name, data) for name, data in records.items()))
    path.write_bytes(chunk(b"RIFF", b"sfbk" + body))
    return path


@pytest.fixture
def soundfont(tmp_path: Path) -> Path:
    return tiny_soundfont(tmp_path / "sine.sf2")


def test_the_right_pitch_sounds_for_the_right_time(soundfont: Path) -> None:
    samples = render_audio(TUNE, soundfont=soundfont)
    assert samples.dtype == np.float32
    assert samples.shape[0] == 2
    assert 2.0 <= samples.shape[1] / 44100 < 4.0  # four quarters at 120, then the release
    assert 0.01 < np.abs(samples).max() <= 1.0
    second = samples[0, 22050 : 22050 + 44100]
    assert (
        abs(float(np.argmax(np.abs(np.fft.rfft(second)))) - 441) <= 1
    )  # one second: bins are hertz
    np.testing.assert_array_equal(samples, render_audio(TUNE, soundfont=soundfont))


def test_sample_rate_and_loudness(soundfont: Path) -> None:
    low = render_audio(TUNE, soundfont=soundfont, sample_rate=22050)
    assert abs(low.shape[1] * 2 - render_audio(TUNE, soundfont=soundfont).shape[1]) < 44100 * 0.2
    loud = read_abc("X:1\nL:1/4\nM:4/4\nK:C\n[ABcdefgabc'd'e'f'g'a'b']4 |\n")
    assert np.abs(render_audio(loud, soundfont=soundfont)).max() <= 1.0


def test_the_environment_names_the_soundfont(
    soundfont: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSICZOO_SOUNDFONT", str(soundfont))
    assert find_soundfont() == soundfont
    monkeypatch.setenv("MUSICZOO_SOUNDFONT", str(soundfont.parent / "gone.sf2"))
    with pytest.raises(MusicZooError, match="does not exist"):
        find_soundfont()


def test_the_best_installed_soundfont_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MUSICZOO_SOUNDFONT", raising=False)
    monkeypatch.setattr(audio, "SOUNDFONT_FOLDERS", (str(tmp_path),))
    packaged = find_soundfont()
    assert packaged is not None
    assert packaged.parent.name == "pretty_midi"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert find_soundfont() is None
    with pytest.raises(MusicZooError, match=r"no soundfont.*apt-get install"):
        render_audio(TUNE)
    for name in ("another.sf2", "TimGM6mb.sf2", "notes.txt", "MuseScore_General_Lite.sf3"):
        (tmp_path / name).write_bytes(b"")
    assert find_soundfont() == tmp_path / "MuseScore_General_Lite.sf3"


def test_soundfonts_and_rates_that_cannot_be_used(tmp_path: Path, soundfont: Path) -> None:
    for name, content in (
        ("empty.sf2", b""),
        ("text.sf2", b"no soundfont at all"),
        ("cut.sf2", soundfont.read_bytes()[:700]),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MusicZooError, match="soundfont"):
            render_audio(TUNE, soundfont=tmp_path / name)
    with pytest.raises(MusicZooError, match="does not exist"):
        render_audio(TUNE, soundfont=tmp_path / "none.sf2")
    with pytest.raises(MusicZooError, match="out of range"):
        render_audio(TUNE, soundfont=soundfont, sample_rate=10)
    with pytest.raises(MusicZooError, match="hours"):
        render_audio(read_abc("X:1\nL:1/4\nQ:1/4=1\nM:4/4\nK:C\nA1000 |\n"), soundfont=soundfont)


@pytest.mark.skipif(
    find_soundfont() is None, reason="no soundfont is installed on this machine (see the README)"
)
def test_the_installed_soundfont_sounds() -> None:
    assert np.abs(render_audio(TUNE)).max() > 0.01


def test_wav_files(tmp_path: Path) -> None:
    samples = np.array([[0.0, 0.5, -1.0, 2.0], [0.0, -0.5, 1.0, -2.0]], dtype=np.float32)
    path = write_wav(tmp_path / "x.wav", samples, 22050)
    with wave.open(os.fspath(path)) as sound:
        assert (
            sound.getnchannels(),
            sound.getsampwidth(),
            sound.getframerate(),
            sound.getnframes(),
        ) == (2, 2, 22050, 4)
        frames = np.frombuffer(sound.readframes(4), "<i2").reshape(4, 2).T
    np.testing.assert_array_equal(frames, [[0, 16384, -32767, 32767], [0, -16384, 32767, -32767]])
    for bad in (np.zeros((3, 5)), np.array([0.0, np.nan])):
        with pytest.raises(MusicZooError):
            write_wav(tmp_path / "bad.wav", bad)
    assert not (tmp_path / "bad.wav").exists()
