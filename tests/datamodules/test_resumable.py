from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
import torch

from musiczoo.datamodules.batching import BatchPlan
from musiczoo.datamodules.resumable import Draw, ResumableLoader
from musiczoo.music.errors import MusicZooError

LENGTHS = random.Random(1).choices(range(2, 9), k=23)


class Numbers:
    """Items of given lengths that tell their index, epoch and a number drawn from both."""

    def __getitem__(self, draw: Draw) -> torch.Tensor:
        rng = random.Random(f"{draw.epoch}:{draw.index}")
        return torch.tensor([[draw.index, draw.epoch, rng.randrange(10**6)]] * LENGTHS[draw.index])


def collate(items: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        "items": torch.nn.utils.rnn.pad_sequence(list(items), batch_first=True),
        "lengths": torch.tensor([len(item) for item in items]),
    }


def loader(batch_size: int = 4, **settings) -> ResumableLoader:
    return ResumableLoader(Numbers(), BatchPlan(LENGTHS, batch_size, seed=3), collate, **settings)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def epochs(source: ResumableLoader, count: int) -> list[dict[str, torch.Tensor]]:
    return [batch for _ in range(count) for batch in source]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers):
    for one, other in zip(epochs(loader(), 3), epochs(loader(num_workers=workers), 3), strict=True):
        assert same(one, other)


@pytest.mark.parametrize("workers", [0, 2])
def test_resuming_at_any_batch_gives_the_remaining_ones(workers):
    every = epochs(loader(), 3)
    steps = len(loader())
    # Worker processes are slow to start, so fewer places are tried with them.
    for stop in range(2 * steps + 1) if workers == 0 else (3, steps):
        first = loader(num_workers=workers)
        taken = list(itertools.islice(itertools.chain.from_iterable(itertools.repeat(first)), stop))
        assert len(taken) == stop
        second = loader(num_workers=workers)
        second.load_state_dict(first.state_dict())
        rest = epochs(second, 3 - stop // steps)
        for one, other in zip(every[stop:], rest, strict=False):
            assert same(one, other)
        assert len(rest) >= len(every) - stop


def test_a_state_in_the_middle_of_an_epoch_fits_only_its_own_batches():
    source = loader()
    next(iter(source))
    with pytest.raises(MusicZooError, match="other batches"):
        loader(batch_size=5).load_state_dict(source.state_dict())
    list(itertools.islice(source, len(source)))
    loader(batch_size=5).load_state_dict(loader().state_dict())


def test_leaving_an_epoch_early_does_not_disturb_the_next():
    source = loader(num_workers=1)
    for _ in itertools.islice(source, 2):
        pass
    for one, other in zip(source, epochs(loader(), 2)[len(source) :], strict=True):
        assert same(one, other)


def test_an_epoch_can_be_named():
    source = loader()
    every = epochs(loader(), 3)
    source.set_epoch(2)
    assert all(
        same(one, other) for one, other in zip(source, every[2 * len(source) :], strict=True)
    )
    source.set_epoch(0)
    iterator = iter(source)
    # Lightning makes its iterator before it names the epoch.
    source.set_epoch(1)
    assert same(next(iterator), every[len(source)])


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_batches_of_one(world_size):
    whole = epochs(loader(6), 2)
    parts = [epochs(loader(6, rank=rank, world_size=world_size), 2) for rank in range(world_size)]
    for batch, *shares in zip(whole, *parts, strict=True):
        expected = sorted(row[0].tolist() for row in batch["items"])
        # A share without works holds one blank item of length 1 that has no target.
        found = sorted(
            row[0].tolist()
            for part in shares
            for row, length in zip(part["items"], part["lengths"], strict=True)
            if length > 1
        )
        assert found == expected


def test_an_empty_share_is_one_blank_item():
    lengths = [5, 5, 5]
    plan = BatchPlan(lengths, 2, shuffle=False)
    last = list(ResumableLoader(Numbers(), plan, collate, rank=1, world_size=2))[-1]
    assert last["lengths"].tolist() == [1]


def test_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for workers in (0, 1):
        list(loader(num_workers=workers))
    assert torch.equal(torch.get_rng_state(), before)
