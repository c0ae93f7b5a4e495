"""The tables and pictures of experiments/smart.py."""

from __future__ import annotations

import argparse
import io
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments._machine import processor_name
from experiments._smart_table import markdown
from musiczoo.comparison.evaluation import Evaluation
from musiczoo.comparison.figures import features_picture, rewards_picture, rolls_picture
from musiczoo.metrics.midi_features import FEATURE_NAMES
from musiczoo.music.atomic import write_atomically
from musiczoo.music.pictures.piano_roll import COLOURS

BASE = "base"
_DIVERSITY = ("piano_roll", "onsets", "distinct_1", "distinct_2", "distinct_4")


def write_report(
    options: argparse.Namespace,
    runs: Mapping[str, Mapping[int, Any]],
    evaluations: Mapping[str, Sequence[Evaluation]],
    minutes: float,
) -> None:
    """Writes smart.json, smart.md and the pictures.

    Args:
        options: Of the experiment.
        runs: By setting and seed, the contents of each run's done.json.
        evaluations: By kind of prompts.
        minutes: That all calls took together.
    """
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    settings = {
        name: value
        for name, value in vars(options).items()
        if name not in ("folder", "output", "only")
    }
    document = {
        "settings": settings,
        "machine": processor_name(),
        "minutes": minutes,
        "seconds_of_runs": {
            name: [round(run["seconds"], 1) for run in of.values()] for name, of in runs.items()
        },
        "base": {kind: _measured(_named(found, BASE)) for kind, found in evaluations.items()},
        "rows": [
            _row(name, of, _of(evaluations, name, of), _base(evaluations, name))
            for name, of in runs.items()
        ],
        "curves": _values_of_steps(runs, "reward"),
        "kl_curves": _values_of_steps(runs, "kl"),
    }
    text = json.dumps(document, indent=1, default=str)
    write_atomically(output / "smart.json", (text + "\n").encode())
    write_atomically(output / "smart.md", markdown(document).encode())
    _curves(runs, output / "smart_curves.png")
    _pictures(runs, evaluations, output)


def _values_of_steps(
    runs: Mapping[str, Mapping[int, Any]], key: str
) -> dict[str, list[list[float]]]:
    """A value of each step of each run, by setting."""
    return {
        name: [[report[key] for report in run["reports"]] for run in of.values()]
        for name, of in runs.items()
    }


def _pictures(
    runs: Mapping[str, Mapping[int, Any]],
    evaluations: Mapping[str, Sequence[Evaluation]],
    output: Path,
) -> None:
    """Features, rewards and piano rolls of the base and of the first seed of each setting."""
    first = {name: f"{name}-{next(iter(of))}" for name, of in runs.items()}
    tuned = [
        _named(evaluations["procedural"], first[name])
        for name in ("short", "long", "long-free")
        if name in runs
    ]
    shown = [_base(evaluations, "short"), *tuned]
    features_picture(shown[:2], output / "smart_features.png")
    rewards_picture(shown, output / "smart_rewards.png")
    rolls_picture(shown, output / "smart_rolls.png")
    if "corpus" in runs:
        features_picture(
            [_base(evaluations, "corpus"), _named(evaluations["corpus"], first["corpus"])],
            output / "smart_corpus_features.png",
        )


def _of(
    evaluations: Mapping[str, Sequence[Evaluation]], setting: str, seeds: Iterable[int]
) -> list[Evaluation]:
    return [_named(evaluations[_kind(setting)], f"{setting}-{seed}") for seed in seeds]


def _kind(setting: str) -> str:
    return "corpus" if setting == "corpus" else "procedural"


def _base(evaluations: Mapping[str, Sequence[Evaluation]], setting: str) -> Evaluation:
    return _named(evaluations[_kind(setting)], BASE)


def _named(evaluations: Sequence[Evaluation], name: str) -> Evaluation:
    return next(evaluation for evaluation in evaluations if evaluation.name == name)


def _reward(evaluation: Evaluation) -> np.ndarray[Any, Any]:
    values = next(iter(evaluation.rewards.values()))
    return values[np.isfinite(values)]


def _measured(evaluation: Evaluation) -> dict[str, Any]:
    """One evaluation in numbers."""
    reward = _reward(evaluation)
    return {
        "pieces": len(evaluation.prompts),
        "reward": float(reward.mean()),
        "reward_sd": float(reward.std(ddof=1)),
        "scored": len(reward),
        "unscored": dict(evaluation.unscored),
        "without_notes": int(np.isnan(evaluation.features["notes"]).sum()),
        "kl": None if evaluation.divergence is None else float(evaluation.kl),
        "ended": float(evaluation.ended.mean()),
        "diversity": {
            name: float(evaluation.diversity[name])
            for name in _DIVERSITY
            if name in evaluation.diversity
        },
        "features": {name: float(np.nanmean(evaluation.features[name])) for name in FEATURE_NAMES},
    }


def _row(
    name: str, runs: Mapping[int, Any], evaluations: Sequence[Evaluation], base: Evaluation
) -> dict[str, Any]:
    """One setting: each seed, and the mean of the seeds."""
    before = _measured(base)
    seeds = [_measured(evaluation) for evaluation in evaluations]
    rises = [(seed["reward"] - before["reward"]) / before["reward_sd"] for seed in seeds]
    return {
        "setting": name,
        "seed_numbers": list(runs),
        "seeds": seeds,
        "rise_in_sd": rises,
        "rise_in_sd_mean": statistics.mean(rises),
        "kl_mean": statistics.mean(seed["kl"] for seed in seeds),
        "training_kl_last_ten_steps": [
            statistics.mean(report["kl"] for report in run["reports"][-10:])
            for run in runs.values()
        ],
        "training_reward_first_and_last_five_steps": [
            [
                statistics.mean(report["reward"] for report in part)
                for part in (run["reports"][:5], run["reports"][-5:])
            ]
            for run in runs.values()
        ],
        "steps": len(next(iter(runs.values()))["reports"]),
    }


def _curves(runs: Mapping[str, Mapping[int, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), dpi=130, layout="constrained")
    panels = figure.subplots(1, 2)
    titles = {"reward": "mean reward of a step", "kl": "divergence from the base, nats a token"}
    for axes, (key, title) in zip(panels, titles.items(), strict=True):
        for colour, (name, of) in zip(COLOURS, _values_of_steps(runs, key).items(), strict=False):
            for number, values in enumerate(of):
                axes.plot(
                    range(1, len(values) + 1),
                    values,
                    color=colour,
                    linewidth=1,
                    alpha=0.8,
                    label=name if number == 0 else None,
                )
        axes.set_xlabel("step")
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize=8)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    write_atomically(path, stream.getvalue())
