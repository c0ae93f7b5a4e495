from __future__ import annotations

import itertools
import random
from functools import partial

import pytest
import torch

from musiczoo.datamodules.pairs import (
    EncodedPair,
    collate_pairs,
    pair_loader,
    piece_digest,
    reference_sums,
)
from musiczoo.models.bar_stream.module import BarStreamModule
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.bar_stream import BarStreamPatches

PATCHES = BarStreamPatches()
collate = PATCHES.collate


def piece(seed: int) -> torch.Tensor:
    rng = random.Random(seed)
    bars = [f"[V:1]{''.join(rng.choices('CDEFGABc', k=4))}|" for _ in range(rng.randrange(1, 9))]
    return PATCHES.encode_text("\n".join(["L:1/4", "M:4/4", "K:G", "V:1", *bars]))


def module(dropout: float = 0.1) -> BarStreamModule:
    torch.manual_seed(0)
    return BarStreamModule(
        patch_layers=1, char_layers=1, hidden=32, patch_length=64, heads=2, dropout=dropout
    )


def pairs(count: int) -> list[EncodedPair]:
    return [
        EncodedPair(piece(seed), piece(seed + 1000), -float(seed), -float(seed) - 0.5)
        for seed in range(count)
    ]


def batches(count: int, **settings) -> list[dict[str, torch.Tensor]]:
    return list(
        pair_loader(
            pairs(count),
            collate,
            **({"batch_size": 4, "seed": 3, "rank": 0, "world_size": 1} | settings),
        )
    )


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_batch_holds_the_chosen_then_the_rejected():
    three = pairs(3)
    batch = collate_pairs(three, collate=collate)
    sides = [*(pair.chosen for pair in three), *(pair.rejected for pair in three)]
    assert batch["lengths"].tolist() == [len(side) for side in sides]
    for row, side in zip(batch["patches"], sides, strict=True):
        assert torch.equal(row[: len(side)], side)
    assert batch["reference"].dtype == torch.float64
    assert batch["reference"].tolist() == [0.0, -1.0, -2.0, -0.5, -1.5, -2.5]


