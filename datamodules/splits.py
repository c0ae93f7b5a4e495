"""Training, validation and test works, split by clusters of near-duplicates.

Works that are added later do not move the others to another split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from musiczoo.music.errors import MusicZooError


class Splits(NamedTuple):
    """Indices of the works of each split."""

    train: list[int]
    validation: list[int]
    test: list[int]


def split_by_cluster(
    cluster_ids: Sequence[str], *, validation: float = 0.1, test: float = 0.0, seed: int = 0
) -> Splits:
    """Divide works so that no cluster is in two splits.

    A cluster's place follows from the seed and its name alone, so the parts have their sizes on
    average only. A split that is asked for and would stay empty takes the cluster nearest to it.

    Args:
        cluster_ids: The cluster of each work.
        validation: Part of the clusters for validation.
        test: Part of the clusters for testing.
        seed: Chooses another division.

    Raises:
        MusicZooError: Impossible parts, or fewer clusters than splits.
    """
    if validation < 0 or test < 0 or validation + test >= 1:
        raise MusicZooError(
            f"Parts of {validation} and {test} leave nothing to train on.",
            where="val_fraction, test_fraction",
            remedy="Give parts that sum to less than 1.",
        )
    asked = 1 + (validation > 0) + (test > 0)
    places = {name: _place(name, seed) for name in set(cluster_ids)}
    if len(places) < asked:
        raise MusicZooError(
            f"{len(cluster_ids)} works in {len(places)} clusters of near-duplicates cannot be split"
            f" in {asked}.",
            remedy="Give more works, or set val_fraction=0 and test_fraction=0.",
        )
    order = sorted(places, key=lambda name: (places[name], name))
    for_validation = [name for name in order if places[name] < validation]
    for_test = [name for name in order if validation <= places[name] < validation + test]
    # At least one cluster in each part, taken from the neighbours in the order of places.
    count = max(len(for_validation), int(validation > 0))
    until = max(count + len(for_test), count + int(test > 0))
    count, until = min(count, len(order) - asked + 1), min(until, len(order) - 1)
    part_of = {
        name: 1 if index < count else 2 if index < until else 0 for index, name in enumerate(order)
    }
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for index, name in enumerate(cluster_ids):
        parts[part_of[name]].append(index)
    return Splits(*parts)


def _place(name: str, seed: int) -> float:
    """A number in [0, 1) that only the name and the seed decide."""
    return (
        int.from_bytes(hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()) / 2**64
    )
