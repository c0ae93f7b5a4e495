"""MIDI files for tests: random piano pieces, and files that are damaged in every way that users' files are."""

from __future__ import annotations

import random
from pathlib import Path

from symusic.core import NoteTick, ScoreTick, TempoTick, TimeSignatureTick, TrackTick


def random_score(
    seed: int, *, bars: int = 12, notes_per_bar: int = 8, program: int = 0
) -> ScoreTick:
    """A piece in 4/4 on a grid of eighths, which no other seed resembles."""
    rng = random.Random(seed)
    score = ScoreTick(480)
    score.tempos.append(TempoTick(0, float(rng.randrange(60, 180))))
    score.time_signatures.append(TimeSignatureTick(0, 4, 4))
    track = TrackTick("Piano", program, False)
    for bar in range(bars):
        for _ in range(notes_per_bar):
            start = bar * 1920 + 240 * rng.randrange(8)
            track.notes.append(
                NoteTick(
                    start, 240 * rng.randrange(1, 5), rng.randrange(30, 100), rng.randrange(20, 120)
                )
            )
    score.tracks.append(track)
    return score


def write_midi(score: ScoreTick, path: Path) -> Path:
    """Writes a file and makes its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(score.dumps_midi())
    return path


def write_bad_files(folder: Path) -> dict[str, str]:
    """Writes files that cannot be used; their names with what the reason must hold."""
    folder.mkdir(parents=True, exist_ok=True)
    good = random_score(900).dumps_midi()
    files = {
        "corrupt.mid": (good[:200] + b"\xf4" * 200 + good[400:], "damaged"),
        "cut.mid": (good[: len(good) // 2], "cut short"),
        "no_ticks.mid": (good[:12] + b"\0\0" + good[14:], "0 ticks"),
        "empty.mid": (b"", "empty"),
        "text.mid": (b"this is no MIDI file" * 10, "no MIDI file"),
        "violin.mid": (random_score(901, program=40).dumps_midi(), "programs"),
        "dense.mid": (random_score(902, bars=2, notes_per_bar=2000).dumps_midi(), "notes"),
        "gaps.mid": (_with_gaps().dumps_midi(), "empty"),
        "silent.mid": (ScoreTick(480).dumps_midi(), "no notes"),
        "high.mid": (_too_high().dumps_midi(), "range of the vocabulary"),
    }
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    return {name: reason for name, (_, reason) in files.items()}


def _with_gaps() -> ScoreTick:
    score = random_score(903)
    score.tracks[0].notes.append(NoteTick(1920 * 40, 240, 60, 80))
    return score


def _too_high() -> ScoreTick:
    score = random_score(904)
    for note in score.tracks[0].notes:
        note.pitch = 115
    return score
