"""The figures of experiments/clamp_dpo.py: of every seed and round, and of real works."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

import musiczoo
from experiments._clamp_dpo_examiner import Examiner, by_label, judged_by, label_name, readable
from experiments._machine import machine, versions
from musiczoo.callbacks.preference.files import RoundFiles
from musiczoo.callbacks.preference.sampler import with_piece
from musiczoo.metrics import BarAlignmentError, CopyRate, SpanIndex
from musiczoo.metrics.clamp_score import ClampScore
from musiczoo.models.base import Generated, GenerativeModule
from musiczoo.music.abc import Tune
from musiczoo.music.recipes.labels import Labels
from musiczoo.representations.m3_patches import abc_text


class Measuring:
    """The figures of rounds and of real works, with what all of them need computed once.

    Args:
        options: Of the experiment.
        examiner: The judge.
        prompts: The prompts that were tuned on.
    """

    def __init__(
        self, options: argparse.Namespace, examiner: Examiner, prompts: Sequence[Labels]
    ) -> None:
        self.examiner, self.prompts = examiner, prompts
        self.base = musiczoo.load("bar-stream")
        self.feedback: Any = musiczoo.load(options.encoder)
        self.spans = SpanIndex.of(work.tune for work in examiner.train)
        train = [work for work in examiner.train if work.labels in set(prompts)]
        features = self.feedback.features([abc_text(work.tune) for work in train])
        self.references = by_label(features, [work.labels for work in train])

    def of_round(self, folder: Path, number: int) -> dict[str, float]:
        """The figures of the policy after ``number`` rounds, from the pieces that it sampled."""
        assert isinstance(self.base, GenerativeModule)
        files = RoundFiles(folder / "rounds" / f"round-{number + 1:03d}")
        samples = [with_piece(self.base, sample) for sample in files.samples()]
        good = [
            (tune, sample.result.labels)
            for sample, tune in readable(samples)
            if sample.result.labels is not None
        ]
        tunes, labels = [tune for tune, _ in good], [labels for _, labels in good]
        chorales = RoundFiles(folder / "chorales" / f"round-{number + 1:03d}").chunk(0) or []
        error, bars = _alignment([sample.result for sample in chorales])
        tuned = f"local-dir:{folder}/rounds/round-{number:03d}/policy"
        policy = self.base if number == 0 else musiczoo.load(tuned)
        assert isinstance(policy, GenerativeModule)
        return {
            "score": self._score(tunes, labels),
            **judged_by(self.examiner, tunes, labels, len(samples)),
            "bar_alignment_error": error,
            "bars": bars,
            "perplexity": self.examiner.held_perplexity(policy, self.prompts),
            "copy_rate": self._copy_rate(tunes),
            "ended": 100 * len(good) / len(samples),
            "pieces": len(samples),
        }

    def of_real_works(self) -> dict[str, float]:
        """The figures of the held-out real works of the same prompts."""
        held = self.examiner.held
        works = [
            (work.tune, work.labels)
            for work in held
            if work.labels is not None and work.labels in set(self.prompts)
        ]
        tunes, labels = [tune for tune, _ in works], [labels for _, labels in works]
        error, bars = _alignment([work.tune for work in held if work.voices > 1])
        return {
            "score": self._score(tunes, labels),
            **judged_by(self.examiner, tunes, labels, 0),
            "bar_alignment_error": error,
            "bars": bars,
            "copy_rate": self._copy_rate(tunes),
            "ended": 100.0,
            "pieces": len(works),
        }

    def _score(self, tunes: Sequence[Tune], labels: Sequence[Labels]) -> float:
        score = ClampScore(self.references)
        score.update(self.feedback.features([abc_text(tune) for tune in tunes]), labels)
        return float(score.compute()["average"])

    def _copy_rate(self, tunes: Sequence[Tune]) -> float:
        copying = CopyRate(self.spans)
        copying.update(tunes)
        return float(copying.compute())


def _alignment(pieces: Sequence[Generated | Tune]) -> tuple[float, int]:
    """Bar-alignment error in percent, and the bars that it was measured on."""
    metric = BarAlignmentError()
    metric.update(pieces)
    return float(metric.compute()), int(metric.bars)


def report(
    options: argparse.Namespace, examiner: Examiner, prompts: Sequence[Labels]
) -> dict[str, Any]:
    """The figures of all seeds and rounds, and of real works."""
    measuring = Measuring(options, examiner, prompts)
    seeds: dict[int, list[dict[str, float]]] = {}
    for seed in options.seeds:
        rounds = track(range(options.rounds + 1), description=f"measuring seed {seed}")
        folder = options.folder / f"seed-{seed}"
        seeds[seed] = [measuring.of_round(folder, number) for number in rounds]
    return {
        "prompts": [label_name(labels) for labels in prompts],
        "pilot": json.loads((options.folder / "pilot.json").read_text()),
        "settings": {
            name: value
            for name, value in vars(options).items()
            if not isinstance(value, Path) and name != "only_seed"
        },
        "seeds": seeds,
        "truth": measuring.of_real_works(),
        "seconds": {
            seed: json.loads((options.folder / f"seed-{seed}" / "done.json").read_text())
            for seed in options.seeds
        },
        "machine": machine(),
        "versions": versions("musiczoo", "torch", "lightning"),
    }
