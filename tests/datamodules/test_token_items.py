from __future__ import annotations

import numpy as np
import torch

from musiczoo.datamodules.resumable import Draw
from musiczoo.datamodules.token_cache import TokenisedPiece
from musiczoo.datamodules.token_items import TokenCrops, TokenWindows
from musiczoo.datamodules.token_shifts import TokenShifts
from musiczoo.representations.remi import Remi


def piece(name: str, length: int) -> TokenisedPiece:
    return TokenisedPiece(
        name, "mine", name, np.arange(length, dtype=np.uint16), 1, 1, np.empty(0, np.uint32)
    )


PIECES = [piece("a", 1000), piece("b", 7), piece("c", 33), piece("d", 32)]


def test_crops_are_parts_of_their_piece_at_every_place():
    items = TokenCrops(PIECES, 32)
    starts = set()
    for epoch in range(400):
        for index in range(4):
            item = items[Draw(epoch, index)]
            assert item.dtype == torch.int64
            assert len(item) == items.lengths[index] == min(32, len(PIECES[index].tokens))
            assert torch.equal(item, torch.arange(int(item[0]), int(item[0]) + len(item)))
            starts.add((index, int(item[0])))
    assert {start for index, start in starts if index == 2} == {0, 1}
    assert {start for index, start in starts if index in (1, 3)} == {0}
    places = {start for index, start in starts if index == 0}
    assert len(places) > 200
    assert min(places) >= 0
    assert max(places) <= 968


def test_a_crop_depends_on_seed_epoch_and_piece_alone():
    items, fewer = TokenCrops(PIECES, 32), TokenCrops(PIECES[2:] + PIECES[:1], 32)
    assert torch.equal(items[Draw(3, 0)], fewer[Draw(3, 2)])
    assert any(not torch.equal(items[Draw(3, 0)], items[Draw(epoch, 0)]) for epoch in (4, 5))
    assert any(
        not torch.equal(items[Draw(epoch, 0)], TokenCrops(PIECES, 32, seed=1)[Draw(epoch, 0)])
        for epoch in (3, 4)
    )


def test_shifts_know_the_token_before_the_crop():
    remi = Remi.plus()
    text = " ".join(["Program_-1 Pitch_38 Velocity_79 Duration_1.0.12"] * 40)
    drums = TokenisedPiece(
        "d",
        "mine",
        "d",
        remi.encode_text(text).numpy().astype(np.uint16),
        40,
        1,
        np.empty(0, np.uint32),
    )
    items = TokenCrops([drums], 5, shifts=TokenShifts(remi.vocabulary, transpose=12))
    names = {name for epoch in range(60) for name in remi.text(items[Draw(epoch, 0)]).split()}
    assert {name for name in names if name.startswith("Pitch")} == {"Pitch_38"}


def test_windows_score_every_token_but_the_first_once():
    for length in (2, 5, 32, 999, 1000, 2000):
        items = TokenWindows(PIECES, length)
        targets: dict[str, list[int]] = {entry.id: [] for entry in PIECES}
        for index, name in enumerate(items.names):
            item = items[Draw(7, index)]
            assert 2 <= len(item) == items.lengths[index] <= length
            assert torch.equal(item, items[Draw(0, index)])
            targets[name.partition("@")[0]] += item[1:].tolist()
        assert all(targets[entry.id] == list(range(1, len(entry.tokens))) for entry in PIECES)
        assert len(set(items.names)) == len(items)
