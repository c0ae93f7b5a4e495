"""Measures what experiments/clamp_dpo.py has made, and writes the table and the picture."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import matplotlib.pyplot as plt
import torch
from rich.progress import track
from torch.nn import functional

import musiczoo
from experiments.sampling import processor_name
from musiczoo.callbacks.preference.files import RoundFiles, Sample
from musiczoo.callbacks.preference.sampler import with_piece
from musiczoo.datamodules import ScoreDataModule
from musiczoo.datamodules.resumable import Draw
from musiczoo.metrics import BarAlignmentError, BitsPerSymbol, CopyRate, SpanIndex, is_readable
from musiczoo.metrics.clamp_score import ClampScore
from musiczoo.metrics.label_accuracy import LabelProbe
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.music.abc import Tune
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels
from musiczoo.representations.m3_patches import abc_text

JUDGE = Path(__file__).parent / "judge"

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


class Examiner:
    """What is known of real works: probes, reference features, spans.

    Args:
        data: The works, divided.
        labels: The labels that the probe tells apart.
    """

    def __init__(self, data: ScoreDataModule, labels: Sequence[Labels]) -> None:
        self.data = data
        self.judge: Any = musiczoo.load(f"local-dir:{JUDGE}")
        self.labels = list(labels)
        wanted = set(labels)
        self.train = [
            data.works[index] for index in data.splits.train if data.works[index].labels in wanted
        ]
        held = [*data.splits.validation, *data.splits.test]
        self.held_indices = [index for index in held if data.works[index].labels in wanted]
        self.held = [data.works[index] for index in self.held_indices]
        features = self.judge.features([abc_text(work.tune) for work in self.train])
        self.references = _grouped(features, [work.labels for work in self.train])
        self.probe = LabelProbe.fit(features, [_name(work.labels) for work in self.train])

    def predictions(self, tunes: Sequence[Tune]) -> tuple[torch.Tensor, list[str | None]]:
        features = self.judge.features([abc_text(tune) for tune in tunes])
        return features, self.probe.predict(features)

    def accuracy_by_prompt(self, samples: Sequence[Sample]) -> dict[Labels, float]:
        """Part of each prompt's pieces that the judge recognises.

        What cannot be read is not recognised.
        """
        found = {labels: 0 for labels in self.labels}
        counts = dict(found)
        good = readable(samples)
        _, predicted = self.predictions([tune for _, tune in good])
        for sample in samples:
            if sample.result.labels is not None:
                counts[sample.result.labels] += 1
        for (sample, _), name in zip(good, predicted, strict=True):
            if sample.result.labels is not None:
                found[sample.result.labels] += name == _name(sample.result.labels)
        return {labels: found[labels] / counts[labels] for labels in self.labels if counts[labels]}

    def held_perplexity(self, model: GenerativeModule, prompts: Sequence[Labels]) -> float:
        """Per character of the held-out works of the prompts, as the model meets them in validation."""
        indices = [
            index for index in self.held_indices if self.data.works[index].labels in set(prompts)
        ]
        items = self.data.items(indices, training=False)
        pieces = sorted((items[Draw(0, place)] for place in range(len(items))), key=len)
        bits = BitsPerSymbol("character")
        with torch.inference_mode():
            for start in range(0, len(pieces), 8):
                bits.update(
                    model.log_probs(model.representation.collate(pieces[start : start + 8]))
                )
        return float(2 ** bits.compute())


def _name(labels: Labels | None) -> str:
    assert labels is not None
    return f"{labels.composer} / {labels.instrumentation}"


def _grouped(features: torch.Tensor, labels: Sequence[Labels | None]) -> dict[Labels, torch.Tensor]:
    return {
        name: features[[place for place, other in enumerate(labels) if other == name]]
        for name in set(labels)
        if name is not None
    }


def readable(samples: Sequence[Sample]) -> list[tuple[Sample, Tune]]:
    """The pieces that came to their end, sound, and can be written for an encoder.

    The others are missing, and counted so.
    """
    found = []
    for sample in samples:
        piece = sample.result.piece
        if piece is None or sample.result.stop != "end" or not is_readable(sample.result):
            continue
        try:
            abc_text(piece)
        except MusicZooError:
            continue
        found.append((sample, piece))
    return found


def _spread(features: torch.Tensor, labels: Sequence[Labels]) -> float:
    """1 - the mean cosine between pieces of a prompt, averaged over prompts: what is lost when a model says one thing only."""
    values = []
    for rows in _grouped(features, labels).values():
        if len(rows) > 1:
            units = functional.normalize(rows.double(), dim=1)
            cosines = units @ units.T
            values.append(1 - float((cosines.sum() - len(rows)) / (len(rows) * (len(rows) - 1))))
    return mean(values)


def _judged(
    examiner: Examiner, tunes: Sequence[Tune], labels: Sequence[Labels], asked: int
) -> dict[str, float]:
    """What the judge says; pieces that could not be read count as not recognised."""
    features, predicted = examiner.predictions(tunes)
    by_prompt: dict[Labels, list[tuple[bool, bool, bool]]] = {}
    for name, wanted in zip(predicted, labels, strict=True):
        source, _, rhythm = (name or " / ").partition(" / ")
        hits = (name == _name(wanted), source == wanted.composer, rhythm == wanted.instrumentation)
        by_prompt.setdefault(wanted, []).append(hits)
    per_prompt = asked / len(by_prompt)
    score = ClampScore({name: examiner.references[name] for name in by_prompt})
    score.update(features, list(labels))
    # Real works come in different numbers a prompt, so prompts are averaged.
    totals = {
        name: max(per_prompt, len(hits)) if asked else len(hits) for name, hits in by_prompt.items()
    }
    return {
        "judge_score": float(score.compute()["average"]),
        **{
            key: (
                100
                * mean(
                    sum(hit[place] for hit in hits) / totals[name]
                    for name, hits in by_prompt.items()
                )
            )
            for place, key in enumerate(("label_accuracy", "source_accuracy", "rhythm_accuracy"))
        },
        "spread": _spread(features, labels),
    }


def _alignment(pieces: Sequence[Generated | Tune]) -> tuple[float, int]:
    metric = BarAlignmentError()
    metric.update(pieces)
    return float(metric.compute()), int(metric.bars)


def report(
    options: argparse.Namespace, examiner: Examiner, prompts: Sequence[Labels]
) -> dict[str, Any]:
    """All figures of all seeds and rounds, and of real works."""
    base = musiczoo.load("bar-stream")
    assert isinstance(base, GenerativeModule)
    feedback: Any = musiczoo.load(options.encoder)
    wanted = set(prompts)
    spans = SpanIndex.of(work.tune for work in examiner.train)
    train = [work for work in examiner.train if work.labels in wanted]
    references = _grouped(
        feedback.features([abc_text(work.tune) for work in train]), [work.labels for work in train]
    )
    seeds: dict[int, list[dict[str, float]]] = {}
    for seed in options.seeds:
        folder = options.folder / f"seed-{seed}"
        seeds[seed] = []
        for number in track(range(options.rounds + 1), description=f"measuring seed {seed}"):
            files = RoundFiles(folder / "rounds" / f"round-{number + 1:03d}")
            samples = [with_piece(base, sample) for sample in files.samples()]
            good = readable(samples)
            tunes = [tune for _, tune in good]
            labels = [
                sample.result.labels for sample, _ in good if sample.result.labels is not None
            ]
            score = ClampScore(references)
            score.update(feedback.features([abc_text(tune) for tune in tunes]), labels)
            copying = CopyRate(spans)
            copying.update(tunes)
            chorales = RoundFiles(folder / "chorales" / f"round-{number + 1:03d}").chunk(0) or []
            error, bars = _alignment([sample.result for sample in chorales])
            policy = (
                base
                if number == 0
                else musiczoo.load(f"local-dir:{folder}/rounds/round-{number:03d}/policy")
            )
            assert isinstance(policy, GenerativeModule)
            seeds[seed].append(
                {
                    "score": float(score.compute()["average"]),
                    **_judged(examiner, tunes, labels, len(samples)),
                    "bar_alignment_error": error,
                    "bars": bars,
                    "perplexity": examiner.held_perplexity(policy, prompts),
                    "copy_rate": float(copying.compute()),
                    "ended": 100 * len(good) / len(samples),
                    "pieces": len(samples),
                }
            )
    return {
        "prompts": [_name(labels) for labels in prompts],
        "pilot": json.loads((options.folder / "pilot.json").read_text()),
        "settings": {
            name: value
            for name, value in vars(options).items()
            if not isinstance(value, Path) and name != "only_seed"
        },
        "seeds": seeds,
        "truth": _truth(examiner, feedback, references, prompts, spans),
        "seconds": {
            seed: json.loads((options.folder / f"seed-{seed}" / "done.json").read_text())
            for seed in options.seeds
        },
        "machine": {"processor": processor_name(), "cores": os.cpu_count()},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("musiczoo", "torch", "lightning")},
        },
    }


def _truth(
    examiner: Examiner,
    feedback: Any,
    references: Mapping[Labels, torch.Tensor],
    prompts: Sequence[Labels],
    spans: SpanIndex,
) -> dict[str, float]:
    """The held-out real works of the same prompts."""
    works = [work for work in examiner.held if work.labels in set(prompts)]
    tunes = [work.tune for work in works]
    labels = [work.labels for work in works if work.labels is not None]
    score = ClampScore(references)
    score.update(feedback.features([abc_text(tune) for tune in tunes]), labels)
    copying = CopyRate(spans)
    copying.update(tunes)
    error, bars = _alignment([work.tune for work in examiner.held if work.voices > 1])
    return {
        "score": float(score.compute()["average"]),
        **_judged(examiner, tunes, labels, 0),
        "bar_alignment_error": error,
        "bars": bars,
        "copy_rate": float(copying.compute()),
        "ended": 100.0,
        "pieces": len(works),
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
