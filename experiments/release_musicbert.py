"""Releases musicbert-small, the small MusicBERT that comes with musiczoo.

musiczoo fit --config musicbert/shipped
python -m experiments.release_musicbert musicbert_shipped/checkpoints/last.ckpt
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import musiczoo
from experiments._release import last_fit, release, validated
from musiczoo.datamodules import ScoreDataModule
from musiczoo.hub.card import Figure
from musiczoo.hub.opening import open_model
from musiczoo.metrics.label_accuracy import LabelProbe, label_accuracy
from musiczoo.models.m3 import M3Module
from musiczoo.models.musicbert import MusicBertModule
from musiczoo.music.abc.cleaning import clean
from musiczoo.music.analysis.notation_facts import notation_facts
from musiczoo.music.corpora.corpus import Work
from musiczoo.representations.m3_patches import abc_text
from musiczoo.representations.octuple import FIELDS, SIZES, OctupleMidi

ORIGIN = (
    "Trained by the musiczoo authors from random weights with the recipe"
    " configs/musicbert/shipped.yaml. Architecture and pre-training are those of MusicBERT (Zeng et"
    " al. 2021, arXiv 2106.05630)."
)
USE = (
    "Features of short notated pieces and MIDI files on a machine without a GPU; the encoder of"
    " midi-llama-small."
)
LIMITS = (
    "It has seen some 3,900 short pieces, chorales and fiddle tunes, as notation gives them: it"
    " does not see programs, dynamics, tempo and drums, and performed rhythm is unknown to it. It"
    " does not replace the published MusicBERT where figures are compared with papers."
)


def histograms(works: Sequence[Work]) -> Tensor:
    """Of pitches, durations and positions in the bar: what a probe knows without an encoder."""
    representation = OctupleMidi(plain=True)
    rows = []
    for work in works:
        notes = representation.notes(clean(work.tune))
        parts = [
            np.bincount(notes[:, FIELDS.index(name)], minlength=SIZES[FIELDS.index(name)])
            / len(notes)
            for name in ("pitch", "duration", "position")
        ]
        rows.append(np.concatenate(parts))
    return torch.tensor(np.stack(rows), dtype=torch.float32)


def labels_of(works: Sequence[Work], kind: str) -> list[str | None]:
    if kind == "source":
        return [work.source for work in works]
    return [notation_facts(work.tune).rhythm for work in works]


def probed(
    data: ScoreDataModule, features: dict[str, Tensor], kind: str, split: str
) -> list[Figure]:
    """The accuracy of linear probes that learn from the training works, on another split.

    Args:
        data: The works.
        features: By name, (works, dim) of all works.
        kind: ``"source"`` or ``"rhythm type"``.
        split: ``"validation"`` or ``"test"``.
    """
    labels = labels_of(data.works, kind)
    places = {
        name: [place for place in getattr(data.splits, name) if labels[place] is not None]
        for name in ("train", split)
    }
    counts = Counter(labels[place] for place in places["train"])
    train, held = (
        [place for place in places[name] if counts[labels[place]] > 10] for name in ("train", split)
    )
    truth = [str(labels[place]) for place in held]
    known = f"{len(truth)} {split} works, {len({labels[place] for place in train})} labels"
    majority = counts.most_common(1)[0][0]
    share = 100 * sum(label == majority for label in truth) / len(truth)
    figures = [Figure(f"{kind}, percent: the most common label", share, known)]
    for name, table in features.items():
        probe = LabelProbe.fit(table[train], [str(labels[place]) for place in train])
        predicted = [x or "" for x in probe.predict(table[held])]
        accuracy, _ = label_accuracy(predicted, truth)
        title = f"{kind}, percent: linear probe on {name}"
        figures.append(Figure(title, 100 * accuracy, known, "logistic regression"))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a run's checkpoint")
    parser.add_argument("--folder", type=Path, default=Path("hub/shipped/musicbert-small"))
    arguments = parser.parse_args()
    torch.manual_seed(0)
    model = open_model(arguments.model)
    other = musiczoo.load("m3-small")
    assert isinstance(model, MusicBertModule)
    assert isinstance(other, M3Module)
    fit = last_fit(model)
    data = ScoreDataModule(
        fit["corpus"],
        model.representation,
        batch_size=16,
        keys="original",
        val_fraction=fit["val_fraction"],
        test_fraction=fit["test_fraction"],
    )
    data.setup()
    features = {
        "the features": model.features([clean(work.tune) for work in data.works]),
        "histograms of pitch, duration and position": histograms(data.works),
        "m3-small's features": other.features([abc_text(work.tune) for work in data.works]),
    }
    figures = [
        Figure(
            "nats of a hidden token",
            validated(model, data, "val/loss"),
            f"{len(data.splits.validation)} validation works",
            "bar-level masking, 15 %, the same each time",
        )
    ]
    # m3-small has seen the test works (without labels), and not those of validation.
    for kind in ("rhythm type", "source"):
        for split in ("test", "validation"):
            figures += probed(data, features, kind, split)
    release(
        model,
        arguments.folder,
        figures,
        summary="A small MusicBERT of chorales and fiddle tunes",
        origin=ORIGIN,
        intended_use=USE,
        limits=LIMITS,
    )


if __name__ == "__main__":
    main()
