"""Rewards that listen: what they hear, what they are spared, and one rendering for several of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from symusic import Note, Score, Track

from musiczoo.models.base.generative import Generated
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.rendering import Renderer, Rendering
from musiczoo.rewards.audio import AudioReward
from musiczoo.rewards.base import Scores, ScoresError
from tests.soundfonts import sine_soundfont


class Length(AudioReward):
    name = "length"
    missing = 0

    def score_audio(self, samples: Sequence[NDArray[np.float32]], rate: int) -> Scores:
        self.heard = list(samples)
        seconds = torch.tensor(
            [clip.shape[1] / rate for clip in samples][self.missing :], dtype=torch.float64
        )
        reasons = tuple("too short" if value < 0.3 else None for value in seconds.tolist())
        return Scores(
            seconds.where(seconds >= 0.3, torch.nan), reasons, {"twice": (2 * seconds).float()}
        )


def generated(piece: Score | None, error: MusicZooError | None = None) -> Generated:
    nothing = torch.zeros(0)
    return Generated(piece, "", nothing, nothing, nothing.bool(), "end", error)


def note(quarters: float) -> Score:
    score = Score(480)
    score.tracks.append(Track("", 0))
    score.tracks[0].notes.append(Note(0, round(480 * quarters), 60, 80))
    return score


@pytest.fixture
def renderer(tmp_path: Path) -> Renderer:
    return Renderer(Rendering(str(sine_soundfont(tmp_path / "sine.sf2"))), workers=0)


def test_pieces_without_a_clip_get_a_reason_and_the_others_their_scores(renderer: Renderer) -> None:
    reward = Length(renderer)
    pieces = [note(2), None, Score(0), note(0.5), Score(480), note(4)]
    scores = reward.score(
        [
            generated(piece, MusicZooError("No grammar.") if piece is None else None)
            for piece in pieces
        ]
    )
    torch.testing.assert_close(
        scores.values,
        torch.tensor([1, torch.nan, torch.nan, torch.nan, 1, 2.0]).double(),
        equal_nan=True,
    )
    torch.testing.assert_close(
        scores.details["twice"],
        torch.tensor([2, torch.nan, torch.nan, 0.5, 2, 4.0]).double(),
        equal_nan=True,
    )
    assert scores.reasons[0] is scores.reasons[4] is scores.reasons[5] is None
    assert (scores.reasons[1], scores.reasons[3]) == ("No grammar.", "too short")
    assert "0 ticks" in str(scores.reasons[2])
    assert [clip.shape[0] for clip in reward.heard] == [2] * 4
    assert reward.score([generated(None)]).reasons == ("There is no piece.",)
    assert reward.score([]).values.shape == (0,)


def test_rewards_share_a_renderer(renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Length(renderer), Length(renderer)
    pieces = [generated(note(2)), generated(note(3))]
    one.score(pieces)
    monkeypatch.setattr(
        "musiczoo.music.sound.rendering.render_clip", lambda *args: pytest.fail("rendered again")
    )
    other.score(pieces)
    assert all(first is second for first, second in zip(one.heard, other.heard, strict=True))


def test_a_wrong_number_of_scores_is_an_error(renderer: Renderer) -> None:
    reward = Length(renderer)
    reward.missing = 1
    with pytest.raises(ScoresError, match="length gave 1 scores for 2 clips"):
        reward.score([generated(note(2)), generated(note(3))])
