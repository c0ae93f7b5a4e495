"""Pictures of portraits side by side: features, rewards, mean piano rolls (SMART, arXiv 2504.16839, figures 3, 4, 6 and 7)."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from musiczoo.comparison.evaluation import Floats, Portrait
from musiczoo.comparison.tables import VELOCITY_NOTE, label_of
from musiczoo.metrics.midi_features import FEATURE_NAMES
from musiczoo.metrics.piano_rolls import BEATS, STEPS_PER_BEAT
from musiczoo.music.errors import MusicZooError
from musiczoo.music.pictures.charts import chart, png_of
from musiczoo.music.pictures.piano_roll import COLOURS

_WHOLE = ("notes", "pitch_range", "velocity_range", "length")
_SHARES = ("polyphony_rate", "empty_beat_rate", "scale_consistency", "probability")
_BINS = (8, 30)


def features_picture(
    portraits: Sequence[Portrait], path: str | Path | None = None, *, dpi: int = 130
) -> bytes:
    """The eight features as histograms, one colour a model (figure 4).

    Args:
        portraits: Of the models, the base first.
        path: Where to write the PNG as well, or None.
        dpi: Dots an inch.

    Returns:
        The PNG file's bytes.

    Raises:
        MusicZooError: No portraits, or a path that cannot be written.
    """
    _some(portraits)
    figure = chart(15.0, 7.0, dpi)
    panels = figure.subplots(2, 4).flatten()
    order = (
        "notes",
        "polyphony_rate",
        "empty_beat_rate",
        "pitches",
        "pitch_range",
        "scale_consistency",
        "velocities",
        "velocity_range",
    )
    for axes, feature in zip(panels, order, strict=True):
        if feature in FEATURE_NAMES:
            _histogram(axes, feature, [portrait.features[feature] for portrait in portraits])
            axes.set_ylabel("% of pieces", fontsize=8)
        else:
            _distribution(axes, feature, [getattr(portrait, feature) for portrait in portraits])
            axes.set_ylabel("% of notes", fontsize=8)
    panels[order.index("velocities")].set_xlabel(
        "\n".join(textwrap.wrap(VELOCITY_NOTE, 56)), fontsize=7, color="0.35"
    )
    _legend(
        figure,
        portraits,
        [np.isfinite(portrait.features["notes"]).sum() for portrait in portraits],
        "pieces with notes",
    )
    return png_of(figure, path)


def rewards_picture(
    portraits: Sequence[Portrait], path: str | Path | None = None, *, dpi: int = 130
) -> bytes:
    """The value of the reward and each of its axes as histograms, one colour a model, the means as dashed lines (figure 3).

    Args:
        portraits: Of the models, the base first.
        path: Where to write the PNG as well, or None.
        dpi: Dots an inch.

    Returns:
        The PNG file's bytes.

    Raises:
        MusicZooError: No portraits, none with a reward, or a path that cannot be written.
    """
    _some(portraits)
    # What is a feature too has its place in the other picture.
    names = [
        name
        for name in dict.fromkeys(name for one in portraits for name in one.rewards)
        if name not in FEATURE_NAMES
    ]
    if not names:
        raise MusicZooError("The portraits have no rewards.", remedy="Give portray() a reward.")
    columns = min(4, len(names))
    rows = math.ceil(len(names) / columns)
    figure = chart(max(3.9 * columns, 5.5), 3.2 * rows + 0.5, dpi)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, name in zip(panels, names, strict=False):
        _histogram(
            axes,
            name,
            [portrait.rewards.get(name, np.zeros(0)) for portrait in portraits],
            means=True,
        )
        axes.set_ylabel("% of pieces", fontsize=8)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    scored = [
        max((np.isfinite(values).sum() for values in portrait.rewards.values()), default=0)
        for portrait in portraits
    ]
    _legend(figure, portraits, scored, "pieces with a reward")
    return png_of(figure, path)


def rolls_picture(
    portraits: Sequence[Portrait], path: str | Path | None = None, *, dpi: int = 130
) -> bytes:
    """The mean piano roll of each model's pieces, and above it the reward of these (figure 6).

    All rolls have one scale of colours and show the same pitches, so that they can be compared.

    Args:
        portraits: Of the models, the base first.
        path: Where to write the PNG as well, or None.
        dpi: Dots an inch.

    Returns:
        The PNG file's bytes.

    Raises:
        MusicZooError: No portraits, or a path that cannot be written.
    """
    from matplotlib.colors import PowerNorm

    _some(portraits)
    rolls = [np.nan_to_num(portrait.roll) for portrait in portraits]
    pitches = np.flatnonzero(np.max([roll.max(axis=1) for roll in rolls], axis=0))
    low, high = (int(pitches[0]), int(pitches[-1])) if len(pitches) else (21, 108)
    name = next((name for portrait in portraits for name in portrait.rewards), None)
    heights = [1.0, 2.6] if name is not None else [2.6]
    figure = chart(max(3.4 * len(portraits) + 0.9, 5.5), 1.9 * sum(heights) / 1.4, dpi)
    grid = figure.subplots(len(heights), len(portraits), squeeze=False, height_ratios=heights)
    # The square root shows what is rare: a model of much variety has a pale roll.
    norm = PowerNorm(0.5, vmin=0.0, vmax=max(float(max(roll.max() for roll in rolls)), 1e-9))
    for number, (portrait, roll) in enumerate(zip(portraits, rolls, strict=True)):
        axes = grid[-1][number]
        extent = (0, roll.shape[1] / STEPS_PER_BEAT, low - 0.5, high + 0.5)
        drawn = axes.imshow(
            roll[low : high + 1],
            cmap="magma_r",
            norm=norm,
            origin="lower",
            aspect="auto",
            extent=extent,
            interpolation="nearest",
        )
        axes.set_xticks(range(0, BEATS + 1, 4))
        axes.set_xlabel("beat", fontsize=9)
        axes.tick_params(labelsize=8)
        grid[0][number].set_title(
            _short(portrait.name), fontsize=10, color=COLOURS[number % len(COLOURS)]
        )
    grid[-1][0].set_ylabel("pitch (MIDI number)", fontsize=9)
    bar = figure.colorbar(drawn, ax=list(grid[-1]), fraction=0.05, pad=0.02)
    bar.set_label("part of the pieces", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    if name is not None:
        values = [portrait.rewards.get(name, np.zeros(0)) for portrait in portraits]
        edges = _edges(name, values)
        for number, (axes, some) in enumerate(zip(grid[0], values, strict=True)):
            _bars(axes, edges, [some], number, means=True)
            axes.set_xlabel(label_of(name), fontsize=8)
            _quiet(axes)
        highest = max(axes.get_ylim()[1] for axes in grid[0])
        for axes in grid[0]:
            axes.set_ylim(0, highest)
        grid[0][0].set_ylabel("% of pieces", fontsize=8)
    return png_of(figure, path)


def _some(portraits: Sequence[Portrait]) -> None:
    if not portraits:
        raise MusicZooError("There are no portraits to draw.", remedy="Give one or more.")


def _histogram(axes: Any, name: str, values: Sequence[Floats], *, means: bool = False) -> None:
    _bars(axes, _edges(name, values), values, 0, means=means)
    axes.set_title(label_of(name), fontsize=10)
    _quiet(axes)


def _edges(name: str, values: Sequence[Floats]) -> Floats:
    """Those of the bins, the same for all models."""
    finite = [some[np.isfinite(some)] for some in values]
    known = np.concatenate(finite)
    # As many as the largest of the models' sets can fill.
    bins = int(np.clip(math.sqrt(max(map(len, finite))), *_BINS))
    short = name.rpartition("/")[2]
    if not len(known):
        return np.linspace(0, 1, 2)
    low, high = float(known.min()), float(known.max())
    if short in _SHARES:
        # To the next twentieth, and no further than shares go.
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


def _bars(axes: Any, edges: Floats, values: Sequence[Floats], first: int, *, means: bool) -> None:
    for number, some in enumerate(values, first):
        known = some[np.isfinite(some)]
        if not len(known):
            continue
        colour = COLOURS[number % len(COLOURS)]
        share = np.histogram(known, edges)[0] * 100 / len(known)
        axes.stairs(share, edges, fill=True, color=colour, alpha=0.3)
        axes.stairs(share, edges, color=colour, linewidth=1.1)
        if means:
            axes.axvline(float(known.mean()), color=colour, linewidth=1.2, linestyle=(0, (4, 2)))
    if not any(np.isfinite(some).any() for some in values):
        axes.text(
            0.5,
            0.5,
            "no values",
            transform=axes.transAxes,
            ha="center",
            va="center",
            fontsize=9,
            color="0.4",
        )
    axes.margins(x=0.01)
    axes.set_ylim(0, axes.get_ylim()[1])


def _distribution(axes: Any, name: str, counts: Sequence[Any]) -> None:
    """Of all notes together, those of each number from 0 to 127."""
    # The tokens of REMI tell every fourth velocity or so, and every pitch.
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
            axes.stairs(share, edges, fill=True, color=colour, alpha=0.3)
            axes.stairs(share, edges, color=colour, linewidth=1.1)
    axes.set_title(f"{label_of(name)}, all notes", fontsize=10)
    axes.margins(x=0.01)
    axes.set_ylim(bottom=0)
    _quiet(axes)


def _quiet(axes: Any) -> None:
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _legend(figure: Any, portraits: Sequence[Portrait], counts: Sequence[Any], of: str) -> None:
    """Above all panels."""
    from matplotlib.patches import Patch

    handles = []
    for number, (portrait, count) in enumerate(zip(portraits, counts, strict=True)):
        label = f"{_short(portrait.name)} ({int(count)} of {len(portrait.prompts)} {of})"
        handles.append(Patch(color=COLOURS[number % len(COLOURS)], alpha=0.6, label=label))
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=min(len(handles), 3),
        frameon=False,
        fontsize=9,
    )


def _short(name: str) -> str:
    """Users' names as they are, but for a dollar sign, which would start a formula, and for what is too long to be drawn."""
    return (name if len(name) <= 40 else f"...{name[-37:]}").replace("$", r"\$")


PICTURES: Mapping[str, Callable[..., bytes]] = {
    "features.png": features_picture,
    "rewards.png": rewards_picture,
    "rolls.png": rolls_picture,
}
"""The pictures by the names of their files."""
