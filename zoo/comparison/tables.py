"""Evaluations side by side in tables: means, spreads, changes, and tests of these changes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from musiczoo.comparison.evaluation import Evaluation
from musiczoo.comparison.measures import Floats
from musiczoo.metrics.midi_features import FEATURE_NAMES
from musiczoo.music.errors import MusicZooError

LABELS = {
    "notes": "number of notes",
    "polyphony_rate": "polyphony rate",
    "empty_beat_rate": "empty-beat rate",
    "scale_consistency": "scale consistency",
    "pitch_range": "pitch range (semitones)",
    "velocity_range": "velocity range",
    "pitches": "pitch (MIDI number)",
    "velocities": "velocity",
    "CE": "content enjoyment (CE)",
    "CU": "content usefulness (CU)",
    "PC": "production complexity (PC)",
    "PQ": "production quality (PQ)",
    "length": "sampled tokens",
    "ended": "ended by itself",
    "piano_roll": "mean distance of two pieces, piano roll",
    "onsets": "mean distance of two pieces, onsets",
    "distinct_1": "distinct tokens",
    "distinct_2": "distinct 2-grams of tokens",
    "distinct_4": "distinct 4-grams of tokens",
    "divergence": "divergence from the first model (nats a token)",
    "with_features": "completions with notes",
    "scored": "completions with a reward",
}
"""What tables and pictures call the measures."""

VELOCITY_NOTE = (
    "Scores of the built-in corpora carry one velocity: where a model was trained on them, the"
    " spread of its velocities comes from prompts and augmentation."
)
DISTINCT_NOTE = (
    "The share of distinct n-grams falls with the amount of text: compare models whose completions"
    " are of similar length."
)


def label_of(measure: str) -> str:
    """What people call a measure; rewards and their details by their own names."""
    return LABELS.get(measure, measure.replace("_", " "))


def describe(evaluations: Sequence[Evaluation], *, base: str | None = None) -> dict[str, Any]:
    """Evaluations of the same prompts side by side, as plain JSON values; NaN is None.

    For each measure that is a number a completion: the number of completions that have it, the
    mean, the standard deviation over completions, and against the base model the change of the
    mean, that change in standard deviations of the base, the probability that a completion has more
    of it than one of the base (ties count half), and the p-value of the two-sided Mann-Whitney
    test, without correction for the number of tests. Pitches and velocities are of all notes
    together: notes of one piece are not independent, so there is no test.

    Args:
        evaluations: Two or more, or a single one.
        base: Name of the one that the others are compared with; the first when None.

    Returns:
        ``base``, ``names``, ``pieces``; ``measures``, a list of rows with ``group``, ``measure``
        and ``models``; ``figures``, a list of rows with ``figure`` and ``models``, of what is one
        number a model; ``left_out`` and ``unscored``, counts by model and reason.

    Raises:
        MusicZooError: No evaluations, two of one name, of different prompts, or no such base.
    """
    names = [one.name for one in evaluations]
    base = base if base is not None or not names else names[0]
    if base not in names or len(set(names)) < len(names):
        raise MusicZooError(
            f"Of {', '.join(names) or 'no evaluations'} there is no one base {base}.",
            remedy="Give each a name of its own.",
        )
    if len({one.prompts for one in evaluations}) > 1:
        raise MusicZooError(
            "The evaluations are of different prompts.",
            remedy="Evaluate all models with the same ones.",
        )
    by_name = dict(zip(names, evaluations, strict=True))
    return {
        "base": base,
        "names": names,
        "pieces": len(evaluations[0].prompts),
        "measures": [*_measures_of_completions(by_name, base), *_measures_of_notes(by_name, base)],
        "figures": _figures(by_name),
        "left_out": {name: dict(one.left_out) for name, one in by_name.items()},
        "unscored": {name: dict(one.unscored) for name, one in by_name.items()},
    }


def _measures_of_completions(
    by_name: Mapping[str, Evaluation], base: str
) -> Iterator[dict[str, Any]]:
    for group, values in _numbers(by_name):
        for measure in dict.fromkeys(measure for of in values.values() for measure in of):
            columns = {name: of.get(measure) for name, of in values.items()}
            yield {"group": group, "measure": measure, "models": _compared(columns, base)}


def _measures_of_notes(by_name: Mapping[str, Evaluation], base: str) -> Iterator[dict[str, Any]]:
    for measure in ("pitches", "velocities"):
        spread = {name: _of_counts(getattr(one, measure)) for name, one in by_name.items()}
        models = {name: _change(of, spread[base]) for name, of in spread.items()}
        yield {"group": "notes", "measure": measure, "models": models}


def markdown(described: Mapping[str, Any]) -> str:
    """The tables of :func:`describe` in Markdown, with notes for their reader."""
    lines = []
    for title, header, rows in tables(described):
        lines += [
            f"## {title}",
            "",
            _row(header),
            _row(["---"] * len(header)),
            *map(_row, rows),
            "",
        ]
    lines += [f"- {note}" for note in notes(described)]
    return "\n".join(lines) + "\n"


def tables(described: Mapping[str, Any]) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """The tables of :func:`describe` as text: for each its title, its header, its rows."""
    names, base = described["names"], described["base"]
    cells = [
        [label_of(row["measure"]), *(_cell(row["models"][name], name == base) for name in names)]
        for row in described["measures"]
        if any(row["models"][name]["n"] for name in names)
    ]
    yield (
        f"Means and standard deviations of {described['pieces']} completions",
        ["measure", *names],
        cells,
    )
    figures = [
        [label_of(row["figure"]), *(_number(row["models"][name]) for name in names)]
        for row in described["figures"]
    ]
    yield "Models as a whole", ["measure", *names], figures


def notes(described: Mapping[str, Any]) -> list[str]:
    """What a reader must know of the tables, and what was left out of them and why."""
    lines = []
    if len(described["names"]) > 1:
        lines.append(
            f"In brackets: the change against {described['base']} in its standard deviations,"
            " P(more), the probability that a completion has more of it than one of that model,"
            " and the p-value of the Mann-Whitney test (two-sided, each test for itself)."
        )
    lines += [
        VELOCITY_NOTE,
        DISTINCT_NOTE,
        "Polyphony is more than two pitches at a time, as MusPy and SMART count it.",
    ]
    for kind, title in (("left_out", "without features"), ("unscored", "without a reward")):
        lines += [
            f"{name}, {title}: {count} x {reason}"
            for name, reasons in described[kind].items()
            for reason, count in reasons.items()
        ]
    return lines


def _numbers(
    by_name: Mapping[str, Evaluation],
) -> Iterator[tuple[str, dict[str, Mapping[str, Floats]]]]:
    """By group and model: the measures that are one number a completion."""
    # A reward made of features has these as details too.
    own = {
        name: {key: of for key, of in one.rewards.items() if key not in FEATURE_NAMES}
        for name, one in by_name.items()
    }
    yield "rewards", dict(own)
    yield "features", {name: one.features for name, one in by_name.items()}
    yield (
        "completions",
        {name: {"length": one.lengths.astype(np.float64)} for name, one in by_name.items()},
    )


def _figures(by_name: Mapping[str, Evaluation]) -> list[dict[str, Any]]:
    """The measures that are one number a model."""
    columns: dict[str, dict[str, float]] = {}
    for name, one in by_name.items():
        columns[name] = {
            **one.diversity,
            "divergence": one.kl,
            "ended": float(one.ended.mean()),
            "with_features": float(np.isfinite(one.features["notes"]).sum()),
        }
        if one.rewards:
            columns[name]["scored"] = float(len(one.prompts) - sum(one.unscored.values()))
    rows = []
    for figure in dict.fromkeys(figure for column in columns.values() for figure in column):
        models = {name: _json(column.get(figure, math.nan)) for name, column in columns.items()}
        if any(value is not None for value in models.values()):
            rows.append({"figure": figure, "models": models})
    return rows


def _compared(values: Mapping[str, Floats | None], base: str) -> dict[str, dict[str, Any]]:
    """Each model's column of one measure."""
    known = {
        name: np.zeros(0) if some is None else some[np.isfinite(some)]
        for name, some in values.items()
    }
    spread = {name: _spread(some) for name, some in known.items()}
    columns = {name: _change(of, spread[base]) for name, of in spread.items()}
    for name, some in known.items():
        if name != base and len(some) and len(known[base]):
            more, p = rank_test(known[base], some)
            columns[name] |= {"more": _json(more), "p": _json(p)}
    return columns


