"""Mel aesthetics as a reward: through the renderer, each clip on its own, and the shipped model."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from symusic.core import NoteTick, ScoreTick, TempoTick, TrackTick

from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.models.base.generative import Generated
from musiczoo.models.mel_aesthetics import MelAestheticsModule
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.rendering import Renderer
from musiczoo.rewards import MelAesthetics

RATE = 48_000


def piece(pitches: list[int], ticks: int = 240) -> ScoreTick:
    score = ScoreTick(480)
    score.tempos.append(TempoTick(0, 120.0))
    track = TrackTick("", 0, False)
    for index, pitch in enumerate(pitches):
        track.notes.append(NoteTick(ticks * index, ticks, pitch, 80))
    score.tracks.append(track)
    return score


def generated(score: ScoreTick | None) -> Generated:
    none = torch.zeros(0)
    error = None if score is not None else MusicZooError("no notes")
    return Generated(score, "", none.long(), none, none.bool(), "end", error)  # type: ignore[arg-type]


def tiny() -> MelAestheticsModule:
    torch.manual_seed(0)
    module = MelAestheticsModule(channels=4, width=8, layers=1)
    module.real_logits = (-0.5, 0.0, 1.0)
    return module


def preferred(logits: torch.Tensor) -> torch.Tensor:
    """Computed in another way: the mean chance against each of the real clips."""
    return torch.stack([torch.sigmoid(logits - real) for real in (-0.5, 0.0, 1.0)]).mean(dim=0)


def test_pieces_are_rendered_and_scored() -> None:
    module = tiny()
    renderer = Renderer(workers=0)
    pieces = [piece([60, 64, 67, 72]), piece([40, 41]), piece([])]
    scores = MelAesthetics(module, renderer).score(
        [generated(pieces[0]), generated(None), generated(pieces[1]), generated(pieces[2])]
    )
    clips = renderer.clips(pieces)
    expected = module.scores([clip.samples for clip in clips if clip.samples is not None], RATE)
    torch.testing.assert_close(scores.values[[0, 2, 3]], preferred(expected))
    assert scores.values[1].isnan()
    assert scores.reasons[0] is None
    assert "no notes" in str(scores.reasons[1])
    assert torch.equal(scores.details["logit"][[0, 2, 3]], expected)


def test_what_is_no_sound_has_a_reason() -> None:
    reward = MelAesthetics(tiny(), Renderer(workers=0))
    good = np.random.default_rng(0).normal(size=(2, RATE)).astype(np.float32)
    scores = reward.score_audio([good, np.full((2, 10), np.nan, np.float32), good], RATE)
    assert scores.values[0] == scores.values[2]
    assert scores.values[1].isnan()
    assert "finite" in str(scores.reasons[1])
    assert scores.reasons[0] is None


def test_weights_by_name(tmp_path: Path) -> None:
    save_checkpoint(tiny(), tmp_path / "scorer")
    sound = [np.random.default_rng(0).normal(size=(2, RATE)).astype(np.float32)]
    named = MelAesthetics(f"local-dir:{tmp_path / 'scorer'}", Renderer(workers=0))
    torch.testing.assert_close(
        named.score_audio(sound, RATE).values, preferred(tiny().eval().scores(sound, RATE))
    )
    unheard = MelAestheticsModule(channels=4, width=8, layers=1)
    with pytest.raises(MusicZooError, match="gives real music are not known"):
        MelAesthetics(unheard, Renderer(workers=0)).score_audio(sound, RATE)
    with pytest.raises(MusicZooError, match="does not score sound"):
        MelAesthetics("m3-small", Renderer(workers=0)).score_audio(sound, RATE)


# Amazing Grace without its words, in G.
MELODY = [62, 67, 71, 67, 71, 69, 67, 64, 62, 62, 67, 71, 67, 71, 69, 74]


def test_the_shipped_ear_prefers_music() -> None:
    reward = MelAesthetics(renderer=Renderer(workers=0))
    rng = random.Random(1)
    music = [piece([pitch + shift for pitch in MELODY]) for shift in (-5, 0, 5)]
    worse = {
        "random": piece([rng.randrange(30, 100) for _ in MELODY]),
        "stuck": piece([60] * len(MELODY)),
        "silence": piece([]),
        "one note": piece([60]),
        "cluster": _cluster(rng),
    }
    values = reward([generated(score) for score in [*music, *worse.values()]]).tolist()
    assert min(values[:3]) > max(values[3:]), dict(zip(worse, values[3:], strict=True))
    noise = np.random.default_rng(0).normal(size=(2, 4 * RATE)).astype(np.float32)
    assert reward.score_audio([noise / np.abs(noise).max()], RATE).values[0] < min(values[:3])


def _cluster(rng: random.Random) -> ScoreTick:
    score = piece(MELODY)
    for _ in range(60):
        score.tracks[0].notes.append(NoteTick(rng.randrange(3800), 200, rng.randrange(40, 90), 80))
    return score
