"""The figures of sets of pieces as one card: to print, to draw, to keep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from musiczoo.metrics.frechet import FrechetDistance, FrechetInfinity
from musiczoo.metrics.held_out import Likelihoods


@dataclass(frozen=True)
class Figures:
    """The figures of one set of pieces.

    What was not asked for, or cannot be computed, is None or empty.

    Attributes:
        name: Of the set.
        pieces: Pieces given, unreadable ones included.
        readable: Of these, those that read as music in which something sounds.
        unreadable: Why the others do not, with how many.
        bars: Median over pieces of the bars of the longest voice.
        notes: Median of sounding notes, ties merged.
        voices: Median of voices.
        bar_alignment_error: Misaligned bars in percent of ``aligned_bars``.
        aligned_bars: Bars with several voices.
        copy_rate: Copied spans in percent of ``spans``.
        spans: Sounding spans of all pieces.
        clamp_score: Mean cosine with the mean feature of the whole ground truth; the ground truth's
            own is leave-one-out.
        clamp_score_by_prompt: Mean over prompts, each piece compared with the real works of its
            prompt.
        prompts: Prompts in that mean.
        scores: The cosine of each piece that has features.
        frechet: Distances from the ground truth; the ground truth's own is that of a random part of
            it from the rest.
        likelihoods: Under the model.
        left_out: Readable pieces that a figure leaves out, with the reason and how many.
    """

    name: str
    pieces: int
    readable: int
    unreadable: Mapping[str, int]
    bars: float | None = None
    notes: float | None = None
    voices: float | None = None
    bar_alignment_error: float | None = None
    aligned_bars: int = 0
    copy_rate: float | None = None
    spans: int = 0
    clamp_score: float | None = None
    clamp_score_by_prompt: float | None = None
    prompts: int = 0
    scores: tuple[float, ...] = field(default=(), repr=False)
    frechet: tuple[FrechetDistance | FrechetInfinity, ...] = ()
    likelihoods: Likelihoods | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def percent_readable(self) -> float:
        """Readable pieces in percent; NaN without pieces.

        >>> Figures("pieces", pieces=4, readable=3, unreadable={"The file is empty.": 1}).percent_readable
        75.0
        """
        return 100.0 * self.readable / self.pieces if self.pieces else math.nan


@dataclass(frozen=True)
class ReportCard:
    """Pieces beside the ground truth.

    Attributes:
        pieces: The figures of the pieces.
        truth: Those of real music, if there is some.
    """

    pieces: Figures
    truth: Figures | None = None

    def columns(self) -> list[Figures]:
        """The pieces, and the ground truth where there is one."""
        return [self.pieces] if self.truth is None else [self.pieces, self.truth]

    def rows(self) -> list[tuple[str, ...]]:
        """What a table shows: the name of a figure, then its value for each of :meth:`columns`.

        Figures that nobody has are left out.
        """
        columns = self.columns()
        rows = [(name, *(_shown(one) for one in columns)) for name, _shown in _ROWS]
        known = [{_estimator(distance): distance for distance in one.frechet} for one in columns]
        for name in dict.fromkeys(name for distances in known for name in distances):
            cells = (_distance(distances[name]) if name in distances else "" for distances in known)
            rows.append((f"Frechet music distance, {name}", *cells))
        return [row for row in rows if any(row[1:])]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; NaN and infinity, which JSON does not know, are None."""
        found = _plain(
            {
                "pieces": asdict(self.pieces),
                "truth": None if self.truth is None else asdict(self.truth),
            }
        )
        for name, one in (("pieces", self.pieces), ("truth", self.truth)):
            if one is not None:
                found[name]["percent_readable"] = _plain(one.percent_readable)
                for place, distance in enumerate(one.frechet):
                    found[name]["frechet"][place]["described"] = distance.describe()
        assert isinstance(found, dict)
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _estimator(distance: FrechetDistance | FrechetInfinity) -> str:
    return distance.estimator if isinstance(distance, FrechetDistance) else "infinity"


def _distance(distance: FrechetDistance | FrechetInfinity) -> str:
    """Never without the numbers of pieces, on which it depends; the estimator is the row's name."""
    line = f", r2 {distance.r2:.2f}" if isinstance(distance, FrechetInfinity) else ""
    return f"{distance.value:.4g} (n = {distance.n} against {distance.reference_n}{line})"


def _number(value: float | None, digits: str = ".4g", of: str = "") -> str:
    return "" if value is None or math.isnan(value) else f"{value:{digits}}{of}"


def _likelihood(name: str, digits: str) -> Any:
    return lambda one: (
        "" if one.likelihoods is None else _number(getattr(one.likelihoods, name), digits)
    )


_ROWS: tuple[tuple[str, Any], ...] = (
    ("pieces", lambda one: f"{one.pieces:,}"),
    ("readable, %", lambda one: _number(one.percent_readable, ".1f")),
    ("bars, median", lambda one: _number(one.bars)),
    ("notes, median", lambda one: _number(one.notes)),
    ("voices, median", lambda one: _number(one.voices)),
    (
        "bar-alignment error, %",
        lambda one: _number(one.bar_alignment_error, ".3f", f" (of {one.aligned_bars:,} bars)"),
    ),
    ("copy rate, %", lambda one: _number(one.copy_rate, ".2f", f" (of {one.spans:,} spans)")),
    (
        "average CLaMP score",
        lambda one: _number(one.clamp_score, ".4f", f" (n = {len(one.scores)})"),
    ),
    (
        "average CLaMP score, mean of prompts",
        lambda one: _number(one.clamp_score_by_prompt, ".4f", f" (prompts: {one.prompts})"),
    ),
    ("bits per character", _likelihood("bits_per_character", ".3f")),
    ("bits per bar", _likelihood("bits_per_bar", ".2f")),
    ("bits per note", _likelihood("bits_per_note", ".2f")),
    ("perplexity of a target, micro", _likelihood("perplexity", ".4f")),
    ("perplexity of a target, macro", _likelihood("macro_perplexity", ".4f")),
    ("longer than the model's context", _likelihood("cropped", "d")),
)
