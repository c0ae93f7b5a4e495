"""The table and the picture of experiments/clamp_dpo.py."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import matplotlib.pyplot as plt

from musiczoo.music.atomic import write_atomically

ROWS = {
    "score": "average score (feedback's encoder)",
    "judge_score": "average score (judge's encoder)",
    "label_accuracy": "label accuracy, source and rhythm, % (judge)",
    "source_accuracy": "source, %",
    "rhythm_accuracy": "rhythm, %",
    "bar_alignment_error": "bar-alignment error, % (chorales, not trained on)",
    "perplexity": "perplexity a character (held-out works)",
    "copy_rate": "copied 4-bar spans, %",
    "ended": "readable and ended, %",
    "spread": "spread within a prompt (judge: 1 - mean cosine)",
}


def write_report(document: dict[str, Any], folder: Path) -> None:
    """``clamp_dpo.json``, ``clamp_dpo.md`` and ``clamp_dpo.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "clamp_dpo.json", f"{json.dumps(document, indent=1)}\n".encode())
    write_atomically(folder / "clamp_dpo.md", _table(document).encode())
    _picture(document, folder / "clamp_dpo.png")


def _table(document: Mapping[str, Any]) -> str:
    seeds, truth, settings = document["seeds"], document["truth"], document["settings"]
    rounds = range(settings["rounds"] + 1)
    head = "| | " + " | ".join(f"K = {number}" for number in rounds) + " | real, held out |"
    lines = [head, "|---" * (len(rounds) + 2) + "|"]
    for key, title in ROWS.items():
        cells = []
        for number in rounds:
            values = [rows[number][key] for rows in seeds.values()]
            cells.append(_cell(values))
        real = f"{truth[key]:.3f}" if key in truth else "-"
        lines.append(f"| {title} | {' | '.join(cells)} | {real} |")
    count = len(seeds)
    return (
        f"# CLaMP-DPO in small\n\nMean of {count} seeds and, behind +-, their standard deviation."
        f" {settings['samples']} pieces a prompt and round, {settings['steps']} steps of"
        f" {settings['pairs']} pairs, AdamW at {settings['rate']:g}, beta {settings['beta']:g},"
        f" lambda {settings['penalty']:g}; feedback by {settings['encoder']}. Written by `make"
        f" clamp-dpo` in {document['minutes']} minutes ({document['machine']['processor']},"
        f" {document['machine']['cores']} cores).\n\n" + "\n".join(lines) + "\n\n"
        f"Prompts: {'; '.join(document['prompts'])}.\n\n"
        "![The figures over the rounds](clamp_dpo.png)\n"
    )


def _cell(values: Sequence[float]) -> str:
    return f"{mean(values):.3f}" + (f" +- {stdev(values):.3f}" if len(values) > 1 else "")


def _picture(document: Mapping[str, Any], path: Path) -> None:
    shown = (
        "score",
        "judge_score",
        "label_accuracy",
        "bar_alignment_error",
        "perplexity",
        "copy_rate",
    )
    figure, axes = plt.subplots(2, 3, figsize=(12, 6.5), constrained_layout=True)
    for axis, key in zip(axes.flat, shown, strict=True):
        curves = [[row[key] for row in rows] for rows in document["seeds"].values()]
        for curve in curves:
            axis.plot(curve, color="tab:blue", alpha=0.35, linewidth=1)
        axis.plot(
            [mean(values) for values in zip(*curves, strict=True)],
            color="tab:blue",
            marker="o",
            label="mean of seeds",
        )
        real = document["truth"].get(key)
        if real is not None and math.isfinite(real):
            axis.axhline(real, color="tab:green", linestyle="--", label="real, held out")
        axis.set_title(ROWS[key], fontsize=9)
        axis.set_xlabel("round K")
        axis.set_xticks(range(len(curves[0])))
        axis.grid(alpha=0.3)
    axes.flat[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)
