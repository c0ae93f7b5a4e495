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

from experiments.sampling import processor_name
from musiczoo.comparison.evaluation import Portrait
from musiczoo.comparison.figures import features_picture, rewards_picture, rolls_picture
from musiczoo.comparison.tables import VELOCITY_NOTE, label_of
from musiczoo.metrics.midi_features import FEATURE_NAMES
from musiczoo.music.atomic import write_atomically
from musiczoo.music.pictures.piano_roll import COLOURS

BASE = "base"
_DIVERSITY = ("piano_roll", "onsets", "distinct_1", "distinct_2", "distinct_4")


def write_report(
    options: argparse.Namespace,
    runs: Mapping[str, Mapping[int, Any]],
    portraits: Mapping[str, Sequence[Portrait]],
    minutes: float,
) -> None:
    """Writes smart.json, smart.md and the pictures.

    Args:
        options: Of the experiment.
        runs: By setting and seed, what each left in its done.json.
        portraits: By kind of prompts.
        minutes: That all calls took together.
    """
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    rows = [
        _row(name, of, _of(portraits, name, of), _base(portraits, name))
        for name, of in runs.items()
    ]
    document = {
        "settings": {
            name: value
            for name, value in vars(options).items()
            if name not in ("folder", "output", "only")
        },
        "machine": processor_name(),
        "minutes": minutes,
        "seconds_of_runs": {
            name: [round(run["seconds"], 1) for run in of.values()] for name, of in runs.items()
        },
        "base": {kind: _measured(_named(found, BASE)) for kind, found in portraits.items()},
        "rows": rows,
        "curves": {
            name: [[report["reward"] for report in run["reports"]] for run in of.values()]
            for name, of in runs.items()
        },
        "kl_curves": {
            name: [[report["kl"] for report in run["reports"]] for run in of.values()]
            for name, of in runs.items()
        },
    }
    text = json.dumps(document, indent=1, default=str)
    write_atomically(output / "smart.json", (text + "\n").encode())
    write_atomically(output / "smart.md", _markdown(document).encode())
    _curves(runs, output / "smart_curves.png")
    first = {name: f"{name}-{next(iter(of))}" for name, of in runs.items()}
    tuned = [
        _named(portraits["procedural"], first[name])
        for name in ("short", "long", "long-free")
        if name in runs
    ]
    shown = [_base(portraits, "short"), *tuned]
    features_picture(shown[:2], output / "smart_features.png")
    rewards_picture(shown, output / "smart_rewards.png")
    rolls_picture(shown, output / "smart_rolls.png")
    if "corpus" in runs:
        features_picture(
            [_base(portraits, "corpus"), _named(portraits["corpus"], first["corpus"])],
            output / "smart_corpus_features.png",
        )


def _of(
    portraits: Mapping[str, Sequence[Portrait]], setting: str, seeds: Iterable[int]
) -> list[Portrait]:
    return [_named(portraits[_kind(setting)], f"{setting}-{seed}") for seed in seeds]


def _kind(setting: str) -> str:
    return "corpus" if setting == "corpus" else "procedural"


def _base(portraits: Mapping[str, Sequence[Portrait]], setting: str) -> Portrait:
    return _named(portraits[_kind(setting)], BASE)


def _named(portraits: Sequence[Portrait], name: str) -> Portrait:
    return next(portrait for portrait in portraits if portrait.name == name)


def _reward(portrait: Portrait) -> np.ndarray[Any, Any]:
    values = next(iter(portrait.rewards.values()))
    return values[np.isfinite(values)]


def _measured(portrait: Portrait) -> dict[str, Any]:
    """One portrait in numbers."""
    reward = _reward(portrait)
    return {
        "pieces": len(portrait.prompts),
        "reward": float(reward.mean()),
        "reward_sd": float(reward.std(ddof=1)),
        "scored": len(reward),
        "unscored": dict(portrait.unscored),
        "without_notes": int(np.isnan(portrait.features["notes"]).sum()),
        "kl": None if portrait.divergence is None else float(portrait.kl),
        "ended": float(portrait.ended.mean()),
        "diversity": {
            name: float(portrait.diversity[name])
            for name in _DIVERSITY
            if name in portrait.diversity
        },
        "features": {name: float(np.nanmean(portrait.features[name])) for name in FEATURE_NAMES},
    }


def _row(
    name: str, runs: Mapping[int, Any], portraits: Sequence[Portrait], base: Portrait
) -> dict[str, Any]:
    """One setting: each seed, and the mean of the seeds."""
    before = _measured(base)
    seeds = [_measured(portrait) for portrait in portraits]
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


