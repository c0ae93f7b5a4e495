"""Scores of the same pieces on several soundfonts, of silence, and of white noise.

Without these rows a rating means little: of SMART's soundfonts the worst and the best lie further
apart than many a piece from another (arXiv 2504.16839, tables 1 and 2).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from musiczoo.comparison.tables import label_of
from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.rendering import Renderer
from musiczoo.rewards.audio import AudioReward, listeners
from musiczoo.rewards.base import Reward, Scores, checked_scores

if TYPE_CHECKING:
    from symusic.core import ScoreTick

_SECONDS = 10.0


def reference_rows(
    reward: Reward,
    pieces: Sequence[ScoreTick | Tune],
    soundfonts: Sequence[str],
    *,
    seed: int = 0,
    timeout: float | None = None,
) -> list[dict[str, Any]]:
    """The means of an audio reward over real pieces on each soundfont, and on silence and noise.

    Args:
        reward: One that scores audio, or a mixture of which the parts that score audio are used;
            the names of these then stand before their axes.
        pieces: Real ones, such as some of the training data.
        soundfonts: Files, or names of installed ones.
        seed: Of the noise.
        timeout: Seconds for each scoring; None waits without end.

    Returns:
        One row a sound, as plain JSON values: ``sound``, ``kind`` (``"soundfont"`` or
        ``"reference"``), ``pieces``, ``means`` and ``sds`` by axis (the value of the reward first;
        None where there is none), ``unscored`` with counts by reason. No rows for a reward that
        scores no audio.

    Raises:
        MusicZooError: There is no such soundfont, or no pieces.
    """
    parts = listeners(reward)
    if not parts:
        return []
    if soundfonts and not pieces:
        raise MusicZooError("There are no pieces to play.", where="pieces", remedy="Give some.")
    first = parts[0].renderer
    settings = first.rendering
    # All soundfonts are looked up before the first one plays.
    players = [
        (name, Renderer(replace(settings, soundfont=name), first.workers, first.timeout))
        for name in dict.fromkeys(soundfonts)
    ]
    music = [_placeholder(piece) for piece in pieces]
    rows = []
    for name, player in players:
        with player:
            played = [_Elsewhere(part, player) for part in parts]
            scores = [checked_scores(part, music, timeout=timeout) for part in played]
            rows.append(_row(name, "soundfont", parts, scores))
    rate = settings.sample_rate
    frames = int(rate * (settings.max_seconds or _SECONDS))
    noise = np.random.default_rng(seed).standard_normal((2, frames)).astype(np.float32)
    sounds = {
        "silence": np.zeros((2, frames), np.float32),
        "white noise": noise / np.abs(noise).max(),
    }
    for name, samples in sounds.items():
        scores = [_scores_of(part, samples, rate, timeout) for part in parts]
        rows.append(_row(name, "reference", parts, scores))
    return rows


class _Elsewhere(AudioReward):
    """A reward that scores audio of another renderer."""

    def __init__(self, reward: AudioReward, renderer: Renderer) -> None:
        super().__init__(renderer)
        self.name = reward.name
        self._reward = reward

    def score_audio(self, samples: Sequence[NDArray[np.float32]], rate: int) -> Scores:
        return self._reward.score_audio(samples, rate)


def _placeholder(piece: ScoreTick | Tune | None) -> Generated:
    nothing = torch.zeros(0)
    return Generated(piece, "", nothing, nothing, nothing.bool(), "end")


def _scores_of(
    part: AudioReward, samples: NDArray[np.float32], rate: int, timeout: float | None
) -> Scores:
    return checked_scores(
        part, [_placeholder(None)], lambda _: part.score_audio([samples], rate), timeout
    )


def _row(
    sound: str, kind: str, parts: Sequence[AudioReward], scores: Sequence[Scores]
) -> dict[str, Any]:
    axes: dict[str, NDArray[np.float64]] = {}
    unscored: Counter[str] = Counter()
    for part, found in zip(parts, scores, strict=True):
        for axis, values in {part.name: found.values, **found.details}.items():
            name = axis if len(parts) == 1 or axis == part.name else f"{part.name}/{axis}"
            axes[name] = values.cpu().double().numpy()
        unscored.update(reason for reason in found.reasons if reason is not None)
    known = {axis: values[np.isfinite(values)] for axis, values in axes.items()}
    return {
        "sound": sound,
        "kind": kind,
        "pieces": len(scores[0].values),
        "means": {
            axis: _json(values.mean() if len(values) else math.nan)
            for axis, values in known.items()
        },
        "sds": {
            axis: _json(values.std(ddof=1) if len(values) > 1 else math.nan)
            for axis, values in known.items()
        },
        "unscored": dict(unscored),
    }


def _json(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def sound_table(rows: Sequence[dict[str, Any]]) -> tuple[str, list[str], list[list[str]]]:
    """The rows of :func:`reference_rows` as text: title, header, rows."""
    axes = list(dict.fromkeys(axis for row in rows for axis in row["means"]))
    cells = []
    for row in rows:
        sound = row["sound"] if row["kind"] == "reference" else Path(row["sound"]).name
        lost = sum(row["unscored"].values())
        values = [row["means"].get(axis) for axis in axes]
        cells.append(
            [
                sound,
                str(row["pieces"] - lost),
                *("-" if value is None else f"{value:.4g}" for value in values),
            ]
        )
    return (
        "The same real pieces on each soundfont, beside silence and white noise",
        ["sound", "scored", *map(label_of, axes)],
        cells,
    )
