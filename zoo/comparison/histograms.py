"""Panels of the pictures: histograms of several models in one panel, one colour a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from musiczoo.comparison.measures import Floats
from musiczoo.comparison.tables import label_of
from musiczoo.music.pictures.piano_roll import COLOURS

_WHOLE = ("notes", "pitch_range", "velocity_range", "length")
_SHARES = ("polyphony_rate", "empty_beat_rate", "scale_consistency", "probability")
_BINS = (8, 30)


def histogram(axes: Any, name: str, values: Sequence[Floats], *, means: bool = False) -> None:
    """Draws one measure, a number a completion, with bins that suit it.

    Args:
        axes: Of matplotlib.
        name: Of the measure.
        values: (n,) of each model.
        means: Draw the means as dashed lines.
    """
    bars(axes, bin_edges(name, values), values, 0, means=means)
    axes.set_title(label_of(name), fontsize=10)
    plain_axes(axes)


def bin_edges(name: str, values: Sequence[Floats]) -> Floats:
    """The edges of the bins of a measure, the same for all models.

    Args:
        name: Of the measure.
        values: (n,) of each model; what is not finite is left out.

    Returns:
        (bins + 1,) edges.
    """
    finite = [some[np.isfinite(some)] for some in values]
    known = np.concatenate(finite)
    # As many as the largest of the models' sets can fill.
    bins = int(np.clip(math.sqrt(max(map(len, finite))), *_BINS))
    short = name.rpartition("/")[2]
    if not len(known):
        return np.linspace(0, 1, 2)
    low, high = float(known.min()), float(known.max())
    if short in _SHARES:
        # To the next twentieth; no share is above 1.
        low, high = math.floor(20 * low) / 20, min(1.0, math.ceil(20 * high) / 20)
        return (
            np.linspace(min(low, high - 0.05), high, bins + 1)
            if high > 0.05
            else np.linspace(0, 0.05, bins + 1)
        )
    if short in _WHOLE:
        # Bins of whole numbers, or some of them would hold more numbers than others.
        width = max(1, math.ceil((high - low + 1) / bins))
        count = math.ceil((high - low + 1) / width)
        return np.asarray(low - 0.5 + width * np.arange(count + 1), dtype=np.float64)
    if high - low < 1e-9 * max(1.0, abs(low)):
        return np.array([low - 0.5, low + 0.5])
    return np.linspace(low, high, bins + 1)


def bars(axes: Any, edges: Floats, values: Sequence[Floats], first: int, *, means: bool) -> None:
    """Draws histograms over each other, in percent of each model's finite values.

    Args:
        axes: Of matplotlib.
        edges: (bins + 1,) of the bins.
        values: (n,) of each model.
        first: The number of the first model, which gives its colour.
        means: Draw the means as dashed lines.
    """
    for number, some in enumerate(values, first):
        known = some[np.isfinite(some)]
        if not len(known):
            continue
        colour = COLOURS[number % len(COLOURS)]
        share = np.histogram(known, edges)[0] * 100 / len(known)
        _stairs(axes, share, edges, colour)
        if means:
            axes.axvline(float(known.mean()), color=colour, linewidth=1.2, linestyle=(0, (4, 2)))
    if not any(np.isfinite(some).any() for some in values):
        middle: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center"}
        axes.text(0.5, 0.5, "no values", fontsize=9, color="0.4", **middle)
    axes.margins(x=0.01)
    axes.set_ylim(0, axes.get_ylim()[1])


def distribution(axes: Any, name: str, counts: Sequence[Any]) -> None:
    """Draws the share of each number from 0 to 127 among the notes of all completions.

    Args:
        axes: Of matplotlib.
        name: ``"pitches"`` or ``"velocities"``.
        counts: (128,) of each model.
    """
    # The tokens of REMI distinguish every fourth velocity or so, and every pitch.
    width = 4 if name == "velocities" else 1
    counts = [some.reshape(-1, width).sum(axis=1) for some in counts]
    found = np.flatnonzero(sum(counts))
    low, high = (int(found[0]), int(found[-1])) if len(found) else (0, 128 // width - 1)
    low, high = max(0, low - 1), min(128 // width - 1, high + 1)
    edges = width * np.arange(low, high + 2) - 0.5
    for number, some in enumerate(counts):
        if some.sum():
            colour = COLOURS[number % len(COLOURS)]
            share = some[low : high + 1] * 100 / some.sum()
            _stairs(axes, share, edges, colour)
    axes.set_title(f"{label_of(name)}, all notes", fontsize=10)
    axes.margins(x=0.01)
    axes.set_ylim(bottom=0)
    plain_axes(axes)


def _stairs(axes: Any, share: Any, edges: Any, colour: str) -> None:
    axes.stairs(share, edges, fill=True, color=colour, alpha=0.3)
    axes.stairs(share, edges, color=colour, linewidth=1.1)


def plain_axes(axes: Any) -> None:
    """Sets small labels and removes the frame above and on the right."""
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
