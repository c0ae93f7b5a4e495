"""The picture of a report card: the figures of pieces beside those of the ground truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from musiczoo.metrics.figures import Figures, ReportCard
from musiczoo.metrics.frechet import FrechetDistance
from musiczoo.music.pictures.charts import chart, png_of, without_formulas
from musiczoo.music.pictures.piano_roll import COLOURS

_Bars = Sequence[tuple[str, Callable[[Figures], float | None]]]
_PERCENT: _Bars = (
    ("readable", lambda one: one.percent_readable),
    ("bar-alignment error", lambda one: one.bar_alignment_error),
    ("copy rate", lambda one: one.copy_rate),
)
_BITS: _Bars = (
    ("a character", lambda one: one.likelihoods.bits_per_character if one.likelihoods else None),
    ("a note", lambda one: one.likelihoods.bits_per_note if one.likelihoods else None),
)


def report_card_picture(
    card: ReportCard, path: str | Path | None = None, *, dpi: int = 130
) -> bytes:
    r"""The card as a picture; figures that it does not have are left out.

    Args:
        card: The figures.
        path: File that the PNG is written to as well, or None.
        dpi: Dots an inch.

    Returns:
        The PNG file's bytes.

    Raises:
        MusicZooError: The path cannot be written.

    Example:
        >>> report_card_picture(ReportCard(Figures("pieces", 3, 3, {})))[:4]
        b'\x89PNG'
    """
    columns = card.columns()
    panels: list[Callable[[Any], None]] = [lambda axes: _grouped(axes, columns, _PERCENT, "%")]
    if any(one.scores for one in columns):
        panels.append(lambda axes: _scores(axes, columns))
    if any(one.frechet for one in columns):
        panels.append(lambda axes: _distances(axes, columns))
    if any(one.likelihoods for one in columns):
        panels.append(lambda axes: _grouped(axes, columns, _BITS, "bits"))
    figure = chart(4.2 * len(panels), 3.6, dpi)
    for axes, draw in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axes)
        axes.tick_params(labelsize=8)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    return png_of(figure, path)


def _grouped(axes: Any, columns: Sequence[Figures], bars: _Bars, unit: str) -> None:
    """One group of bars a figure, one colour a set, each with its number."""
    shown = [(name, [of(one) for one in columns]) for name, of in bars]
    shown = [(name, values) for name, values in shown if any(value is not None for value in values)]
    width = 0.8 / len(columns)
    for number, one in enumerate(columns):
        heights = [
            math.nan if values[number] is None else float(values[number] or 0)
            for _, values in shown
        ]
        places = np.arange(len(shown)) + (number - (len(columns) - 1) / 2) * width
        drawn = axes.bar(
            places, heights, 0.94 * width, color=COLOURS[number], label=without_formulas(one.name)
        )
        axes.bar_label(
            drawn,
            labels=["" if math.isnan(height) else f"{height:.3g}" for height in heights],
            fontsize=7,
        )
    axes.set_xticks(range(len(shown)), [name for name, _ in shown])
    axes.set_ylabel(unit, fontsize=9)
    axes.margins(y=0.12)
    _legend(axes)


def _scores(axes: Any, columns: Sequence[Figures]) -> None:
    """The distribution of the cosines, as shares, because sets differ in size."""
    known = [value for one in columns for value in one.scores]
    edges = np.linspace(min(known), max(known) + 1e-9, 21)
    for number, one in enumerate(columns):
        if one.scores:
            share = np.full(len(one.scores), 100 / len(one.scores))
            label = without_formulas(f"{one.name} (n = {len(one.scores)})")
            axes.hist(
                one.scores, edges, weights=share, color=COLOURS[number], alpha=0.55, label=label
            )
            axes.axvline(
                float(np.mean(one.scores)),
                color=COLOURS[number],
                linewidth=1.2,
                linestyle=(0, (4, 2)),
            )
    axes.set_xlabel("CLaMP score of a piece", fontsize=9)
    axes.set_ylabel("% of pieces", fontsize=9)
    _legend(axes)


def _distances(axes: Any, columns: Sequence[Figures]) -> None:
    """The distances, each with its numbers of pieces, without which they cannot be compared."""
    names: list[str] = []
    for number, one in enumerate(columns):
        for place, distance in enumerate(one.frechet):
            estimator = distance.estimator if isinstance(distance, FrechetDistance) else "infinity"
            label = None if place else without_formulas(one.name)
            bar = axes.barh(
                len(names), max(distance.value, 0.0), 0.7, color=COLOURS[number], label=label
            )
            axes.bar_label(bar, labels=[f"{distance.value:.3g}"], fontsize=7)
            names.append(f"{estimator}\nn = {distance.n} against {distance.reference_n}")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("Frechet music distance", fontsize=9)
    axes.margins(x=0.15)
    _legend(axes)


def _legend(axes: Any) -> None:
    """Above the axes, where nothing is drawn."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), frameon=False, fontsize=8, borderaxespad=0.2
    )
