"""The picture of an analysis: wins, ties and losses, or ratings and the effect of each system."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from musiczoo.music.errors import MusicZooError
from musiczoo.music.pictures.charts import chart, png_of, without_formulas
from musiczoo.music.pictures.piano_roll import COLOURS

if TYPE_CHECKING:
    from musiczoo.studies.analysis import Analysis, Preference, Rating

_TIE = "#D9DBE0"
_INK = "#1D2430"
_SOFT = "#6B7280"


def p_text(p_value: float) -> str:
    """A p-value for people: two digits, or the bound that it is below.

    >>> p_text(0.0123), p_text(0.00001), p_text(1.0)
    ('0.012', '<0.0001', '1.0')
    """
    return "<0.0001" if p_value < 1e-4 else f"{p_value:.2g}" if p_value < 0.995 else "1.0"


def analysis_picture(
    analysis: Analysis, path: str | Path | None = None, *, title: str | None = None, dpi: int = 150
) -> bytes:
    """Draw the result of a study.

    Preferences: for each pair of systems and aspect how many items each system wins by majority.
    Ratings: for each aspect the distribution of ratings and the participants' means of every
    system.

    Args:
        analysis: The result.
        path: Where to write the PNG as well, or None.
        title: Heading; None for one that states what was judged.
        dpi: Dots an inch.

    Returns:
        The PNG file's bytes.

    Raises:
        MusicZooError: There is nothing to draw, or the path cannot be written.
    """
    if not analysis.preferences and not analysis.ratings:
        raise MusicZooError("The analysis holds no result to draw.")
    figure = _preferences(analysis, dpi) if analysis.preferences else _ratings(analysis, dpi)
    count = len(analysis.participants)
    people = f"{count} participants" if count > 1 else "1 participant"
    judged = "Ratings" if analysis.ratings else "Items preferred by majority"
    heading = title or f"{judged}: {people}, {analysis.judgements} answers"
    figure.suptitle(heading, fontsize=12, x=0.01, ha="left", color=_INK)
    return png_of(figure, path)


def _preferences(analysis: Analysis, dpi: int) -> Any:
    """A figure with a row of bars for each pair of systems."""
    pairs = list(dict.fromkeys((row.first, row.second) for row in analysis.preferences))
    rows = {
        pair: [row for row in analysis.preferences if (row.first, row.second) == pair]
        for pair in pairs
    }
    heights = [0.9 + 0.42 * len(rows[pair]) for pair in pairs]
    figure = chart(9.0, sum(heights) + 0.6, dpi)
    all_axes = figure.subplots(len(pairs), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, pair in zip(all_axes, pairs, strict=True):
        _draw_preferences(axes, rows[pair])
    return figure


def _ratings(analysis: Analysis, dpi: int) -> Any:
    """A figure with a distribution and the means for each aspect."""
    count = len(analysis.ratings)
    figure = chart(9.0, 3.2 * count + 0.5, dpi)
    grid = figure.subplots(count, 2, squeeze=False, width_ratios=(1.15, 1))
    for (left, right), rating in zip(grid, analysis.ratings, strict=True):
        _draw_distribution(left, rating)
        _draw_means(right, rating)
    return figure


def _draw_preferences(axes: Any, rows: list[Preference]) -> None:
    places = np.arange(len(rows))[::-1]
    total = max(row.items for row in rows)
    left = np.zeros(len(rows))
    parts = (
        ("wins", COLOURS[0], f"{rows[0].first} wins", "white"),
        ("ties", _TIE, "tie", _INK),
        ("losses", COLOURS[1], f"{rows[0].second} wins", "white"),
    )
    for name, colour, label, ink in parts:
        widths = np.array([getattr(row, name) for row in rows], dtype=float)
        axes.barh(
            places,
            widths,
            left=left,
            height=0.72,
            color=colour,
            label=without_formulas(label),
            edgecolor="white",
            linewidth=1.5,
        )
        for place, width, start in zip(places, widths, left, strict=True):
            if width >= 0.035 * total:
                _write_number(axes, start + width / 2, place, f"{width:.0f}", ink)
        left += widths
    for place, row in zip(places, rows, strict=True):
        text = f"p = {p_text(row.p_holm)}".replace("= <", "< ")
        axes.text(total * 1.015, place, text, va="center", fontsize=9, color=_SOFT)
    axes.set_yticks(places, [without_formulas(row.aspect) for row in rows], fontsize=10)
    axes.set_xlim(0, total * 1.13)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    corrected = ", corrected by Holm" if len(rows) > 1 else ""
    axes.set_xlabel(f"items (p: binomial test{corrected})", fontsize=9, color=_SOFT)
    _tidy_bars(axes)


def _write_number(axes: Any, x: float, y: float, text: str, colour: str) -> None:
    axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=9)


def _tidy_bars(axes: Any) -> None:
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.xaxis.get_major_locator().set_params(integer=True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "borderaxespad": 0.2}
    axes.legend(**place, ncols=3, frameon=False, fontsize=9)


def _draw_distribution(axes: Any, rating: Rating) -> None:
    count = len(rating.systems)
    width = 0.8 / count
    for number, system in enumerate(rating.systems):
        places = np.arange(1, 11) + (number - (count - 1) / 2) * width
        share = 100 * np.array(system.histogram) / max(1, system.ratings)
        colour = COLOURS[number % len(COLOURS)]
        axes.bar(
            places,
            share,
            width=width * 0.94,
            color=colour,
            label=without_formulas(f"{system.system} (mean {system.mean:.2f})"),
        )
        axes.axvline(system.mean, color=colour, linewidth=1.2, linestyle=(0, (4, 2)))
    axes.set_xticks(range(1, 11))
    axes.set_xlabel("rating", fontsize=9, color=_SOFT)
    axes.set_ylabel("% of ratings", fontsize=9, color=_SOFT)
    axes.set_title(without_formulas(rating.aspect), fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8)
    _bare(axes)


def _draw_means(axes: Any, rating: Rating) -> None:
    places = range(len(rating.systems))
    people = sorted({name for system in rating.systems for name in system.by_participant})
    for person in people:
        known = [
            (place, system.by_participant[person])
            for place, system in enumerate(rating.systems)
            if person in system.by_participant
        ]
        axes.plot(
            *zip(*known, strict=True), color="#B9BEC8", linewidth=0.9, marker="o", markersize=2.5
        )
    model = rating.model
    if model is not None and model.intercept is not None:
        for place, system in enumerate(rating.systems):
            effect = next((row for row in model.effects if row.system == system.system), None)
            height = model.intercept + (effect.estimate if effect else 0.0)
            errors = (
                [[effect.estimate - effect.low], [effect.high - effect.estimate]]
                if effect
                else None
            )
            axes.errorbar(
                [place],
                [height],
                yerr=errors,
                color=COLOURS[place % len(COLOURS)],
                marker="D",
                markersize=6,
                capsize=5,
                linewidth=2,
            )
    if model is not None:
        effects = [
            f"{effect.system}: {effect.estimate:+.2f} [{effect.low:+.2f}, {effect.high:+.2f}], p"
            f" {'' if p < 1e-4 else '= '}{p_text(p)}"
            for effect, p in zip(model.effects, rating.p_holm, strict=True)
        ]
        axes.set_title(without_formulas("\n".join(effects)), fontsize=9, loc="left")
    axes.set_xticks(places, [without_formulas(system.system) for system in rating.systems])
    axes.set_xlim(-0.4, len(rating.systems) - 0.6)
    axes.set_ylim(0.5, 10.5)
    axes.set_ylabel("participants' means and model", fontsize=9, color=_SOFT)
    _bare(axes)


def _bare(axes: Any) -> None:
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
