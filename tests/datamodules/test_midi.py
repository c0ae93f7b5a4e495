from __future__ import annotations

import itertools
import json
import logging
from pathlib import Path
from types import SimpleNamespace

import lightning
import numpy as np
import pytest
import torch

from musiczoo.datamodules import MidiDataModule, token_cache
from musiczoo.datamodules.resumable import Draw
from musiczoo.datamodules.token_items import TokenCrops
from musiczoo.models.phi3_remi import Phi3RemiModule
from musiczoo.music.abc import read_abc, write_abc
from musiczoo.music.corpora import load_corpus, register
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import read
from musiczoo.music.midi.piano_stream import reduced
from musiczoo.representations.remi import Remi
from tests.midi_files import random_score, write_bad_files, write_midi

REMI = Remi.smart()
SCORES = [random_score(seed, bars=4 + seed % 9) for seed in range(40)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("midi") / "mine"
    for seed, score in enumerate(SCORES):
        write_midi(score, folder / f"{seed:02}.mid")
    # A near-duplicate in another key and tempo.
    twin = SCORES[7].copy()
    for note in twin.tracks[0].notes:
        note.pitch += 3
    write_midi(twin, folder / "twin.mid")
    write_bad_files(folder / "bad")
    (folder / "notes.txt").write_text("x")
    return folder


def module(corpus, cache: Path, **settings) -> MidiDataModule:
    return MidiDataModule(
        corpus,
        REMI,
        **(
            {
                "batch_size": 4,
                "max_length": 64,
                "cache": cache,
                "progress": False,
                "preparing_workers": 1,
            }
            | settings
        ),
    )


def process(rank: int, world_size: int) -> SimpleNamespace:
    return SimpleNamespace(global_rank=rank, world_size=world_size)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_batches_are_what_the_representation_collates(folder, cache):
    data = module(folder, cache)
    data.prepare_data()
    batch = next(iter(data.train_dataloader()))
    assert batch["ids"].shape == (4, int(batch["lengths"].max()))
    assert batch["ids"].dtype == torch.int64
    assert batch["lengths"].max() <= 64
    assert all(
        (row[length:] == 0).all()
        for row, length in zip(batch["ids"], batch["lengths"], strict=True)
    )


def test_pieces_are_the_reduced_files(folder, cache):
    data = module(folder, cache)
    data.setup()
    assert [piece.path for piece in data.pieces] == [f"{seed:02}.mid" for seed in range(40)] + [
        "twin.mid"
    ]
    for index in (0, 17, 40):
        expected = REMI.encode(reduced(read(folder / data.pieces[index].path)))
        assert torch.equal(data.tokens(index), expected)


def test_what_is_left_out_is_counted_with_its_reason(folder, cache, caplog):
    data = module(folder, cache)
    with caplog.at_level(logging.WARNING):
        data.setup()
    left_out = dict(data.left_out)
    assert len(left_out) == len(data.left_out) == 11
    assert left_out["mine/notes.txt"].startswith("not music")
    assert left_out["mine/bad/dense.mid#1"] == "A bar has more than 300 notes."
    assert left_out["mine/bad/gaps.mid#1"] == "More than 20 % of the bars are empty."
    assert "11 of 52" in caplog.text
    more = module(folder, cache, max_notes_per_bar=10_000, max_empty_bars=1.0)
    more.setup()
    assert len(more.pieces) == 43
    fewer = module(folder, cache, programs=[40])
    fewer.val_fraction = fewer.test_fraction = 0.0
    fewer.setup()
    assert [piece.path for piece in fewer.pieces] == ["bad/violin.mid"]


def test_a_corpus_without_a_usable_piece_is_refused(tmp_path, cache):
    write_bad_files(tmp_path / "bad")
    with pytest.raises(MusicZooError, match=r"no pieces to train on.*Left out: "):
        module(tmp_path / "bad", cache).setup()


def test_an_empty_folder_is_named(tmp_path, cache):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(
        MusicZooError, match=r"nothing.*no pieces to train on.*no MIDI file or score"
    ):
        module(tmp_path / "nothing", cache).setup()


def test_near_duplicates_stay_in_one_split(folder, cache):
    for seed in range(4):
        data = module(folder, cache, split_seed=seed, test_fraction=0.2, val_fraction=0.25)
        assert sorted(itertools.chain(*data.splits)) == list(range(41))
        parts = [{data.clusters[index] for index in part} for part in data.splits]
        assert all(parts)
        assert sum(map(len, parts)) == len(set.union(*parts))
        assert len(set(data.clusters)) == 40
        twins = [
            index for index, piece in enumerate(data.pieces) if piece.path in ("07.mid", "twin.mid")
        ]
        assert data.clusters[twins[0]] == data.clusters[twins[1]]


def test_validation_is_a_part_of_what_testing_leaves(cache):
    scores = [random_score(seed, bars=1) for seed in range(300)]
    data = module(scores, cache, test_fraction=0.5, val_fraction=0.5)
    sizes = [len(part) for part in data.splits]
    assert sum(sizes) == 300
    assert sizes == pytest.approx([75, 75, 150], abs=25)


def test_resuming_gives_the_remaining_batches(folder, cache):
    def loader():
        return module(
            folder, cache, transpose=5, velocity_shift=2, tempo_shift=2
        ).train_dataloader()

    source = loader()
    every = [*source, *source]
    steps = len(source)
    assert not same(every[0], every[steps])
    for stop in (1, steps - 1, steps, steps + 1, 2 * steps - 1):
        first = loader()
        list(itertools.islice(itertools.chain(first, first), stop))
        second = loader()
        second.load_state_dict(first.state_dict())
        rest = [*second] if stop > steps else [*second, *second]
        assert all(
            same(one, other)
            for one, other in zip(every[stop:], rest[: 2 * steps - stop], strict=True)
        )


def test_workers_change_nothing(folder, cache):
    plain = list(module(folder, cache, transpose=3).train_dataloader())
    for one, other in zip(
        plain, module(folder, cache, transpose=3, num_workers=2).train_dataloader(), strict=True
    ):
        assert same(one, other)


def test_an_access_depends_on_seed_epoch_and_piece_alone(folder, cache):
    data = module(folder, cache, transpose=5)
    items = data.items(range(41), training=True)
    fewer = data.items(range(20, 30), training=True)
    assert all(
        torch.equal(fewer[Draw(3, index)], items[Draw(3, index + 20)]) for index in range(10)
    )
    reseeded = module(folder, cache, transpose=5, seed=1).items(range(41), training=True)
    assert any(not torch.equal(items[Draw(3, index)], items[Draw(4, index)]) for index in range(10))
    assert any(
        not torch.equal(items[Draw(3, index)], reseeded[Draw(3, index)]) for index in range(10)
    )


def test_training_is_varied_and_validation_is_not(folder, cache):
    settings = {"transpose": 5, "velocity_shift": 3, "tempo_shift": 3, "val_fraction": 0.3}
    data = module(folder, cache, **settings)
    assert isinstance(data.items([0], training=True), TokenCrops)
    loader = data.val_dataloader()
    first, second = list(loader), list(loader)
    assert all(same(one, other) for one, other in zip(first, second, strict=True))
    plain = list(module(folder, cache, val_fraction=0.3, seed=5).val_dataloader())
    assert all(same(one, other) for one, other in zip(first, plain, strict=True))
    targets = sum(int((batch["lengths"] - 1).sum()) for batch in first)
    assert targets == sum(len(data.pieces[index].tokens) - 1 for index in data.splits.validation)
    whole = module(folder, cache, max_length=100_000).items(range(41), training=True)
    varied = module(folder, cache, max_length=100_000, **settings).items(range(41), training=True)
    changed = [
        not torch.equal(whole[Draw(0, index)], varied[Draw(0, index)]) for index in range(41)
    ]
    assert sum(changed) > 35
    kinds = np.array([name.partition("_")[0] for name in REMI.vocabulary])
    for index in range(41):
        assert (kinds[whole[Draw(0, index)]] == kinds[varied[Draw(0, index)]]).all()


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_batches_of_one(folder, cache, world_size):
    def rows(loader) -> list[list[list[int]]]:
        return [
            [
                row[:length].tolist()
                for row, length in zip(batch["ids"], batch["lengths"], strict=True)
                if length > 1
            ]
            for batch in loader
        ]

    for name in ("train_dataloader", "val_dataloader"):
        whole = rows(
            getattr(module(folder, cache, batch_size=3 * world_size, val_fraction=0.3), name)()
        )
        shares = []
        for rank in range(world_size):
            data = module(folder, cache, batch_size=3, val_fraction=0.3)
            data.trainer = process(rank, world_size)
            shares.append(rows(getattr(data, name)()))
        for batch, *parts in zip(whole, *shares, strict=True):
            assert sorted(batch) == sorted(row for part in parts for row in part)


TUNE = "X:1\nT:A\nM:4/4\nL:1/8\nK:G\nGABc d2 B2|dBGB A2 D2|GABc d2 e2|fdAF G4|]\n"


def test_pieces_may_be_given_themselves(cache):
    tune = read_abc(TUNE)
    data = module([tune, SCORES[0], SCORES[1], SCORES[0]], cache, test_fraction=0, val_fraction=0)
    data.prepare_data()
    assert len(data.splits.train) == 3
    assert sorted({piece.source for piece in data.pieces}) == ["score", "tune"]
    assert data.val_dataloader() == [] == data.test_dataloader()
    silent = SCORES[0].copy()
    silent.tracks.clear()
    data = module([SCORES[0], silent], cache, test_fraction=0, val_fraction=0)
    assert len(data.splits.train) == 1
    assert [entry.reason for entry in data.left_out] == [
        "It has no notes on the programs that are kept."
    ]
    with pytest.raises(MusicZooError, match="int"):
        module([3], cache).setup()


def test_folders_files_and_pieces_may_be_mixed(folder, cache, tmp_path):
    (tmp_path / "tunes").mkdir()
    (tmp_path / "tunes" / "a.abc").write_text(TUNE)
    data = module(
        [
            tmp_path / "tunes",
            folder / "00.mid",
            SCORES[3],
            load_corpus(tmp_path / "tunes", cache=cache, workers=1, progress=False),
        ],
        cache,
    )
    data.prepare_data()
    data.setup()
    assert [piece.source for piece in data.pieces] == ["00", "score", "tunes"]
    assert data.pieces[2].id == "tunes/a.abc#1"
    assert data.provenance()["corpus"] == ["00", "score", "tunes"]


def test_a_registered_folder_of_midi_is_read_as_it_was_played(folder, cache):
    register("played", folder, cache=cache)
    data = module("played", cache)
    data.setup()
    assert torch.equal(data.tokens(0), module(folder, cache).tokens(0))
    assert data.pieces[0].id == "played/00.mid#1"


def test_an_unknown_corpus_is_told(cache):
    with pytest.raises(MusicZooError, match="bach-chorales"):
        module("bach-chorale", cache).prepare_data()


def test_a_second_start_reads_the_cache(folder, cache, monkeypatch):
    module(folder, cache).setup()
    monkeypatch.setattr(
        token_cache.Tokeniser, "__call__", lambda *_: pytest.fail("tokenised again")
    )
    monkeypatch.setattr(token_cache, "clusters", lambda _: pytest.fail("clustered again"))
    module(folder, cache).setup()


def test_the_representation_is_that_of_the_fitted_module(folder, cache):
    data = MidiDataModule(folder, cache=cache, progress=False)
    with pytest.raises(MusicZooError, match=r"representation=model\.representation"):
        data.prepare_data()
    data.trainer = SimpleNamespace(
        lightning_module=SimpleNamespace(representation=REMI), **vars(process(0, 1))
    )
    data.prepare_data()
    assert next(iter(data.train_dataloader()))["ids"].shape[0] == 8


def test_a_fit_on_a_folder_of_files(folder, cache):
    torch.manual_seed(0)
    model = Phi3RemiModule(layers=1, hidden=32, heads=2, intermediate=32)
    data = MidiDataModule(
        folder, batch_size=8, max_length=64, cache=cache, progress=False, preparing_workers=1
    )
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data)
    assert trainer.global_step == 2 * len(data.train_dataloader())


