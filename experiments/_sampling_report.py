"""The figures of experiments/sampling.py: goals reached, tables, and a picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments._sampling_bits import ORDER


def reached(report: dict[str, Any], options: argparse.Namespace) -> dict[str, bool]:
    """The goals of the shipped checkpoint, and whether this one reaches them."""
    free, guarded = report["without_guard"], report["with_guard"]
    ngrams = [f"ngram_{rule}" for rule in options.ngram_keys]
    return {
        "at least 95 % parse and end by themselves": free["percent"]["valid"] >= 95,
        "bar-alignment error at most 2 %": free["bar_alignment_error"]["percent"] <= 2,
        "bar-alignment error 0 with the guard": guarded["bar_alignment_error"]["misaligned"] == 0,
        "at most 5 % of spans copied": free["copy_rate"]["all_voices"]["percent"] <= 5,
        "bits per character below the n-gram's in every source": all(
            row["net"] < min((row[name] for name in ngrams), default=0.0)
            for row in report["bits_per_character"].values()
        ),
    }


def show(report: dict[str, Any], console: Console) -> None:
    """The figures as tables."""
    console.print(_pieces_table(report))
    console.print(_bits_table(report))
    for sentence, is_reached in report["reached"].items():
        console.print(
            f"{'reached' if is_reached else 'MISSED '}  {sentence}",
            style="green" if is_reached else "red",
        )


def _pieces_table(report: dict[str, Any]) -> Table:
    """Figures of the generated pieces, without and with the guard, beside held-out works."""
    table = Table(
        "of the pieces",
        "without guard",
        "with guard",
        "held-out human pieces",
        title=f"{report['model']}: generated pieces",
    )
    both = (report["without_guard"], report["with_guard"])
    errors = [row["bar_alignment_error"] for row in both]
    human = report["human"]
    copied: dict[str, Any] = human["copy_rate"]
    for label, name in (
        ("read as music, %", "readable"),
        ("end by themselves, %", "ended"),
        ("both, %", "valid"),
    ):
        table.add_row(label, *(f"{row['percent'][name]:.0f}" for row in both))
    table.add_row(
        "bar-alignment error, %",
        *(f"{error['percent']:.3f} ({error['bars']} bars)" for error in errors),
        f"{human['bar_alignment_error_percent']:.3f} ({human['bars']} bars)",
    )
    for label, name in (
        ("spans copied, all voices, %", "all_voices"),
        ("spans copied, top voice, %", "top_voice"),
    ):
        table.add_row(
            label,
            *(f"{row['copy_rate'][name]['percent']:.2f}" for row in both),
            ", ".join(f"{source} {rate[name]['percent']:.2f}" for source, rate in copied.items()),
        )
    longest = "longest_copied_passage_in_bars"
    table.add_row(
        "longest copied passage, bars",
        *(str(row["copy_rate"][longest]) for row in both),
        ", ".join(f"{source} {rate[longest]}" for source, rate in copied.items()),
    )
    voices = (", ".join(f"{n}: {k}" for n, k in row["voices"].items()) for row in both)
    table.add_row("voices: pieces", *voices)
    table.add_row("bars of a piece, median", *(f"{row['bars_median']:.0f}" for row in both))
    table.add_row("seconds", *(f"{row['seconds']:.0f}" for row in both))
    return table


def _bits_table(report: dict[str, Any]) -> Table:
    """Bits per character of the net and of the n-gram models, a row for each source."""
    rows = report["bits_per_character"]
    ngrams = [name for name in next(iter(rows.values())) if name.startswith("ngram_")]
    names = [f"{ORDER}-gram, keys: {name.removeprefix('ngram_')}" for name in ngrams]
    table = Table("held out", "works", "characters", "net", *names, title="bits per character")
    for source, row in rows.items():
        figures = (f"{row[name]:.3f}" for name in ("net", *ngrams))
        table.add_row(source, f"{row['works']}", f"{row['characters']:,}", *figures)
    return table


def picture(report: dict[str, Any], path: Path) -> None:
    """Bits per character and copy rates as bars."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows = report["bits_per_character"]
    kinds = [
        name for name in next(iter(rows.values())) if name == "net" or name.startswith("ngram_")
    ]
    width = 0.8 / len(kinds)
    for place, kind in enumerate(kinds):
        label = "net" if kind == "net" else f"{ORDER}-gram, keys: {kind.removeprefix('ngram_')}"
        left.bar(
            np.arange(len(rows)) + place * width,
            [row[kind] for row in rows.values()],
            width,
            label=label,
        )
    left.set_xticks(np.arange(len(rows)) + 0.4 - width / 2, list(rows))
    left.set(ylabel="bits per character, held out")
    left.legend()
    rates = {
        "generated": report["without_guard"]["copy_rate"],
        "with guard": report["with_guard"]["copy_rate"],
        **report["human"]["copy_rate"],
    }
    for place, kind in enumerate(("all_voices", "top_voice")):
        right.bar(
            np.arange(len(rates)) + 0.4 * place,
            [rate[kind]["percent"] for rate in rates.values()],
            0.4,
            label=kind.replace("_", " "),
        )
    right.set_xticks(np.arange(len(rates)) + 0.2, list(rates))
    right.set(ylabel=f"copied spans of {report['settings']['span_bars']} bars, %")
    right.legend()
    figure.savefig(path, dpi=120)