def test_every_pair_comes_once_an_epoch_in_another_order():
    loader = pair_loader(pairs(10), collate, batch_size=4, seed=3, rank=0, world_size=1)
    orders = [
        [
            value
            for batch in loader
            for value in batch["reference"][: len(batch["reference"]) // 2].tolist()
        ]
        for _ in range(2)
    ]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(-float(seed) for seed in range(10))
    assert orders[0] != orders[1]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_goes_on_where_its_state_was_taken(workers):
    whole = batches(11)
    first = pair_loader(
        pairs(11), collate, batch_size=4, seed=3, rank=0, world_size=1, num_workers=workers
    )
    assert same(next(iter(first)), whole[0])
    second = pair_loader(pairs(11), collate, batch_size=4, seed=3, rank=0, world_size=1)
    second.load_state_dict(first.state_dict())
    assert all(same(one, other) for one, other in zip(second, whole[1:], strict=True))


def test_a_place_in_an_epoch_fits_only_the_same_pairs():
    first = pair_loader(pairs(11), collate, batch_size=4, seed=3, rank=0, world_size=1)
    next(iter(first))
    changed = pairs(11)
    changed[5] = EncodedPair(
        changed[5].chosen,
        changed[5].rejected,
        changed[5].chosen_reference + 1e-9,
        changed[5].rejected_reference,
    )
    with pytest.raises(MusicZooError, match="other batches"):
        pair_loader(changed, collate, batch_size=4, seed=3, rank=0, world_size=1).load_state_dict(
            first.state_dict()
        )


def test_no_pairs_make_no_loader():
    with pytest.raises(MusicZooError, match="no works"):
        pair_loader([], collate, batch_size=4, seed=0, rank=0, world_size=1)


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_each_batch(world_size):
    whole = batches(7, batch_size=6)
    parts = [
        batches(7, batch_size=6 // world_size, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    scored = module(0.0).eval()
    for batch, *shares in zip(whole, *parts, strict=True):
        found = []
        for part in shares:
            n = len(part["reference"]) // 2
            counted = scored.log_probs(part).mask.any(1)
            # A share without pairs is a blank one: nothing is scored on either side.
            assert torch.equal(counted[:n], counted[n:])
            found += [
                value
                for value, counts in zip(
                    part["reference"][:n].tolist(), counted[:n].tolist(), strict=True
                )
                if counts
            ]
        assert sorted(found) == sorted(batch["reference"][: len(batch["reference"]) // 2].tolist())


def test_a_blank_pair_has_no_targets():
    last = batches(3, batch_size=1, world_size=2, rank=1)[-1]
    # Three pairs in batches of two: one process has none of the last but one, or of the last.
    blank = next(
        batch
        for batch in batches(3, batch_size=1, world_size=2, rank=1)
        if batch["lengths"].tolist() == [1, 1]
    )
    assert blank["reference"].tolist() == [0.0, 0.0]
    assert not module().log_probs(blank).mask.any()
    assert last["patches"].shape[0] == 2


def test_reference_sums_are_the_log_probabilities_one_by_one_in_eval_mode():
    scored = module()
    items = [piece(seed) for seed in (5, 1, 7, 1, 3, 8, 2)]
    found = reference_sums(scored, items, collate, batch_size=3)
    scored.eval()
    with torch.no_grad():
        alone = [float(scored.log_probs(collate([item])).sums()) for item in items]
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx(alone, rel=1e-6)
    assert not found.requires_grad


def test_reference_sums_leave_the_module_and_the_random_state_as_they_were():
    scored = module()
    scored.net.char_level_decoder.eval()
    modes = [part.training for part in scored.modules()]
    assert len(set(modes)) == 2
    before = torch.get_rng_state()
    reference_sums(scored, [piece(1)], collate)
    assert torch.equal(torch.get_rng_state(), before)
    assert [part.training for part in scored.modules()] == modes
    with pytest.raises(RuntimeError, match="size"):
        reference_sums(scored, [torch.zeros(3, 5, dtype=torch.uint8)], collate)
    assert [part.training for part in scored.modules()] == modes


def test_equal_pieces_are_scored_once():
    scored = module()
    calls: list[int] = []
    reference_sums(
        scored,
        [piece(index % 3) for index in range(12)],
        collate,
        batch_size=2,
        progress=calls.append,
    )
    assert calls == [2, 1]
    assert reference_sums(scored, [], collate).shape == (0,)


def test_digests_tell_type_shape_and_numbers_apart():
    zeros = torch.zeros(2, 8, dtype=torch.uint8)
    others = [zeros.reshape(4, 4), zeros.to(torch.int8), zeros + 1, zeros[:1]]
    digests = [piece_digest(tensor) for tensor in (zeros, *others)]
    assert len(set(digests)) == 5
    assert piece_digest(zeros.T.contiguous().T) == digests[0]
    one = EncodedPair(zeros, zeros + 1, -1.0, -2.0)
    swapped = EncodedPair(zeros + 1, zeros, -1.0, -2.0)
    assert (
        len({pair.digest() for pair in (one, swapped, EncodedPair(zeros, zeros + 1, -1.0, -2.0))})
        == 2
    )


def test_pairs_reach_batches_of_any_representation():
    # A representation of numbers: the pieces need not be patches.
    numbers = partial(torch.nn.utils.rnn.pad_sequence, batch_first=True)
    loader = pair_loader(
        [
            EncodedPair(torch.arange(length), torch.arange(length + 1), 0.0, 0.0)
            for length in (2, 5, 3)
        ],
        lambda items: {
            "ids": numbers(list(items)),
            "lengths": torch.tensor([len(item) for item in items]),
        },
        batch_size=2,
        seed=0,
        rank=0,
        world_size=1,
        shuffle=False,
    )
    lengths = list(itertools.chain.from_iterable(batch["lengths"].tolist() for batch in loader))
    assert sorted(lengths) == [2, 3, 3, 4, 5, 6]
