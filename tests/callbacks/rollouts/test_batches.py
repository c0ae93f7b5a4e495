"""Micro-batches of a rollout step: who computes what, and what a batch holds."""

from __future__ import annotations

from itertools import chain, pairwise

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from musiczoo.callbacks.rollouts.batches import RolloutLoader, TrainingRollouts, micro_batches
from musiczoo.music.errors import MusicZooError

LENGTHS = [3, 9, 4, 4, 7, 1, 5]


def collate(items: list[Tensor]) -> dict[str, Tensor]:
    return {
        "ids": pad_sequence(items, batch_first=True),
        "lengths": torch.tensor([len(item) for item in items]),
    }


def made(**settings: object) -> TrainingRollouts:
    items = [torch.arange(1, length + 1) for length in LENGTHS]
    masks = [torch.arange(length - 1) >= 2 for length in LENGTHS]
    return TrainingRollouts(items, masks, torch.arange(len(LENGTHS)).double(), **settings)


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 7, 20])
def test_shares_hold_each_completion_once_and_are_as_many_everywhere(batch_size, world_size):
    shares = [made().shares(batch_size, rank, world_size) for rank in range(world_size)]
    assert sorted(chain(*chain(*shares))) == list(range(len(LENGTHS)))
    assert {len(share) for share in shares} == {micro_batches(len(LENGTHS), batch_size, world_size)}
    together = [
        [LENGTHS[index] for rank in range(world_size) for index in shares[rank][place]]
        for place in range(len(shares[0]))
    ]
    assert all(min(one) >= max(other) for one, other in pairwise(together))
    assert all(len(indices) <= batch_size for share in shares for indices in share)


def test_a_batch():
    said = [torch.full((length - 1,), -float(length)) for length in LENGTHS]
    batch = made(reference=said, old=[2 * one for one in said]).batch([2, 0], collate)
    assert batch["ids"].tolist() == [[1, 2, 3, 4], [1, 2, 3, 0]]
    assert batch["advantages"].tolist() == [2.0, 0.0]
    assert batch["completion"].tolist() == [[False, False, True], [False, False, False]]
    assert batch["ref_log_probs"].tolist() == [[-4.0] * 3, [-3.0, -3.0, 0.0]]
    assert batch["old_log_probs"].tolist() == [[-8.0] * 3, [-6.0, -6.0, 0.0]]
    assert set(made().batch([1], collate)) == {"ids", "lengths", "advantages", "completion"}


def test_a_process_without_work_gets_a_batch_without_targets():
    batch = made().batch([], collate)
    assert batch["ids"].shape == (1, LENGTHS[-1])
    assert not batch["completion"].any()


def test_state_is_taken_up(tmp_path):
    rollouts = made(reference=[torch.rand(length - 1) for length in LENGTHS])
    torch.save(rollouts.to_state(), tmp_path / "state.pt")
    again = TrainingRollouts.from_state(torch.load(tmp_path / "state.pt", weights_only=True))
    one, other = rollouts.batch([4, 1], collate), again.batch([4, 1], collate)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert again.old is None


def test_the_loader_makes_a_batch_when_it_is_asked_for_it():
    asked: list[int] = []

    def batch_at(place: int) -> dict[str, Tensor]:
        asked.append(place)
        return {}

    begin = [0]
    loader = RolloutLoader(5, lambda: begin[0], batch_at)
    batches = iter(loader)
    begin[0] = 2
    assert asked == []
    next(batches)
    assert asked == [2]
    assert len(list(batches)) == 2
    assert len(loader) == 5


def test_numbers_below_one():
    with pytest.raises(MusicZooError, match="1 at least"):
        micro_batches(4, 0, 1)
