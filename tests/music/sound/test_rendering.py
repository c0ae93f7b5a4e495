"""Clips: the rules of SMART's reward, the same bits everywhere, and workers that hang or die."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from symusic import ControlChange, Note, Score, Tempo, Track

from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.from_tune import to_score
from musiczoo.music.sound import audio
from musiczoo.music.sound.audio import named_soundfont, write_flac
from musiczoo.music.sound.note_table import performance
from musiczoo.music.sound.rendering import Clip, Renderer, Rendering, render_clip
from tests.soundfonts import sine_soundfont


def piece(*notes: tuple[float, float, int], tempo: float = 120) -> Score:
    """Notes as (onset, duration, pitch) in quarters."""
    score = Score(480)
    score.tempos.append(Tempo(0, tempo))
    track = Track("Piano", 0)
    for onset, duration, pitch in notes:
        track.notes.append(Note(round(onset * 480), round(duration * 480), pitch, 80))
    score.tracks.append(track)
    return score


@pytest.fixture(scope="module")
def soundfont(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(
        sine_soundfont(tmp_path_factory.mktemp("soundfont") / "sine.sf2", g38=0)
    )  # a release of one second


@pytest.fixture(scope="module")
def workers(soundfont: str) -> Iterator[Renderer]:
    with Renderer(Rendering(soundfont), workers=2, timeout=30) as renderer:
        yield renderer


def test_a_clip_ends_with_the_score_and_peaks_at_one(soundfont: str) -> None:
    clip = render_clip(piece((0, 2, 69), (1, 1, 76)), Rendering(soundfont))
    assert clip.samples is not None
    assert (clip.samples.shape, clip.samples.dtype, clip.reason, clip.is_silent) == (
        (2, 48_000),
        np.float32,
        None,
        False,
    )
    peak = np.abs(clip.samples).max()
    assert 1 - 1e-4 < peak < 1
    slow = render_clip(piece((0, 1, 69), tempo=90), Rendering(soundfont, sample_rate=22_050))
    assert slow.samples is not None
    assert slow.samples.shape == (2, int(22_050 * 60 / 90))


def test_a_piece_is_cut_at_a_hundred_quarters_then_at_ten_seconds(soundfont: str) -> None:
    long = piece(*((beat, 3, 60 + beat % 12) for beat in range(200)), tempo=960)
    beats = render_clip(long, Rendering(soundfont))
    assert beats.samples is not None
    assert beats.samples.shape[1] == int(48_000 * 100 * 60 / 960)
    # Notes that sound on beyond the cut are left out, as by the reference's Score.clip(0, end,
    # clip_end=True).
    cut = piece(*((beat, 3, 60 + beat % 12) for beat in range(98)), tempo=960)
    np.testing.assert_array_equal(beats.samples, render_clip(cut, Rendering(soundfont)).samples)
    seconds = render_clip(piece(*((beat, 30, 60) for beat in range(50))), Rendering(soundfont))
    assert seconds.samples is not None
    assert seconds.samples.shape == (2, 480_000)
    every = render_clip(long, Rendering(soundfont, max_beats=None, max_seconds=None))
    assert every.samples is not None
    assert every.samples.shape[1] == int(48_000 * 202 * 60 / 960)


def test_what_is_played_after_ten_seconds_changes_no_bit_but_the_peak(soundfont: str) -> None:
    start = [(beat, 1.5, 60 + beat % 12) for beat in range(20)]
    short = render_clip(piece(*start, (19.9, 40, 50)), Rendering(soundfont))
    longer = render_clip(
        piece(*start, (19.9, 40, 50), *((beat, 1, 80) for beat in range(20, 60))),
        Rendering(soundfont),
    )
    np.testing.assert_array_equal(short.samples, longer.samples)


@pytest.mark.parametrize("silent", [Score(480), piece(), piece((0, 0, 60))])
def test_silence_is_a_second_of_zeros(silent: Score, soundfont: str) -> None:
    for score in (silent, silent.copy()):
        clip = render_clip(score, Rendering(soundfont))
        assert clip.is_silent
        assert clip.samples is not None
        assert clip.samples.shape == (2, 48_000)
        assert not clip.samples.any()
        score.tempos.append(Tempo(960, 100))  # a score that lasts, without notes


def test_a_score_lasts_as_long_as_its_last_event(soundfont: str) -> None:
    score = piece((0, 1, 60))
    score.tracks[0].controls.append(ControlChange(960, 64, 0))
    clip = render_clip(score, Rendering(soundfont))
    assert clip.samples is not None
    assert clip.samples.shape[1] == 48_000


def test_tunes_are_played_with_their_repeats(soundfont: str) -> None:
    tune = read_abc("X:1\nL:1/4\nM:4/4\nQ:1/4=120\nK:C\n|: ABcd :|\n")
    np.testing.assert_array_equal(
        render_clip(tune, Rendering(soundfont)).samples,
        render_clip(to_score(tune), Rendering(soundfont)).samples,
    )
    assert "bar 1" in str(
        render_clip(read_abc("X:1\nL:1/4\nK:C\nA2/0 |\n"), Rendering(soundfont)).reason
    )


def bad_scores() -> dict[str, Score]:
    negative, absurd = piece((0, 1, 60)), piece((0, 1, 60))
    negative.tempos[0] = Tempo(0, mspq=-500_000)
    absurd.tempos[0] = Tempo(0, mspq=1)
    crowd = piece(*((step / 960, 1, 60) for step in range(13_000)))
    still = piece((0, 1, 60))
    still.tempos[0] = Tempo(0, mspq=0)
    return {
        "tempo": still,
        "-120 quarters": negative,
        "60,000,000 quarters": absurd,
        "0 ticks": Score(0),
        "13,000 notes": crowd,
    }


@pytest.mark.parametrize("reason", list(bad_scores()))
def test_scores_that_cannot_be_played_have_a_reason(
    reason: str, soundfont: str, workers: Renderer
) -> None:
    score = bad_scores()[reason]
    for clip in (render_clip(score, Rendering(soundfont)), *workers.clips([score])):
        assert clip.samples is None
        assert reason in str(clip.reason)


def test_clips_of_long_notes_cost_no_more_than_they_sound(soundfont: str) -> None:
    clip = render_clip(
        piece((0, 4_000_000, 60), (0, 4_000_000, 64)), Rendering(soundfont, max_beats=None)
    )
    assert clip.samples is not None
    assert clip.samples.shape == (2, 480_000)
    hours = render_clip(
        piece((0, 4_000_000, 60)), Rendering(soundfont, max_beats=None, max_seconds=None)
    )
    assert "hours" in str(hours.reason)


def test_settings_that_make_no_sense() -> None:
    for settings in (
        {"sample_rate": 10},
        {"max_beats": 0},
        {"max_seconds": -1},
        {"max_seconds": float("nan")},
    ):
        with pytest.raises(MusicZooError):
            Rendering(**settings)  # type: ignore[arg-type]
    for options in ({"timeout": 0}, {"workers": -1}):
        with pytest.raises(MusicZooError):
            Renderer(**options)  # type: ignore[arg-type]


def test_soundfonts_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "SOUNDFONT_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in ("FluidR3_GM.sf2", "MuseScore_General_Lite.sf3", "TimGM6mb.sf2"):
        sine_soundfont(tmp_path / name)
    for name, file in (
        ("fluidr3", "FluidR3_GM.sf2"),
        ("FluidR3_GM", "FluidR3_GM.sf2"),
        ("musescore-general", "MuseScore_General_Lite.sf3"),
        ("timgm6mb-soundfont", "TimGM6mb.sf2"),
        (str(tmp_path / "TimGM6mb.sf2"), "TimGM6mb.sf2"),
    ):
        assert named_soundfont(name) == tmp_path / file
    assert named_soundfont(None) == tmp_path / "MuseScore_General_Lite.sf3"
    for name in ("steinway", "", str(tmp_path / "none.sf2"), "none.sf2"):
        for ask in (
            named_soundfont,
            lambda name: Renderer(Rendering(name)),
            lambda name: render_clip(piece(), Rendering(name)),
        ):
            with pytest.raises(
                MusicZooError,
                match=r"does not exist.*FluidR3_GM\.sf2, MuseScore_General_Lite\.sf3, TimGM6mb\.sf2",
            ):
                ask(name)
    (tmp_path / "TimGM6mb.sf2").write_bytes(b"RIFF")
    with pytest.raises(MusicZooError, match="no soundfont"):
        Renderer(Rendering("timgm6mb"))


def test_flac_files(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    samples = np.array([[0.0, 0.5, -1.0, 2.0], [0.0, -0.5, 1.0, -2.0]], dtype=np.float32)
    found, rate = soundfile.read(write_flac(tmp_path / "x.flac", samples, 48_000), dtype="int16")
    assert rate == 48_000
    np.testing.assert_array_equal(found.T, [[0, 16384, -32767, 32767], [0, -16384, 32767, -32767]])
    with pytest.raises(MusicZooError, match="finite"):
        write_flac(tmp_path / "bad.flac", np.array([np.nan]))
    assert not (tmp_path / "bad.flac").exists()


def same(one: Clip, other: Clip) -> bool:
    return (
        one.reason == other.reason
        and one.is_silent == other.is_silent
        and np.array_equal(one.samples, other.samples)
    )


def test_workers_give_the_same_bits(soundfont: str, workers: Renderer) -> None:
    pieces = [
        piece(*((beat, 1.5, 40 + (number + 7 * beat) % 50) for beat in range(8)))
        for number in range(6)
    ] + [Score(480)]
    here = Renderer(Rendering(soundfont), workers=0)
    for clip, other, third in zip(
        workers.clips(pieces),
        here.clips(pieces),
        map(render_clip, pieces, [Rendering(soundfont)] * 7),
        strict=True,
    ):
        assert same(clip, other)
        assert same(clip, third)
    assert workers.clips([None])[0].reason == "There is no piece."
    tune = read_abc("X:1\nL:1/4\nK:C\nABcd |\n")
    assert same(workers.clips([tune])[0], render_clip(tune, Rendering(soundfont)))


def test_a_piece_is_rendered_once(workers: Renderer) -> None:
    one = piece((0, 1, 60))
    workers.begin(one)
    workers.begin(one)
    [clip] = workers.clips([one])
    assert workers.clips([one, one]) == [clip, clip]
    workers.forget()
    assert workers.clips([one])[0] is not clip


def test_a_copy_starts_workers_of_its_own(workers: Renderer) -> None:
    copy = pickle.loads(pickle.dumps(workers))
    assert (copy.rendering, copy.workers, copy.timeout) == (workers.rendering, 2, 30)
    copy.close()


class Troublesome:
    """In place of a piece: what its pickle does when a worker opens it."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, ...]:
        return self.call[0], self.call[1:]


