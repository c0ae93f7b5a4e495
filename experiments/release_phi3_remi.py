"""Releases phi3-remi: the weights of a training run as a checkpoint folder with its model card.

musiczoo fit --config phi3_remi/shipped
python -m experiments.release_phi3_remi phi3_shipped/checkpoints/last.ckpt hub/shipped/phi3-remi
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from pathlib import Path

import torch

from experiments._release import last_fit, release, validated
from musiczoo.callbacks import CorpusPrompts
from musiczoo.datamodules.midi import MidiDataModule
from musiczoo.datamodules.resumable import ResumableLoader
from musiczoo.hub.card import Figure
from musiczoo.hub.opening import open_model
from musiczoo.models.phi3_remi import Phi3RemiModule, RemiGrammar

ORIGIN = (
    "Trained by the musiczoo authors from random weights with the recipe"
    " configs/phi3_remi/shipped.yaml. The architecture and the tokens are those of the base"
    " model of SMART (Jonason, Casini and Sturm 2025, arXiv 2504.16839) at a seventh of its size."
)
USE = (
    "A small base for fine-tuning on one's own MIDI files, and for tuning by audio rewards,"
    " on a machine without a GPU. It generates piano versions of chorales and fiddle tunes."
)
LIMITS = (
    "It is small and has seen some 3,700 short pieces, scores and no performances: their velocities"
    " are one constant, so it knows nothing of dynamics beyond holding the velocity that a prompt"
    " begins with (training shifted velocity, tempo and pitch of whole pieces). A note is at most"
    " four beats of its meter long. The encodings it was trained on are distributed with music21 by"
    " permission of their encoders, who stated no licence; the music itself is in the public"
    " domain."
)
PIECES = 256
TOKENS = 256


def unigram(data: MidiDataModule) -> float:
    """Bits per token of the test pieces under the token frequencies of the training pieces.

    A model that knows nothing of the order of tokens does no better.
    """
    counts = torch.ones(len(data.representation.vocabulary), dtype=torch.float64)  # type: ignore[union-attr]
    for index in data.splits.train:
        counts += torch.bincount(data.tokens(index), minlength=len(counts))
    bits = -(counts / counts.sum()).log2()
    tokens = torch.cat([data.tokens(index)[1:] for index in data.splits.test])
    return float(bits[tokens].mean())


def lawful(model: Phi3RemiModule, data: MidiDataModule) -> tuple[float, float]:
    """Share of freely sampled tokens, and of whole continuations, that the grammar allows."""
    prompts = CorpusPrompts(data, "test").draw(PIECES, random.Random(0))
    results = model.generate(
        prompts, max_new_tokens=TOKENS, generator=torch.Generator().manual_seed(0)
    )
    grammar = RemiGrammar(model.representation)
    tokens: Counter[bool] = Counter()
    pieces: Counter[bool] = Counter()
    for result in results:
        begin = int((~result.scored).sum())
        state = grammar.start([result.tokens[:begin]])
        good = []
        for token in result.tokens[begin:]:
            good.append(bool(state.allowed(torch.tensor([0]))[0, token]))
            state.read(torch.tensor([0]), token.unsqueeze(0))
        tokens.update(good)
        pieces[all(good)] += 1
    return tokens[True] / tokens.total(), pieces[True] / pieces.total()


def figures(model: Phi3RemiModule, data: MidiDataModule) -> list[Figure]:
    """The figures of the held-out pieces."""
    works = data.provenance()["works"]
    free, whole = lawful(model, data)
    test = data.test_dataloader()
    assert isinstance(test, ResumableLoader)
    how = (
        f"{PIECES} continuations of {TOKENS} tokens from openings of test pieces, full softmax, no"
        " guard, seed 0"
    )
    return [
        Figure(
            "bits per token",
            validated(model, test, "val/bits_per_token"),
            f"all {works['test']} test pieces",
            f"windows of {data.max_length} tokens; token frequencies alone: {unigram(data):.3f}",
        ),
        Figure("tokens that are grammatical REMI, percent", 100 * free, "test openings", how),
        Figure(
            "continuations that are grammatical REMI throughout, percent",
            100 * whole,
            "test openings",
            how,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a run's checkpoint")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    model = open_model(arguments.model)
    assert isinstance(model, Phi3RemiModule)
    fit = last_fit(model)
    data = MidiDataModule(
        fit["corpus"],
        model.representation,
        batch_size=16,
        max_length=fit["max_length"],
        split_seed=fit["split_seed"],
    )
    data.setup()
    assert data.provenance()["works"] == fit["works"]
    release(
        model,
        arguments.folder,
        figures(model, data),
        summary="A small REMI Phi-3 that generates chorales and fiddle tunes for piano",
        origin=ORIGIN,
        intended_use=USE,
        limits=LIMITS,
    )


if __name__ == "__main__":
    main()
