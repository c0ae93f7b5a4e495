"""A folder of MIDI files as octuples: the cache, random and fixed windows, drums, and fits."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from symusic.core import NoteTick, ScoreTick, TrackTick

from musiczoo.datamodules import MidiDataModule, token_cache
from musiczoo.datamodules.octuple_items import OctupleCrops, OctupleWindows, notes_of
from musiczoo.datamodules.resumable import Draw
from musiczoo.models.musicbert import MusicBertModule
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import read
from musiczoo.representations.octuple import DRUMS, FIELDS, FIRST_IDS, OctupleMidi
from tests.midi_files import random_score, write_midi
from tests.small_runs import QUIET, differing

pytestmark = pytest.mark.filterwarnings("ignore")
OCTUPLE = OctupleMidi(34)
BAR, PROGRAM, PITCH = (FIELDS.index(name) for name in ("bar", "program", "pitch"))


def with_drums(score: ScoreTick, *, alone: bool = False) -> ScoreTick:
    """Eight strokes of each bar of drums beside a piece, or instead of it."""
    rng = random.Random(len(score.tracks[0].notes))
    drums = TrackTick("Drums", 0, True)
    for stroke in range(8 * 8):
        drums.notes.append(NoteTick(240 * stroke, 120, rng.choice((36, 38, 42)), 90))
    if alone:
        score.tracks.clear()
    score.tracks.append(drums)
    return score


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("midi") / "mine"
    for seed in range(12):
        score = random_score(seed, bars=4 + seed)
        write_midi(with_drums(score) if seed % 3 == 0 else score, folder / f"{seed:02}.mid")
    # One of only drums, and one of 300 bars.
    write_midi(with_drums(random_score(20), alone=True), folder / "drums.mid")
    write_midi(random_score(21, bars=300, notes_per_bar=1), folder / "long.mid")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def module(folder: Any, cache: Path, **settings: Any) -> MidiDataModule:
    own = {
        "representation": OCTUPLE,
        "programs": None,
        "max_empty_bars": 1.0,
        "max_length": 34,
        "batch_size": 4,
        "test_fraction": 0.0,
        "val_fraction": 0.2,
        "cache": cache,
        "progress": False,
        "preparing_workers": 1,
    }
    return MidiDataModule(folder, **{**own, **settings})


def values(ids: torch.Tensor) -> np.ndarray[Any, Any]:
    """(notes, 8) values of a window without its ends."""
    assert ids[0].tolist() == [0] * 8
    assert ids[-1].tolist() == [2] * 8
    return ids[1:-1].numpy() - FIRST_IDS


def test_notes_are_those_of_the_files_and_the_cache_is_used(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = module(folder, cache)
    data.setup()
    assert len(data.pieces) == 14
    assert not data.left_out
    for piece in data.pieces:
        expected = OCTUPLE.notes(read(folder / piece.path))
        # Of equal notes of one track one is kept.
        found = notes_of(piece)
        keys = [{tuple(some[:4]) for some in rows.tolist()} for rows in (found, expected)]
        assert keys[0] == keys[1]
        assert len(found) == len(keys[0])
    monkeypatch.setattr(
        token_cache.Tokeniser, "__call__", lambda *_: pytest.fail("tokenised again")
    )
    again = module(folder, cache)
    again.setup()
    assert [piece.tokens.tolist() for piece in again.pieces] == [
        piece.tokens.tolist() for piece in data.pieces
    ]


def test_random_windows(folder: Path, cache: Path) -> None:
    data = module(folder, cache)
    data.setup()
    items = data.items(range(14), training=True)
    assert isinstance(items, OctupleCrops)
    starts, shifts = set(), set()
    for index, piece in enumerate(data.pieces):
        notes = notes_of(piece)
        for epoch in range(6):
            found = values(items[Draw(epoch, index)])
            assert len(found) == min(len(notes), 32) == items.lengths[index] - 2
            # Somewhere in the piece the same notes stand in succession.
            [start] = [
                begin
                for begin in range(len(notes) - len(found) + 1)
                if (notes[begin : begin + len(found), 1:] == found[:, 1:]).all()
            ]
            moved = set((found[:, BAR] - notes[start : start + len(found), BAR]).tolist())
            assert len(moved) == 1
            starts.add((index, start))
            shifts |= moved
    assert len(starts) > 40
    assert len(shifts) > 40
    assert torch.equal(items[Draw(3, 1)], items[Draw(3, 1)])
    other = module(folder, cache, seed=1)
    other.setup()
    assert not torch.equal(items[Draw(0, 3)], other.items(range(14), training=True)[Draw(0, 3)])


def test_bars_stay_within_the_table(folder: Path, cache: Path) -> None:
    data = module(folder, cache, representation=OctupleMidi(1002), max_length=1002)
    data.setup()
    [place] = [place for place, piece in enumerate(data.pieces) if piece.path == "long.mid"]
    for training in (True, False):
        items = data.items(range(14), training=training)
        draws = [
            values(items[Draw(epoch, index)])
            for epoch in range(4)
            for index in range(len(items.names))
        ]
        for found in draws:
            assert found[:, BAR].min() >= 0
            assert found[:, BAR].max() <= 255
    # 300 bars are more than the table has: the rest of the window is left out.
    whole = values(data.items([place], training=True)[Draw(0, 0)])
    assert whole[:, BAR].min() == 0
    assert len(whole) == (notes_of(data.pieces[place])[:, BAR] < 256).sum()


def test_workers_change_nothing_and_epochs_do(folder: Path, cache: Path) -> None:
    def batches(workers: int) -> list[torch.Tensor]:
        loader = module(folder, cache, num_workers=workers, transpose=4).train_dataloader()
        return [batch["ids"] for epoch in range(2) for batch in loader]

    plain, parallel = batches(0), batches(2)
    assert all(torch.equal(one, other) for one, other in zip(plain, parallel, strict=True))
    half = len(plain) // 2
    assert not all(
        one.shape == other.shape and torch.equal(one, other)
        for one, other in zip(plain[:half], plain[half:], strict=True)
    )


def test_transposition_keeps_drums_and_range(folder: Path, cache: Path) -> None:
    plain = module(folder, cache)
    plain.setup()
    moved = module(folder, cache, transpose=60)
    moved.setup()
    steps = set()
    before, after = (data.items(range(14), training=True) for data in (plain, moved))
    for index in range(14):
        for epoch in range(4):
            # The start of the window is drawn first, so both are the same notes.
            one, other = (values(items[Draw(epoch, index)]) for items in (before, after))
            drums = one[:, PROGRAM] == DRUMS
            kept = [column for column in range(8) if column not in (BAR, PITCH)]
            assert (one[:, kept] == other[:, kept]).all()
            assert (one[drums, PITCH] == other[drums, PITCH]).all()
            assert (other[~drums, PITCH] >= 0).all()
            assert (other[~drums, PITCH] <= 127).all()
            step = set((other[~drums, PITCH] - one[~drums, PITCH]).tolist())
            assert len(step) <= 1
            steps |= step
    assert len(steps) > 10
    assert min(steps) < 0 < max(steps)
    assert max(map(abs, steps)) <= 60


def test_drums_alone(folder: Path, cache: Path) -> None:
    data = module(folder / "drums.mid", cache, val_fraction=0.0, transpose=5)
    [batch] = data.train_dataloader()
    found = values(batch["ids"][0])
    assert set(found[:, PROGRAM]) == {DRUMS}
    assert found[:, PITCH].min() >= 128
    melodies = module(folder / "drums.mid", cache, val_fraction=0.0, programs="all-as-piano")
    with pytest.raises(MusicZooError, match="no pieces"):
        melodies.setup()


def test_validation_windows_hold_each_note_once(folder: Path, cache: Path) -> None:
    data = module(folder, cache, val_fraction=0.4)
    loader: Any = data.val_dataloader()
    first, second = list(loader), list(loader)
    assert all(
        torch.equal(one["ids"], other["ids"]) for one, other in zip(first, second, strict=True)
    )
    counts = sum(int((batch["lengths"] - 2).sum()) for batch in first)
    assert counts == sum(len(notes_of(data.pieces[place])) for place in data.splits.validation)
    items = data.items(data.splits.validation, training=False)
    assert isinstance(items, OctupleWindows)
    for place in data.splits.validation:
        piece = data.pieces[place]
        parts = [
            values(items[Draw(0, index)])
            for index, name in enumerate(items.names)
            if name.rpartition("@")[0] == piece.id
        ]
        # Of windows beyond the 256th bar the bars are moved; all else is the piece's.
        assert (np.concatenate(parts)[:, 1:] == notes_of(piece)[:, 1:]).all()
        assert max(map(len, parts)) <= 32


def test_settings_are_checked(folder: Path, cache: Path) -> None:
    for settings, message in (
        ({"velocity_shift": 1}, "louder or faster"),
        ({"tempo_shift": 1}, "louder or faster"),
        ({"max_length": 2}, "hold no note"),
    ):
        with pytest.raises(MusicZooError, match=message):
            module(folder, cache, **settings).train_dataloader()


def musicbert() -> MusicBertModule:
    torch.manual_seed(0)
    return MusicBertModule(
        layers=1,
        hidden=32,
        heads=2,
        positions=66,
        dropout=0.1,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=1e-3),
    )


def test_a_fit_that_is_resumed_equals_an_undisturbed_one(
    folder: Path, cache: Path, tmp_path: Path
) -> None:
    def fit(epochs: int, start: Path | None = None) -> tuple[MusicBertModule, Any]:
        torch.manual_seed(1)
        model = musicbert()
        trainer = lightning.Trainer(max_epochs=epochs, **QUIET)
        trainer.fit(model, module(folder, cache, representation=None, transpose=3), ckpt_path=start)
        return model, trainer

    whole, trainer = fit(3)
    losses = float(trainer.callback_metrics["val/loss"])
    assert np.isfinite(losses)
    half, stopped = fit(1)
    stopped.save_checkpoint(tmp_path / "stopped.ckpt")
    assert differing(half, whole)
    resumed, other = fit(3, tmp_path / "stopped.ckpt")
    assert other.global_step == trainer.global_step == 3 * stopped.global_step
    assert not differing(resumed, whole)
    assert float(other.callback_metrics["val/loss"]) == losses
