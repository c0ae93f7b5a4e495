"""Pictures of evaluations side by side (SMART, arXiv 2504.16839, figures 3, 4, 6 and 7).

Each function takes evaluations, the base first, and returns the bytes of a PNG file. With ``path``
the file is written too; ``dpi`` are its dots an inch. All raise :class:`MusicZooError` without an
evaluation to draw and for a path that cannot be written.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from musiczoo.comparison.evaluation import Evaluation
from musiczoo.comparison.histograms import bars, bin_edges, distribution, histogram, plain_axes
from musiczoo.comparison.measures import Floats
from musiczoo.comparison.tables import VELOCITY_NOTE, label_of
from musiczoo.metrics.midi_features import FEATURE_NAMES
from musiczoo.metrics.piano_rolls import BEATS, STEPS_PER_BEAT
from musiczoo.music.errors import MusicZooError
from musiczoo.music.pictures.charts import chart, png_of
from musiczoo.music.pictures.piano_roll import COLOURS

_PANELS = (
    *("notes", "polyphony_rate", "empty_beat_rate", "pitches"),
    *("pitch_range", "scale_consistency", "velocities", "velocity_range"),
)


def features_picture(
    evaluations: Sequence[Evaluation], path: str | Path | None = None, *, dpi: int = 130
) -> bytes:
    """The eight features as histograms, one colour a model (figure 4)."""
    _some(evaluations)
    figure = chart(15.0, 7.0, dpi)
    panels = figure.subplots(2, 4).flatten()
    for axes, feature in zip(panels, _PANELS, strict=True):
        if feature in FEATURE_NAMES:
            histogram(axes, feature, [one.features[feature] for one in evaluations])
            axes.set_ylabel("% of pieces", fontsize=8)
        else:
            distribution(axes, feature, [getattr(one, feature) for one in evaluations])
            axes.set_ylabel("% of notes", fontsize=8)
    panels[_PANELS.index("velocities")].set_xlabel(
        "\n".join(textwrap.wrap(VELOCITY_NOTE, 56)), fontsize=7, color="0.35"
    )
    _legend(
        figure,
        evaluations,
        [np.isfinite(one.features["notes"]).sum() for one in evaluations],
        "pieces with notes",
    )
    return png_of(figure, path)


def rewards_picture(
    evaluations: Sequence[Evaluation], path: str | Path | None = None, *, dpi: int = 130
) -> bytes:
    """The reward and each of its axes as histograms, the means as dashed lines (figure 3).

    Raises:
        MusicZooError: No evaluation has a reward; see also the module.
    """
    _some(evaluations)
    # What is a feature too has its place in the other picture.
    names = [
        name
        for name in dict.fromkeys(name for one in evaluations for name in one.rewards)
        if name not in FEATURE_NAMES
    ]
    if not names:
        raise MusicZooError("The evaluations have no rewards.", remedy="Give evaluate() a reward.")
    columns = min(4, len(names))
    rows = math.ceil(len(names) / columns)
    figure = chart(max(3.9 * columns, 5.5), 3.2 * rows + 0.5, dpi)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, name in zip(panels, names, strict=False):
        histogram(
            axes,
            name,
            [one.rewards.get(name, np.zeros(0)) for one in evaluations],
            means=True,
        )
        axes.set_ylabel("% of pieces", fontsize=8)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    scored = [
        max((np.isfinite(values).sum() for values in one.rewards.values()), default=0)
        for one in evaluations
    ]
    _legend(figure, evaluations, scored, "pieces with a reward")
    return png_of(figure, path)


def rolls_picture(
    evaluations: Sequence[Evaluation], path: str | Path | None = None, *, dpi: int = 130
) -> bytes:
    """The mean piano roll of each model's pieces, and above it the reward of these (figure 6).

    All rolls have one scale of colours and show the same pitches, so that they can be compared.
    """
    _some(evaluations)
    name = next((name for one in evaluations for name in one.rewards), None)
    heights = [1.0, 2.6] if name is not None else [2.6]
    figure = chart(max(3.4 * len(evaluations) + 0.9, 5.5), 1.9 * sum(heights) / 1.4, dpi)
    grid = figure.subplots(len(heights), len(evaluations), squeeze=False, height_ratios=heights)
    drawn = _draw_rolls(list(grid[-1]), [np.nan_to_num(one.roll) for one in evaluations])
    for number, one in enumerate(evaluations):
        colour = COLOURS[number % len(COLOURS)]
        grid[0][number].set_title(_short(one.name), fontsize=10, color=colour)
    bar = figure.colorbar(drawn, ax=list(grid[-1]), fraction=0.05, pad=0.02)
    bar.set_label("part of the pieces", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    if name is not None:
        _draw_rewards(list(grid[0]), name, evaluations)
    return png_of(figure, path)


def _draw_rolls(row: Sequence[Any], rolls: Sequence[Floats]) -> Any:
    """Draws one roll in each of the axes; returns the last image, for the scale of colours."""
    from matplotlib.colors import PowerNorm

    pitches = np.flatnonzero(np.max([roll.max(axis=1) for roll in rolls], axis=0))
    low, high = (int(pitches[0]), int(pitches[-1])) if len(pitches) else (21, 108)
    # The square root shows what is rare: a model of much variety has a pale roll.
    norm = PowerNorm(0.5, vmin=0.0, vmax=max(float(max(roll.max() for roll in rolls)), 1e-9))
    for axes, roll in zip(row, rolls, strict=True):
        drawn = axes.imshow(
            roll[low : high + 1],
            cmap="magma_r",
            norm=norm,
            origin="lower",
            aspect="auto",
            extent=(0, roll.shape[1] / STEPS_PER_BEAT, low - 0.5, high + 0.5),
            interpolation="nearest",
        )
        axes.set_xticks(range(0, BEATS + 1, 4))
        axes.set_xlabel("beat", fontsize=9)
        axes.tick_params(labelsize=8)
    row[0].set_ylabel("pitch (MIDI number)", fontsize=9)
    return drawn


def _draw_rewards(row: Sequence[Any], name: str, evaluations: Sequence[Evaluation]) -> None:
    """Draws the reward of one model in each of the axes, all with the same scales."""
    values = [one.rewards.get(name, np.zeros(0)) for one in evaluations]
    edges = bin_edges(name, values)
    for number, (axes, some) in enumerate(zip(row, values, strict=True)):
        bars(axes, edges, [some], number, means=True)
        axes.set_xlabel(label_of(name), fontsize=8)
        plain_axes(axes)
    highest = max(axes.get_ylim()[1] for axes in row)
    for axes in row:
        axes.set_ylim(0, highest)
    row[0].set_ylabel("% of pieces", fontsize=8)


def _some(evaluations: Sequence[Evaluation]) -> None:
    if not evaluations:
        raise MusicZooError("There are no evaluations to draw.", remedy="Give one or more.")


def _legend(figure: Any, evaluations: Sequence[Evaluation], counts: Sequence[Any], of: str) -> None:
    """Draws the legend above all panels."""
    from matplotlib.patches import Patch

    handles = []
    for number, (one, count) in enumerate(zip(evaluations, counts, strict=True)):
        label = f"{_short(one.name)} ({int(count)} of {len(one.prompts)} {of})"
        handles.append(Patch(color=COLOURS[number % len(COLOURS)], alpha=0.6, label=label))
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=min(len(handles), 3),
        frameon=False,
        fontsize=9,
    )


def _short(name: str) -> str:
    """A user's name as it is drawn: shortened, and with dollar signs that start no formula."""
    return (name if len(name) <= 40 else f"...{name[-37:]}").replace("$", r"\$")


PICTURES: Mapping[str, Callable[..., bytes]] = {
    "features.png": features_picture,
    "rewards.png": rewards_picture,
    "rolls.png": rolls_picture,
}
"""The pictures by the names of their files."""
