"""The works of each batch: a plan that depends on the seed and the epoch alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import accumulate, pairwise

from musiczoo.music.errors import MusicZooError

_POOL_BATCHES = 64


class BatchPlan:
    """The batches of every epoch, over all processes together.

    Batches hold works of similar length, so that little of a batch is padding: works are shuffled,
    cut into pools of 64 batches, sorted by length inside a pool, and the batches shuffled again.
    Each work comes once an epoch.

    Args:
        lengths: An estimate of each work's length, in any unit.
        batch_size: Works of a batch, all processes together. The last works of an epoch make one
            smaller batch.
        seed: Of the order.
        shuffle: False gives every epoch the same order, from long to short (so that a batch that
            does not fit fails at once).

    Raises:
        MusicZooError: No works, or a batch size below 1.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, *, seed: int = 0, shuffle: bool = True
    ) -> None:
        if not lengths:
            raise MusicZooError(
                "There are no works to make batches of.",
                remedy="Give a corpus with at least one work for each split.",
            )
        if batch_size < 1:
            raise MusicZooError(
                f"A batch cannot hold {batch_size} works.",
                where="batch_size",
                remedy="Give 1 or more.",
            )
        self.lengths = list(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def batches(self, epoch: int) -> list[list[int]]:
        """Indices of the works of each batch of an epoch."""
        works = range(len(self.lengths))
        if not self.shuffle:
            return _cut(
                sorted(works, key=lambda index: -self.lengths[index]), [self.batch_size] * len(self)
            )
        rng = random.Random(f"{self.seed}:{epoch}")
        order = rng.sample(works, len(works))
        batches: list[list[int]] = []
        for pool in _cut(order, [self.batch_size * _POOL_BATCHES] * len(order)):
            full, rest = divmod(len(pool), self.batch_size)
            sizes = [self.batch_size] * full + [rest] * (rest > 0)
            # Otherwise the small batch would always hold the longest works.
            rng.shuffle(sizes)
            batches += _cut(sorted(pool, key=lambda index: self.lengths[index]), sizes)
        rng.shuffle(batches)
        return batches


def share(batch: Sequence[int], rank: int, world_size: int) -> Sequence[int]:
    """The part of a batch that one of several processes computes.

    The shares are disjoint, similar in length, and together the batch.
    """
    return batch[rank::world_size]


def _cut(order: Sequence[int], sizes: Sequence[int]) -> list[list[int]]:
    ends = accumulate(sizes, initial=0)
    return [list(order[start:end]) for start, end in pairwise(ends) if start < len(order)]