@pytest.mark.slow
def test_pieces_that_hang_or_kill_their_worker_cost_their_own_clip(soundfont: str) -> None:
    good = [piece((0, 1, pitch)) for pitch in range(60, 66)]
    with Renderer(Rendering(soundfont), workers=2, timeout=3) as renderer:
        renderer.clips(good[:2])
        pieces = [
            good[2],
            Troublesome(os._exit, 7),
            good[3],
            Troublesome(time.sleep, 60),
            good[4],
            Troublesome(int, "x"),
            good[5],
        ]
        started = time.monotonic()
        clips = renderer.clips(pieces)  # type: ignore[arg-type]
        assert time.monotonic() - started < 50
        assert [clip.reason for clip in clips[::2]] == [None] * 4
        assert [clip.reason for clip in clips[1::2]] == [
            "The process that rendered it died (exit code 7).",
            "Rendering took longer than 3 seconds.",
            "Rendering raised ValueError: invalid literal for int() with base 10: 'x'",
        ]
        assert all(
            same(clip, render_clip(score, Rendering(soundfont)))
            for clip, score in zip(clips[::2], good[2:], strict=True)
        )


def worker_of(renderer: Renderer) -> int:
    assert renderer._pool is not None
    process = renderer._pool._minders[0]._process
    assert process is not None
    return process.pid


