"""Makes the small M3 encoders: m3-small, which comes with the package, and the judge of the experiments.

musiczoo fit --config m3/shipped
musiczoo fit --config m3/judge
python experiments/release_encoders.py m3_shipped/checkpoints/last.ckpt hub/shipped/m3-small
python experiments/release_encoders.py m3_judge/checkpoints/last.ckpt experiments/judge
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import lightning
import torch

from musiczoo.datamodules import ScoreDataModule
from musiczoo.hub.card import Card, Figure, Source
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.hub.opening import open_model
from musiczoo.metrics.label_accuracy import LabelProbe, label_accuracy
from musiczoo.models.m3 import M3Module
from musiczoo.music.corpora.names import BUILT_IN
from musiczoo.representations.m3_patches import abc_text

ORIGIN = (
    "Trained by the musiczoo authors from nothing with the recipe configs/m3/{recipe}.yaml. The"
    " architecture and its pre-training are those of M3 (Wu et al. 2024, CLaMP 2, arXiv"
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
    " features are those of masked pre-training alone; there is no text side. It is no stand-in for"
    " CLaMP 2 where figures are to be compared with papers."
)


def figures(model: M3Module, data: ScoreDataModule) -> list[Figure]:
    """The loss on the held-out works, and what a linear probe reads off the features."""
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    [measured] = trainer.validate(model, data, verbose=False)
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
            round(measured["val/bits_per_character"], 4),
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
    told = model.provenance["training"][-1]
    data = ScoreDataModule(
        told["corpus"],
        model.representation,
        batch_size=16,
        keys="original",
        val_fraction=told["val_fraction"],
    )
    data.setup()
    name = arguments.folder.name
    shipped = name == "m3-small"
    card = Card(
        title=name,
        summary=(
            "A small M3 encoder of chorales and fiddle"
            f" tunes{'' if shipped else ', the judge of experiments'}"
        ),
        load_name=name if shipped else "",
        licence="mit",
        origin=ORIGIN.format(recipe="shipped" if shipped else name),
        data=tuple(Source(source, BUILT_IN[source].licence) for source in told["corpus"]),
        figures=tuple(figures(model, data)),
        intended_use=USE[name],
        limits=LIMITS,
    )
    save_checkpoint(model, arguments.folder, card=card, dtype="bfloat16", overwrite=True)


if __name__ == "__main__":
    main()