def _spread(values: Floats) -> dict[str, Any]:
    return {
        "n": len(values),
        "mean": _json(float(values.mean()) if len(values) else math.nan),
        "sd": _json(float(values.std(ddof=1)) if len(values) > 1 else math.nan),
    }


def _of_counts(counts: Any) -> dict[str, Any]:
    """The spread of whole numbers that are given by how often each occurs."""
    n = int(counts.sum())
    places = np.arange(len(counts))
    mean = float((counts * places).sum() / n) if n else math.nan
    square = float((counts * (places - mean) ** 2).sum() / (n - 1)) if n > 1 else math.nan
    return {"n": n, "mean": _json(mean), "sd": _json(math.sqrt(square))}


def _change(of: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    column = dict(of)
    if of is not base and of["mean"] is not None and base["mean"] is not None:
        column["change"] = of["mean"] - base["mean"]
        # Where all values of the base are equal, there is no standard deviation to divide by.
        column["change_sd"] = column["change"] / base["sd"] if base["sd"] else None
    return column


def rank_test(base: Floats, other: Floats) -> tuple[float, float]:
    """The Mann-Whitney test of two samples.

    By the normal approximation, with corrections for ties and continuity.

    Args:
        base: (n,) finite numbers.
        other: (m,) finite numbers.

    Returns:
        The probability that one of ``other`` is above one of ``base``, ties counting half, and the
        two-sided p-value; 1 where all numbers are the same. NaN for an empty sample.

    Example:
        >>> rank_test(np.array([1.0, 2.0, 3.0]), np.array([3.0, 4.0]))[0]
        0.9166666666666666
    """
    n, m = len(base), len(other)
    if not n or not m:
        return math.nan, math.nan
    values, places, counts = np.unique(
        np.concatenate([base, other]), return_inverse=True, return_counts=True
    )
    # The mean rank of equal numbers, from 1.
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    wins = float(ranks[n:].sum()) - m * (m + 1) / 2
    total = n + m
    ties = float((counts.astype(np.float64) ** 3 - counts).sum())
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    if len(values) == 1:
        return 0.5, 1.0
    z = max(0.0, abs(wins - n * m / 2) - 0.5) / math.sqrt(variance)
    return wins / (n * m), math.erfc(z / math.sqrt(2))


def _json(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cell(column: Mapping[str, Any], is_base: bool) -> str:
    if column["mean"] is None:
        return "-"
    text = _number(column["mean"]) + (
        f" ± {_number(column['sd'])}" if column["sd"] is not None else ""
    )
    if is_base:
        return text
    parts = (
        []
        if column.get("change_sd") is None
        else [f"{round(column['change_sd'], 2) + 0.0:+.2f} sd"]
    )
    if column.get("p") is not None:
        p = column["p"]
        parts += [
            f"P(more) = {column['more']:.2f}",
            "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1),
        ]
    return f"{text} ({', '.join(parts)})" if parts else text


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