def test_a_worker_killed_between_pieces_costs_nothing(soundfont: str) -> None:
    with Renderer(Rendering(soundfont), workers=1) as renderer:
        renderer.clips([piece((0, 1, 60))])
        worker = worker_of(renderer)
        os.kill(worker, signal.SIGKILL)
        assert renderer.clips([piece((0, 1, 61))])[0].reason is None
        assert worker_of(renderer) != worker
        worker = worker_of(renderer)
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_closing_ends_what_is_under_way(soundfont: str) -> None:
    renderer = Renderer(Rendering(soundfont), workers=1)
    slow = Troublesome(time.sleep, 60)
    started = time.monotonic()
    renderer.begin(slow)  # type: ignore[arg-type]
    renderer.begin(piece((0, 1, 60)))
    renderer.close()
    assert time.monotonic() - started < 20
    assert renderer.clips([piece((0, 1, 60))])[0].reason is None  # and it starts again
    renderer.close()


@pytest.mark.slow
@pytest.mark.parametrize("busy", [False, True])
def test_workers_end_with_a_parent_that_is_killed(
    busy: bool, soundfont: str, tmp_path: Path
) -> None:
    # A script without a __main__ guard, which could not start multiprocessing's own workers.
    script = tmp_path / "script.py"
    script.write_text(
        "import time\nfrom symusic import Note, Score, Track\nfrom musiczoo.music.sound.rendering import Renderer, Rendering\n"
        f"renderer = Renderer(Rendering({soundfont!r}), workers=1)\n"
        "score = Score(480)\nscore.tracks.append(Track('', 0))\nscore.tracks[0].notes.append(Note(0, 480, 60, 80))\n"
        "renderer.clips([score])\n"
        "class Slow:\n    def __reduce__(self):\n        return time.sleep, (60,)\n"
        + ("renderer.begin(Slow())\ntime.sleep(0.5)\n" if busy else "")
        + "print(renderer._pool._minders[0]._process.pid, flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert Path(f"/proc/{worker}").exists() or sys.platform != "linux"
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        if (
            Path(f"/proc/{worker}/stat").exists()
            and Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z"
        ):
            return  # ended, and nobody has asked yet how
        time.sleep(0.1)
    pytest.fail("the worker lives on")


def test_workers_that_cannot_start_are_told(
    soundfont: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = sine_soundfont(tmp_path / "gone.sf2")
    with Renderer(Rendering(str(gone)), workers=1) as renderer:
        gone.unlink()
        with pytest.raises(MusicZooError, match=r"did not start.*gone\.sf2"):
            renderer.clips([piece((0, 1, 60))])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        Renderer(Rendering(soundfont), workers=1) as renderer,
        pytest.raises(MusicZooError, match="did not start"),
    ):
        renderer.clips([piece((0, 1, 60))])


def test_a_performance_is_a_table_of_notes_in_seconds() -> None:
    score = piece((1, 2, 60), (0, 4, 50), tempo=60)
    score.tracks.append(Track("Drums", 3, True))
    score.tracks[1].notes.append(Note(480, 240, 38, 99))
    score.tempos.append(Tempo(960, 120))
    played = performance(score)
    assert played.onset.tolist() == [0, 1, 1]
    assert played.duration.tolist() == [3, 1.5, 0.5]
    assert played.pitch.tolist() == [50, 60, 38]
    assert (played.velocity.tolist(), played.program.tolist(), played.drum.tolist()) == (
        [80, 80, 99],
        [0, 0, 3],
        [False, False, True],
    )
    assert played.seconds == 3
    assert performance(score, max_beats=1).duration.tolist() == []
    assert performance(score, max_beats=3).pitch.tolist() == [60, 38]
    assert performance(score, max_seconds=1).duration.tolist() == [3]
