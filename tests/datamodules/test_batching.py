from __future__ import annotations

import random

import pytest

from musiczoo.datamodules.batching import BatchPlan, share
from musiczoo.music.errors import MusicZooError

LENGTHS = random.Random(0).choices(range(10, 2000), k=1003)


@pytest.mark.parametrize("batch_size", [1, 4, 7, 1003, 5000])
@pytest.mark.parametrize("shuffle", [True, False])
def test_each_work_comes_once_an_epoch(batch_size, shuffle):
    plan = BatchPlan(LENGTHS, batch_size, shuffle=shuffle)
    for epoch in (0, 3):
        batches = plan.batches(epoch)
        assert len(batches) == len(plan) == -(-1003 // batch_size)
        assert sorted(index for batch in batches for index in batch) == list(range(1003))
        assert sorted(map(len, batches))[1:] == [batch_size] * (len(batches) - 1)


def test_the_order_follows_from_seed_and_epoch_alone():
    plan = BatchPlan(LENGTHS, 8, seed=1)
    assert plan.batches(2) == BatchPlan(LENGTHS, 8, seed=1).batches(2)
    assert plan.batches(2) != plan.batches(3)
    assert plan.batches(2) != BatchPlan(LENGTHS, 8, seed=2).batches(2)
    fixed = BatchPlan(LENGTHS, 8, shuffle=False)
    assert fixed.batches(0) == fixed.batches(1)


def test_batches_hold_works_of_similar_length():
    def padding(batches: list[list[int]]) -> float:
        padded = sum(len(batch) * max(LENGTHS[index] for index in batch) for batch in batches)
        return padded / sum(LENGTHS) - 1

    order = random.Random(0).sample(range(1003), 1003)
    unsorted = [order[start : start + 8] for start in range(0, 1003, 8)]
    assert padding(unsorted) > 0.6
    assert padding(BatchPlan(LENGTHS, 8).batches(0)) < 0.05
    assert padding(BatchPlan(LENGTHS, 8, shuffle=False).batches(0)) < 0.05


def test_the_small_batch_is_not_always_the_longest_works():
    mean = sum(LENGTHS) / len(LENGTHS)
    small = [min(BatchPlan(LENGTHS, 8).batches(epoch), key=len) for epoch in range(40)]
    lengths = [sum(LENGTHS[index] for index in batch) / len(batch) for batch in small]
    assert 0.7 * mean < sum(lengths) / len(lengths) < 1.3 * mean


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_shares_are_the_batch(world_size):
    batch = list(range(7))
    shares = [share(batch, rank, world_size) for rank in range(world_size)]
    assert sorted(index for part in shares for index in part) == batch
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(("lengths", "batch_size"), [([], 4), ([1], 0)])
def test_no_batches(lengths, batch_size):
    with pytest.raises(MusicZooError):
        BatchPlan(lengths, batch_size)
