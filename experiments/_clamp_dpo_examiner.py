"""The judge of experiments/clamp_dpo.py: an encoder that gives no feedback, and a linear probe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch.nn import functional

import musiczoo
from musiczoo.callbacks.preference.files import Sample
from musiczoo.datamodules import ScoreDataModule
from musiczoo.datamodules.resumable import Draw
from musiczoo.metrics import BitsPerSymbol, is_readable
from musiczoo.metrics.clamp_score import ClampScore
from musiczoo.metrics.label_accuracy import LabelProbe
from musiczoo.models.base import GenerativeModule
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels
from musiczoo.representations.m3_patches import abc_text

JUDGE = Path(__file__).parent / "judge"


class Examiner:
    """The judge, with what it has learned from real works: a probe and reference features.

    Args:
        data: The works, divided.
        labels: The labels that the probe separates.
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
        self.references = by_label(features, [work.labels for work in self.train])
        self.probe = LabelProbe.fit(features, [label_name(work.labels) for work in self.train])

    def predictions(self, tunes: Sequence[Tune]) -> tuple[torch.Tensor, list[str | None]]:
        """Features (tunes, dim) of the judge, and the label that its probe gives each tune."""
        features = self.judge.features([abc_text(tune) for tune in tunes])
        return features, self.probe.predict(features)

    def accuracy_by_prompt(self, samples: Sequence[Sample]) -> dict[Labels, float]:
        """Part of each prompt's pieces that the judge recognises.

        A piece that cannot be read counts as not recognised.
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
                found[sample.result.labels] += name == label_name(sample.result.labels)
        return {labels: found[labels] / counts[labels] for labels in self.labels if counts[labels]}

    def held_perplexity(self, model: GenerativeModule, prompts: Sequence[Labels]) -> float:
        """Perplexity per character of the held-out works of the prompts, read as in validation."""
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


def label_name(labels: Labels | None) -> str:
    """Source and rhythm in one line."""
    assert labels is not None
    return f"{labels.composer} / {labels.instrumentation}"


def by_label(features: torch.Tensor, labels: Sequence[Labels | None]) -> dict[Labels, torch.Tensor]:
    """The rows (pieces, dim) of features, grouped by label."""
    return {
        name: features[[place for place, other in enumerate(labels) if other == name]]
        for name in set(labels)
        if name is not None
    }


def readable(samples: Sequence[Sample]) -> list[tuple[Sample, Tune]]:
    """The pieces that ended, hold notes and can be written for an encoder, with their samples."""
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


def spread(features: torch.Tensor, labels: Sequence[Labels]) -> float:
    """1 - the mean cosine between pieces of a prompt, averaged over prompts.

    It falls towards 0 when a model repeats itself.
    """
    values = []
    for rows in by_label(features, labels).values():
        if len(rows) > 1:
            units = functional.normalize(rows.double(), dim=1)
            cosines = units @ units.T
            values.append(1 - float((cosines.sum() - len(rows)) / (len(rows) * (len(rows) - 1))))
    return mean(values)


def judged_by(
    examiner: Examiner, tunes: Sequence[Tune], labels: Sequence[Labels], asked: int
) -> dict[str, float]:
    """The judge's figures of tunes and their labels.

    Args:
        examiner: The judge.
        tunes: Those that can be read.
        labels: The label that each tune should have.
        asked: Tunes that were sampled; those that could not be read count as not recognised. 0 for
            real works.
    """
    features, predicted = examiner.predictions(tunes)
    by_prompt: dict[Labels, list[tuple[bool, bool, bool]]] = {}
    for name, wanted in zip(predicted, labels, strict=True):
        source, _, rhythm = (name or " / ").partition(" / ")
        hits = (
            name == label_name(wanted),
            source == wanted.composer,
            rhythm == wanted.instrumentation,
        )
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
        "spread": spread(features, labels),
    }
