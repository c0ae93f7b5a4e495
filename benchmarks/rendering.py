"""Rendering: seconds of sound a second for clips of ten seconds, in one process and with workers.

Prints one JSON object.

    python -m benchmarks.rendering [--pieces 64] [--soundfont NAME] [--workers N]

Two kinds of pieces: those of chorales played as written (four voices that sound without a break),
and piano pieces of 85 notes, as long as SMART's completions of 256 tokens. The first time, every
pitch of the soundfont is computed; later runs reuse them. Where tinysoundfont is
installed, it renders the same pieces. Each rate is by the clock and, of one process, by processor
time too, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from musiczoo.music.corpora.names import load_corpus
from musiczoo.music.midi.from_tune import to_score
from musiczoo.music.sound.audio import named_soundfont
from musiczoo.music.sound.rendering import Clip, Renderer, Rendering, render_clip
from musiczoo.music.sound.soundfont import SoundFont
from musiczoo.music.sound.synthesizer import Synthesizer

if TYPE_CHECKING:
    from symusic.core import ScoreTick


def chorales(count: int) -> list[ScoreTick]:
    """Chorales of ten seconds or more, at the pace that makes ten seconds of twenty quarters."""
    return [
        score
        for work in load_corpus("bach-chorales", progress=False)
        if (score := to_score(work.tune, tempo=120)).end() >= 20 * score.tpq
    ][:count]


def completions(count: int) -> list[ScoreTick]:
    """Piano pieces of 85 notes in twenty quarters.

    Random, but of the density and the ranges of what the model writes.
    """
    from symusic.core import NoteTick, ScoreTick, TempoTick, TrackTick

    generator = random.Random(0)
    pieces = []
    for _ in range(count):
        score = ScoreTick(12)
        score.tempos.append(TempoTick(0, 120))
        track = TrackTick("", 0, False)
        for _ in range(85):
            track.notes.append(
                NoteTick(
                    generator.randrange(240),
                    generator.randrange(1, 49),
                    round(generator.gauss(60, 12)),
                    generator.randrange(3, 128, 4),
                )
            )
        score.tracks.append(track)
        pieces.append(score)
    return pieces


def timed(render: Callable[[], Sequence[Clip]]) -> dict[str, float]:
    """Seconds of sound by the clock and by this process's time."""
    clock, processor = time.perf_counter(), time.process_time()
    clips = render()
    taken = time.perf_counter() - clock, time.process_time() - processor
    sound = sum(clip.samples.shape[1] for clip in clips if clip.samples is not None) / 48_000
    return {
        "sound_seconds": round(sound, 1),
        "times_real_time": round(sound / taken[0], 1),
        "by_processor_time": round(sound / taken[1], 1),
    }


def with_workers(
    pieces: list[ScoreTick], rendering: Rendering, workers: int | None
) -> dict[str, Any]:
    """The first and the second time, and the costs of starting and sending."""
    with Renderer(rendering, workers) as renderer:
        started = time.perf_counter()
        renderer.clips(pieces[:1])
        start = time.perf_counter() - started
        renderer.forget()
        rates = []
        for _ in range(3):
            rates.append(timed(lambda: renderer.clips(pieces))["times_real_time"])
            renderer.forget()
    return {
        "start_seconds": round(start, 2),
        "times_real_time_first": rates[0],
        "times_real_time": max(rates[1:]),
    }


def tiny_sound_font(pieces: list[ScoreTick], path: str) -> dict[str, float] | None:
    """The reference's synthesizer on the same pieces, loaded once, in this process."""
    if importlib.util.find_spec("tinysoundfont") is None:
        return None
    import tempfile

    import tinysoundfont

    synth = tinysoundfont.Synth(samplerate=48_000)
    started = time.perf_counter()
    synth.sfload(path)
    load = time.perf_counter() - started

    def render() -> list[Clip]:
        clips = []
        for piece in pieces:
            synth.sounds_off()
            with tempfile.NamedTemporaryFile(suffix=".mid") as file:
                piece.dump_midi(file.name)
                tinysoundfont.Sequencer(synth).midi_load(file.name)
            clips.append(
                Clip(np.frombuffer(bytes(synth.generate(480_000)), np.float32).reshape(-1, 2).T)
            )
        return clips

    return {"load_seconds": round(load, 3), **timed(render)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pieces", type=int, default=64)
    parser.add_argument("--soundfont", default=None)
    parser.add_argument("--workers", type=int, default=None)
    options = parser.parse_args()
    path = str(named_soundfont(options.soundfont))
    started = time.perf_counter()
    Synthesizer(SoundFont(path), 48_000)
    load = time.perf_counter() - started
    rendering = Rendering(path)
    result: dict[str, Any] = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "soundfont": path.rsplit("/", 1)[-1],
        "load_seconds": round(load, 4),
    }
    for name, pieces in (
        ("completions", completions(options.pieces)),
        ("chorales", chorales(options.pieces)),
    ):
        first, again = (
            timed(lambda pieces=pieces: [render_clip(piece, rendering) for piece in pieces])
            for _ in range(2)
        )
        result[name] = {
            "notes_a_clip": round(
                sum(
                    sum(
                        note.start < 20 * piece.tpq
                        for track in piece.tracks
                        for note in track.notes
                    )
                    for piece in pieces
                )
                / len(pieces)
            ),
            "one_process_first": first,
            "one_process": again,
            "workers": with_workers(pieces, rendering, options.workers),
            "tinysoundfont": tiny_sound_font(pieces, path),
        }
    json.dump(result, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