def test_provenance_is_plain_and_tells_no_places(folder, cache):
    data = module(folder, cache, transpose=2)
    told = json.loads(json.dumps(data.provenance()))
    assert told["corpus"] == ["mine"]
    assert told["works"]["train"] == len(data.splits.train)
    assert told["left_out"] == 11
    assert (told["programs"], told["transpose"], told["max_length"]) == (
        [0, 1, 2, 3, 4, 5, 6, 7],
        2,
        64,
    )
    assert str(folder.parent) not in json.dumps(told)


def test_programs_are_kept_for_remi_plus(folder, cache):
    plus = Remi.plus()
    data = MidiDataModule(
        folder, plus, programs=None, cache=cache, progress=False, preparing_workers=1, max_length=64
    )
    data.setup()
    violin = next(
        index for index, piece in enumerate(data.pieces) if piece.path == "bad/violin.mid"
    )
    assert "Program_40" in plus.text(data.tokens(violin))


def test_settings_are_checked():
    with pytest.raises(MusicZooError, match="no target"):
        MidiDataModule(max_length=1)
    with pytest.raises(MusicZooError, match="programs"):
        MidiDataModule(programs="pianos")


@pytest.mark.slow
def test_works_of_built_in_corpora_equal_their_own_conversion():
    """By the other way round: each work's tune written as ABC and given as itself."""
    corpus = load_corpus("bach-chorales", progress=False)
    data = MidiDataModule("bach-chorales", REMI, progress=False)
    data.setup()
    assert len(data.pieces) == len(corpus)
    some = corpus[::40]
    alone = MidiDataModule([read_abc(write_abc(work.tune)) for work in some], REMI, progress=False)
    alone.setup()
    own = {piece.tokens.tobytes() for piece in alone.pieces}
    names = {work.id for work in some}
    assert own == {piece.tokens.tobytes() for piece in data.pieces if piece.id in names}
