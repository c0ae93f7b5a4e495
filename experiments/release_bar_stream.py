"""Releases bar-stream: the weights of a training run as a checkpoint folder with its model card.

    musiczoo fit --config bar_stream/shipped_pretrain
    musiczoo fit --config bar_stream/shipped_finetune
    python -m experiments.sampling shipped_finetune --output measured
    python -m experiments.release_bar_stream RUN measured/sampling.json hub/shipped/bar-stream

RUN is the folder of the run, shipped_finetune here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from experiments._release import release
from musiczoo.hub.card import Figure
from musiczoo.hub.opening import open_model
from musiczoo.models.base import GenerativeModule
from musiczoo.models.sampling import Sampling

ORIGIN = (
    "Trained by the musiczoo authors from random weights with the recipes"
    " configs/bar_stream/shipped_pretrain.yaml and shipped_finetune.yaml. The architecture is that"
    " of NotaGen (Wang et al. 2025, arXiv 2502.18008) with patches of 32 characters."
)
USE = (
    "A small base for fine-tuning on one's own scores, for demonstrations, tests and teaching on a"
    " machine without a GPU. It generates four-part chorales and fiddle tunes."
)
LIMITS = (
    "It is small and has seen some 3,000 short pieces: its phrases are plausible, its form is not."
    " With --align the voices of a bar always have one length; without, see the bar-alignment error"
    " below. Generated pieces may repeat passages of its training data (see the share of copied"
    " spans). The encodings it was trained on are distributed with music21 by permission of their"
    " encoders, who stated no licence; the music itself is in the public domain."
)


def figures(report: dict[str, Any]) -> list[Figure]:
    """The figures that experiments/sampling.py measured."""
    sampling, settings = report["sampling"], report["settings"]
    free, guarded = report["without_guard"], report["with_guard"]
    how = (
        f"{settings['pieces']} pieces from four-voice headers of held-out chorales, top-p"
        f" {sampling['top_p']}, temperature {sampling['temperature']}, seed {settings['seed']}"
    )
    data = "four-voice prompts"
    rows = [
        Figure(
            "pieces that parse and end by themselves, percent", free["percent"]["valid"], data, how
        ),
        Figure("bar-alignment error, percent", free["bar_alignment_error"]["percent"], data, how),
        Figure(
            "bar-alignment error with the guard, percent",
            guarded["bar_alignment_error"]["percent"],
            data,
            how,
        ),
        Figure(
            "4-bar spans copied from training, percent",
            free["copy_rate"]["all_voices"]["percent"],
            data,
            how,
        ),
    ]
    for source, row in report["bits_per_character"].items():
        best = min(value for name, value in row.items() if name.startswith("ngram"))
        data = (
            f"{row['works']} held-out works of {source}"
            if source != "all"
            else f"all {row['works']} held-out works"
        )
        rows.append(
            Figure(
                "bits per character",
                row["net"],
                data,
                f"an order-8 character n-gram model: {best:.3f}",
            )
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a run's folder, or anything that musiczoo commands open")
    parser.add_argument("report", type=Path, help="the sampling.json of experiments/sampling.py")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    model = open_model(arguments.model)
    assert isinstance(model, GenerativeModule)
    report = json.loads(arguments.report.read_text())
    # The figures hold for these settings, so these are what the checkpoint recommends.
    model.sampling = Sampling(**report["sampling"])
    release(
        model,
        arguments.folder,
        figures(report),
        summary="A small bar-stream model of Bach's chorales and of fiddle tunes",
        origin=ORIGIN,
        intended_use=USE,
        limits=LIMITS,
    )


if __name__ == "__main__":
    main()
