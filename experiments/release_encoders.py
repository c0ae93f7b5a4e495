"""Releases the small M3 encoders: m3-small, which is shipped, and the judge of the experiments.

musiczoo fit --config m3/shipped
musiczoo fit --config m3/judge
python -m experiments.release_encoders m3_shipped/checkpoints/last.ckpt hub/shipped/m3-small
python -m experiments.release_encoders m3_judge/checkpoints/last.ckpt experiments/judge
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import torch

from experiments._release import last_fit, release, validated
from musiczoo.datamodules import ScoreDataModule
from musiczoo.hub.card import Figure
from musiczoo.hub.opening import open_model
from musiczoo.metrics.label_accuracy import LabelProbe, label_accuracy
from musiczoo.models.m3 import M3Module
from musiczoo.representations.m3_patches import abc_text

ORIGIN = (
    "Trained by the musiczoo authors from random weights with the recipe configs/m3/{recipe}.yaml."
    " The architecture and its pre-training are those of M3 (Wu et al. 2024, CLaMP 2, arXiv"
    " 2410.13267)."
)
USE = {
    "m3-small": (
        "Features of short pieces on a machine without a GPU: feedback for preference learning,"
        " similarity, plagiarism, probes."
    ),
    "judge": "The independent judge of experiments/clamp_dpo.py: no feedback comes from it.",
}
LIMITS = (
    "It has seen some 4,400 short pieces in ABC, chorales and fiddle tunes, and no MIDI text. Its"
    " features are those of masked pre-training alone; there is no text side. It does not replace"
    " CLaMP 2 where figures are compared with papers."
)


def figures(model: M3Module, data: ScoreDataModule) -> list[Figure]:
    """The loss on the held-out works, and the accuracy of a linear probe on the features."""
    bits = validated(model, data, "val/bits_per_character")
    held = [data.works[index] for index in data.splits.validation]
    train = [data.works[index] for index in data.splits.train]
    counts = Counter(work.labels for work in train)
    known = [
        labels
        for labels, count in counts.items()
        if labels is not None and count > 10 and labels.instrumentation != "tune"
    ]
    rows = []
    for works in (train, held):
        some = [(work, work.labels) for work in works if work.labels in known]
        names = [
            f"{labels.composer} / {labels.instrumentation}"
            for _, labels in some
            if labels is not None
        ]
        rows.append((model.features([abc_text(work.tune) for work, _ in some]), names))
    probe = LabelProbe.fit(*rows[0])
    predicted = [name or "" for name in probe.predict(rows[1][0])]
    accuracy, _ = label_accuracy(predicted, rows[1][1])
    return [
        Figure(
            "bits per character of masked patches",
            bits,
            f"{len(held)} held-out works",
            "45 % of the patches selected, unchanged (the published way of validation)",
        ),
        Figure(
            "label accuracy, percent",
            round(100 * accuracy, 2),
            f"{len(rows[1][1])} held-out works with {len(known)} labels of source and rhythm",
            "logistic regression on the mean feature",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a run's checkpoint")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    model = open_model(arguments.model)
    assert isinstance(model, M3Module)
    fit = last_fit(model)
    data = ScoreDataModule(
        fit["corpus"],
        model.representation,
        batch_size=16,
        keys="original",
        val_fraction=fit["val_fraction"],
    )
    data.setup()
    name = arguments.folder.name
    shipped = name == "m3-small"
    release(
        model,
        arguments.folder,
        figures(model, data),
        summary=(
            "A small M3 encoder of chorales and fiddle"
            f" tunes{'' if shipped else ', the judge of experiments'}"
        ),
        load_name=name if shipped else "",
        origin=ORIGIN.format(recipe="shipped" if shipped else name),
        intended_use=USE[name],
        limits=LIMITS,
    )


if __name__ == "__main__":
    main()