def _markdown(document: Mapping[str, Any]) -> str:
    settings, rows, base = document["settings"], document["rows"], document["base"]
    lines = [
        "# SMART in small",
        "",
        (
            "`python -m experiments.smart`: the shipped decoder `phi3-remi` tuned by the shipped"
            f" ear `MelAesthetics`, {settings['groups']} x {settings['group_size']} completions of"
            f" {settings['tokens']} tokens a step, AdamW with a rate that falls linearly to 0, on"
            f" {document['machine']}. Measured on {settings['pieces']} prompts that nothing was"
            " tuned on, the same for every model, full softmax at temperature 1. Processor time is"
            " shared by two runs at a time."
        ),
        "",
        (
            "| setting | seeds | steps | first rate | beta | reward | rise in standard deviations"
            " of the base (each seed) | KL, nats a token (each seed) | distance, piano roll |"
            " distinct 4-grams | ended by itself | without notes |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in ("procedural", "corpus"):
        of = base[kind]
        lines.append(
            f"| base, {kind} prompts | | | | | {of['reward']:.3f} (sd {of['reward_sd']:.3f}) | | |"
            f" {of['diversity']['piano_roll']:.3f} | {of['diversity']['distinct_4']:.3f} |"
            f" {of['ended']:.1%} | {of['without_notes']} |"
        )
    for row in rows:
        beta = 0.0 if row["setting"] == "long-free" else settings["beta"]
        divergences = ", ".join(f"{seed['kl']:.3f}" for seed in row["seeds"])
        rate = settings["long_rate" if row["setting"].startswith("long") else "rate"]
        mean = {
            name: statistics.mean(seed["diversity"][name] for seed in row["seeds"])
            for name in ("piano_roll", "distinct_4")
        }
        lines.append(
            f"| {row['setting']} | {', '.join(map(str, row['seed_numbers']))} | {row['steps']} |"
            f" {rate:g} | {beta:g} | {statistics.mean(seed['reward'] for seed in row['seeds']):.3f}"
            f" | **{row['rise_in_sd_mean']:+.2f}**"
            f" ({', '.join(f'{rise:+.2f}' for rise in row['rise_in_sd'])}) | {row['kl_mean']:.3f}"
            f" ({divergences}) | {mean['piano_roll']:.3f} | {mean['distinct_4']:.3f} |"
            f" {statistics.mean(seed['ended'] for seed in row['seeds']):.1%} |"
            f" {statistics.mean(seed['without_notes'] for seed in row['seeds']):.1f} |"
        )
    lines += ["", "Features, means over completions with notes (seeds together):", ""]
    lines += [
        "| setting | " + " | ".join(label_of(name) for name in FEATURE_NAMES) + " |",
        "|---" * (len(FEATURE_NAMES) + 1) + "|",
    ]
    for kind in ("procedural", "corpus"):
        lines.append(
            f"| base, {kind} prompts | "
            + " | ".join(f"{base[kind]['features'][name]:.3f}" for name in FEATURE_NAMES)
            + " |"
        )
    for row in rows:
        values = [
            statistics.mean(seed["features"][name] for seed in row["seeds"])
            for name in FEATURE_NAMES
        ]
        lines.append(
            f"| {row['setting']} | " + " | ".join(f"{value:.3f}" for value in values) + " |"
        )
    lines += [
        "",
        (
            f"{VELOCITY_NOTE} Polyphony is more than two pitches at a time, as MusPy and SMART"
            " count it."
        ),
        "",
        "![Reward and divergence by step](smart_curves.png)",
        "",
        "![The eight features before and after, short setting, first seed](smart_features.png)",
        "",
        "![The ratings before and after, first seed](smart_rewards.png)",
        "",
        "![Mean piano rolls of the first sixteen beats, first seed](smart_rolls.png)",
        "",
    ]
    if any(row["setting"] == "corpus" for row in rows):
        lines += [
            (
                "![The eight features before and after, prompts of real pieces, first"
                " seed](smart_corpus_features.png)"
            ),
            "",
        ]
    return "\n".join(lines)


def _curves(runs: Mapping[str, Mapping[int, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), dpi=130, layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, key, title in zip(
        panels,
        ("reward", "kl"),
        ("mean reward of a step", "divergence from the base, nats a token"),
        strict=True,
    ):
        for colour, (name, of) in zip(COLOURS, runs.items(), strict=False):
            for number, run in enumerate(of.values()):
                values = [report[key] for report in run["reports"]]
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
