"""The figures of sets of pieces as one card: as rows of a table and as plain JSON values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

from musiczoo.metrics.frechet import FrechetDistance, FrechetInfinity
from musiczoo.metrics.held_out import Likelihoods


@dataclass(frozen=True)
class Medians:
    """Medians over the readable pieces.

    Attributes:
        bars: Bars of the longest voice.
        notes: Sounding notes, ties merged.
        voices: Voices.
    """

    bars: float | None = None
    notes: float | None = None
    voices: float | None = None


@dataclass(frozen=True)
class Rate:
    """A part of a whole in percent.

    Attributes:
        percent: The part; None where there is no whole.
        of: The size of the whole.
    """

    percent: float | None = None
    of: int = 0


@dataclass(frozen=True)
class ClampFigures:
    """CLaMP scores of a set; the ground truth's own are leave-one-out.

    Attributes:
        mean: Mean cosine with the mean feature of the whole ground truth.
        by_prompt: Mean over prompts, each piece compared with the real works of its prompt.
        prompts: Prompts in that mean.
        scores: The cosine of each piece that has features.
    """

    mean: float | None = None
    by_prompt: float | None = None
    prompts: int = 0
    scores: tuple[float, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Figures:
    """The figures of one set of pieces.

    A figure that was not asked for, or cannot be computed, is None or empty.

    Attributes:
        name: Of the set.
        pieces: Pieces given, unreadable ones included.
        readable: Of these, those that read as music in which something sounds.
        unreadable: The reasons why the others do not, with how many.
        medians: Bars, notes and voices of a piece.
        misaligned: Misaligned bars, of all bars with several voices.
        copied: Copied spans, of all sounding spans.
        clamp: CLaMP scores.
        frechet: Distances from the ground truth; the ground truth's own is that of a random part of
            it from the rest.
        likelihoods: Under the model.
        left_out: Readable pieces that a figure leaves out, with the reason and how many.
    """

    name: str
    pieces: int
    readable: int
    unreadable: Mapping[str, int]
    medians: Medians = Medians()
    misaligned: Rate = Rate()
    copied: Rate = Rate()
    clamp: ClampFigures = ClampFigures()
    frechet: tuple[FrechetDistance | FrechetInfinity, ...] = ()
    likelihoods: Likelihoods | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def percent_readable(self) -> float:
        """Readable pieces in percent; NaN without pieces.

        >>> Figures("pieces", pieces=4, readable=3, unreadable={"empty": 1}).percent_readable
        75.0
        """
        return 100.0 * self.readable / self.pieces if self.pieces else math.nan

    @property
    def bars(self) -> float | None:
        """Median over pieces of the bars of the longest voice."""
        return self.medians.bars

    @property
    def notes(self) -> float | None:
        """Median of sounding notes, ties merged."""
        return self.medians.notes

    @property
    def voices(self) -> float | None:
        """Median of voices."""
        return self.medians.voices

    @property
    def bar_alignment_error(self) -> float | None:
        """Misaligned bars in percent of :attr:`aligned_bars`."""
        return self.misaligned.percent

    @property
    def aligned_bars(self) -> int:
        """Bars with several voices."""
        return self.misaligned.of

    @property
    def copy_rate(self) -> float | None:
        """Copied spans in percent of :attr:`spans`."""
        return self.copied.percent

    @property
    def spans(self) -> int:
        """Sounding spans of all pieces."""
        return self.copied.of

    @property
    def clamp_score(self) -> float | None:
        """Mean cosine with the mean feature of the whole ground truth."""
        return self.clamp.mean

    @property
    def clamp_score_by_prompt(self) -> float | None:
        """Mean over prompts of the cosine with the real works of a prompt."""
        return self.clamp.by_prompt

    @property
    def prompts(self) -> int:
        """Prompts in :attr:`clamp_score_by_prompt`."""
        return self.clamp.prompts

    @property
    def scores(self) -> tuple[float, ...]:
        """The cosine of each piece that has features."""
        return self.clamp.scores

    def to_dict(self) -> dict[str, Any]:
        """The figures by name, without groups, as plain JSON values; NaN and infinity are None."""
        found: dict[str, Any] = {name: _plain(getattr(self, name)) for name in _NAMES}
        for place, distance in enumerate(self.frechet):
            found["frechet"][place]["described"] = distance.describe()
        return found


_NAMES = (
    *("name", "pieces", "readable", "unreadable", "bars", "notes", "voices"),
    *("bar_alignment_error", "aligned_bars", "copy_rate", "spans"),
    *("clamp_score", "clamp_score_by_prompt", "prompts", "scores"),
    *("frechet", "likelihoods", "left_out", "percent_readable"),
)
"""The figures in the order of the JSON file."""


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
        """Rows of a table: the name of a figure, then its value for each of :meth:`columns`.

        Figures that no column has are left out.
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
        return {
            "pieces": self.pieces.to_dict(),
            "truth": None if self.truth is None else self.truth.to_dict(),
        }


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _estimator(distance: FrechetDistance | FrechetInfinity) -> str:
    return distance.estimator if isinstance(distance, FrechetDistance) else "infinity"


def _distance(distance: FrechetDistance | FrechetInfinity) -> str:
    """The distance with the numbers of pieces; the estimator is the name of the row."""
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
