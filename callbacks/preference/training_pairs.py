"""The pairs of a preference round: crops of its examples, their references, and pairs of crops."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from musiczoo.callbacks.preference.files import Sample, TrainedPiece
from musiczoo.callbacks.preference.selection import Selected
from musiczoo.callbacks.preference.settings import RoundSettings
from musiczoo.datamodules.pairs import reference_sums
from musiczoo.models.base.generative import GenerativeModule
from musiczoo.models.base.ranks import gathered


def cropped_examples(
    module: GenerativeModule,
    samples: Mapping[int, Sample],
    examples: Sequence[Selected],
    settings: RoundSettings,
    number: int,
) -> list[TrainedPiece]:
    """The examples as they are trained on, several crops of one that is longer than the context.

    Args:
        module: Encodes the pieces.
        samples: The pieces by number.
        examples: Numbers of the chosen and rejected pieces of each prompt.
        settings: Of the round.
        number: Of the round; with the seed it decides the crops.

    Returns:
        The crops, those of a piece next to each other, without references yet.
    """
    crops: list[TrainedPiece] = []
    for selected in examples:
        for which in (*selected.chosen, *selected.rejected):
            first = len(crops)
            for crop in range(settings.crops):
                rng = random.Random(f"{settings.seed}:{number}:{which}:{crop}")
                tokens = module.training_item(samples[which].result, rng)
                if crop and torch.equal(tokens, crops[first].tokens):
                    # It fits the context whole: there is one crop only.
                    break
                crops.append(TrainedPiece(which, crop, tokens, 0.0))
    return crops


def with_references(
    module: GenerativeModule, crops: Sequence[TrainedPiece], rank: int, world_size: int
) -> list[TrainedPiece]:
    """The crops with their log-probabilities under the module as it stands.

    The processes share the work.
    """
    share = crops[rank::world_size]
    sums = reference_sums(
        module, [piece.tokens for piece in share], module.representation.collate
    ).tolist()
    known = {(piece.number, piece.crop): value for piece, value in zip(share, sums, strict=True)}
    everything = {
        name: value for part in gathered(known, world_size) for name, value in part.items()
    }
    return [replace(piece, reference=everything[piece.number, piece.crop]) for piece in crops]


def drawn_pairs(
    samples: Mapping[int, Sample],
    crops: Sequence[TrainedPiece],
    examples: Sequence[Selected],
    count: int,
    rng: random.Random,
) -> list[tuple[int, int]]:
    """Pairs of a chosen and a rejected crop of one prompt, drawn uniformly at each of the steps.

    Args:
        samples: The pieces by number.
        crops: Of :func:`cropped_examples`.
        examples: Numbers of the pieces of each prompt, at least one pair of different texts each.
        count: Pairs to draw.
        rng: Decides which.

    Returns:
        Places in ``crops``, of the chosen and of the rejected one.
    """
    places: dict[int, list[int]] = {}
    for place, piece in enumerate(crops):
        places.setdefault(piece.number, []).append(place)
    drawn: list[tuple[int, int]] = []
    while len(drawn) < count:
        selected = rng.choice(examples)
        chosen, rejected = rng.choice(selected.chosen), rng.choice(selected.rejected)
        one, other = rng.choice(places[chosen]), rng.choice(places[rejected])
        # Equal pieces teach nothing; a prompt that has no others is no example.
        if samples[chosen].result.text != samples[rejected].result.text:
            drawn.append((one, other))
    return drawn
