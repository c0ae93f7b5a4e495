from __future__ import annotations

import itertools
import json
import random
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from musiczoo.datamodules.resumable import Draw, ResumableLoader
from musiczoo.datamodules.scores import ScoreDataModule
from musiczoo.music.abc import Tune, read_abc, signature_key, transpose
from musiczoo.music.corpora.reading import work_of
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels
from musiczoo.representations.bar_stream import BarStreamPatches

NOTES = ["C", "D", "E", "F", "G", "A", "B", "c", "d", "e", "f", "g"]
TONICS = ["C", "G", "D", "F", "Bb", "A", "Em", "Ador"]


def tune(seed: int, *, voices: int = 2, key: str | None = None) -> Tune:
    rng = random.Random(seed)
    bars = rng.randrange(6, 30)
    body = "\n".join(
        f"V:{voice}\n" + " ".join("".join(rng.choices(NOTES, k=8)) + " |" for _ in range(bars))
        for voice in range(1, voices + 1)
    )
    return read_abc(
        f"X:{seed}\nT:Piece {seed}\nM:4/4\nL:1/8\nK:{key or rng.choice(TONICS)}\n{body}\n"
    )


TUNES = [tune(seed) for seed in range(40)]
# Made once: most tests start from the same works.
WORKS = [work_of(piece) for piece in TUNES]


def module(corpus=WORKS, *, max_length: int = 64, **settings) -> ScoreDataModule:
    return ScoreDataModule(
        corpus,
        BarStreamPatches(max_length=max_length),
        **({"batch_size": 4, "progress": False} | settings),
    )


def process(rank: int, world_size: int) -> SimpleNamespace:
    return SimpleNamespace(global_rank=rank, world_size=world_size)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def key_of(batch: dict[str, torch.Tensor], row: int) -> str:
    text = BarStreamPatches().decode_text(batch["patches"][row])
    return re.search(r"^K:(\S+)", text, re.MULTILINE).group(1)


def test_batches_are_what_the_representation_collates():
    data = module()
    batch = next(iter(data.train_dataloader()))
    assert batch["patches"].shape[0] == 4
    assert batch["patches"].shape[2] == 16
    assert batch["lengths"].max() == batch["patches"].shape[1] <= 64
    text = data.representation.decode_text(batch["patches"][0])
    assert text.startswith("M:4/4\n")
    assert "T:" not in text


def test_workers_change_nothing():
    source = module().train_dataloader()
    plain = [*source, *source]
    for workers in (1, 2):
        source = module(num_workers=workers).train_dataloader()
        for one, other in zip(plain, [*source, *source], strict=True):
            assert same(one, other)


def test_resuming_gives_the_remaining_batches():
    source = module().train_dataloader()
    every = [*source, *source]
    steps = len(source)
    for stop in (1, 4, steps - 1, steps, steps + 1, 2 * steps - 1):
        first = module().train_dataloader()
        list(itertools.islice(itertools.chain(first, first), stop))
        second = module().train_dataloader()
        second.load_state_dict(first.state_dict())
        rest = [*second] if stop > steps else [*second, *second]
        assert all(
            same(one, other)
            for one, other in zip(every[stop:], rest[: 2 * steps - stop], strict=True)
        )


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_batches_of_one(world_size):
    def pieces(loader: ResumableLoader) -> list[list[list[int]]]:
        return [
            [
                row[:length].flatten().tolist()
                for row, length in zip(*batch.values(), strict=True)
                if length > 1
            ]
            for batch in loader
        ]

    for name in ("train_dataloader", "val_dataloader"):
        whole = pieces(getattr(module(batch_size=3 * world_size, val_fraction=0.3), name)())
        shares = []
        for rank in range(world_size):
            data = module(batch_size=3, val_fraction=0.3)
            data.trainer = process(rank, world_size)
            shares.append(pieces(getattr(data, name)()))
        for batch, *parts in zip(whole, *shares, strict=True):
            assert sorted(batch) == sorted(piece for part in parts for piece in part)


def test_an_access_depends_on_seed_epoch_and_work_alone():
    items = module().items(range(40), training=True)
    fewer = module(corpus=WORKS[20:30]).items(range(10), training=True)
    place = {work.id: index for index, work in enumerate(items.works)}
    for index, work in enumerate(fewer.works):
        assert torch.equal(fewer[Draw(3, index)], items[Draw(3, place[work.id])])
    reseeded = module(seed=1).items(range(40), training=True)
    assert any(not torch.equal(items[Draw(3, index)], items[Draw(4, index)]) for index in range(10))
    assert any(
        not torch.equal(items[Draw(3, index)], reseeded[Draw(3, index)]) for index in range(10)
    )


def test_pretraining_uses_all_keys():
    items = module().items(range(1), training=True)
    keys = {
        items.tune(Draw(epoch, 0))[0].field("K").removesuffix("dor").removesuffix("m")
        for epoch in range(200)
    }
    assert len(keys) == 15


def test_fine_tuning_stays_within_three_semitones():
    data = module([tune(1, key="G")], keys="finetune", val_fraction=0)
    data.setup()
    items = data.items([0], training=True)
    keys = {items.tune(Draw(epoch, 0))[0].field("K") for epoch in range(300)}
    assert keys == {"E", "F", "F#", "Gb", "G", "Ab", "A", "Bb"}


def test_transposed_items_are_the_transposed_piece():
    data = module(max_length=4096)
    items = data.items(range(len(data.works or data.splits.train)), training=True)
    for index in range(8):
        piece = items.tune(Draw(0, index))[0]
        decoded = data.representation.decode(items[Draw(0, index)])
        assert decoded.notes() == piece.notes()
        intervals = {
            moved.pitch - note.pitch
            for moved, note in zip(
                sorted_by_voice(piece), sorted_by_voice(items.works[index].tune), strict=True
            )
        }
        assert len(intervals) == 1


def sorted_by_voice(piece: Tune) -> list:
    return sorted(piece.notes(), key=lambda note: (note.voice, note.onset))


def test_validation_is_the_same_each_time_and_in_the_original_key():
    data = module(val_fraction=0.3, max_length=48)
    loader = data.val_dataloader()
    first, second = list(loader), list(loader)
    assert all(same(one, other) for one, other in zip(first, second, strict=True))
    found = sorted(key_of(batch, row) for batch in first for row in range(len(batch["lengths"])))
    assert found == sorted(data.works[index].tune.field("K") for index in data.splits.validation)
    other_seed = list(module(val_fraction=0.3, max_length=48, seed=9).val_dataloader())
    assert all(same(one, other) for one, other in zip(first, other_seed, strict=True))


def test_transpositions_stay_with_their_work():
    corpus = [transpose(piece, key) for piece in TUNES for key in ("C", "G", "Eb")]
    data = module(corpus, val_fraction=0.3, test_fraction=0.2)
    data.setup()
    assert len(data.works) == 120
    melodies = [
        {tuple(data.works[index].shingles.tolist()) for index in part} for part in data.splits
    ]
    assert all(melodies)
    assert not melodies[0] & melodies[1] | melodies[0] & melodies[2] | melodies[1] & melodies[2]


def test_the_order_of_the_corpus_does_not_matter():
    one, other = module(WORKS), module(TUNES[::-1])
    for batch, again in zip(one.train_dataloader(), other.train_dataloader(), strict=True):
        assert same(batch, again)


def test_large_scores_are_left_out_and_counted(caplog):
    data = module([*WORKS, tune(99, voices=17)])
    data.setup()
    assert len(data.works) == 40
    assert data.left_out == [work_of(tune(99, voices=17)).id]
    assert "1 works of more than 16 staves" in caplog.text
    with pytest.raises(MusicZooError, match="no works"):
        module([tune(99, voices=17)]).setup()


def test_prompts():
    works = [
        replace(work_of(piece), labels=Labels("Baroque", "Bach, Johann Sebastian", "Choral"))
        for piece in TUNES[:4]
    ]
    for prompts in (True, False):
        data = module(works, prompts=prompts)
        text = data.representation.decode_text(next(iter(data.train_dataloader()))["patches"][0])
        assert text.startswith("%Baroque\n%Bach, Johann Sebastian\n%Choral\n") == prompts


def test_crops_keep_the_header_and_differ_between_epochs():
    data = module([tune(seed, voices=4) for seed in range(3)], max_length=40, val_fraction=0)
    data.setup()
    items = data.items(range(3), training=True)
    starts = set()
    for epoch in range(30):
        patches = items[Draw(epoch, 0)]
        assert len(patches) <= 40
        text = data.representation.decode_text(patches)
        assert text.startswith("M:4/4\n")
        starts.add(re.search(r"\[r:(\d+)/", text).group(1))
    assert "0" in starts
    assert len(starts) > 3


@pytest.mark.parametrize(
    ("corpus", "settings", "message"),
    [
        ([], {}, "no works"),
        (TUNES[:1], {}, "cannot be split"),
        (
            [TUNES[0], transpose(TUNES[0], "D" if TUNES[0].field("K") != "D" else "E")],
            {},
            "cannot be split",
        ),
        ([42], {}, "int"),
        ("no-such-corpus", {}, "no-such-corpus"),
        (TUNES, {"keys": "loud"}, "loud"),
        (TUNES, {"batch_size": 0}, "batch"),
    ],
)
def test_what_cannot_be_trained_on(corpus, settings, message):
    data = module(corpus, **settings)
    with pytest.raises(MusicZooError, match=message):
        next(iter(data.train_dataloader()))


def test_no_representation():
    data = ScoreDataModule(TUNES)
    data.setup()
    with pytest.raises(MusicZooError, match="representation"):
        data.train_dataloader()


def test_no_validation():
    assert module(val_fraction=0).val_dataloader() == []
    assert module().test_dataloader() == []


def test_near_duplicates_of_excluded_works_stay_unseen():
    copies = [work_of(transpose(TUNES[index], "A")) for index in (3, 7)]
    data = module(exclude=copies)
    assert data.splits is not None
    assert data.left_out == sorted(WORKS[index].id for index in (3, 7))
    assert len(data.works) == len(WORKS) - 2
    assert not {WORKS[3].id, WORKS[7].id} & {work.id for work in data.works}
    plain = module()
    kept = {work.id for work in data.works}

    # The others keep their place in the division.
    def validation(module_: ScoreDataModule) -> set[str]:
        return {module_.works[index].id for index in module_.splits.validation}

    assert validation(data) == validation(plain) & kept


def test_repeated_works_come_in_other_keys():
    marked = [
        replace(work, source="mine") if index < 5 else work for index, work in enumerate(WORKS)
    ]
    data = module(marked, repeats={"mine": 3}, keys="finetune", val_fraction=0.0)
    items = data.items(data.splits.train, training=True)
    assert len(items) == len(WORKS) + 10
    for work in marked[:5]:
        places = [position for position, other in enumerate(items.works) if other.id == work.id]
        keys = [
            [signature_key(items.tune(Draw(position, epoch))[0]) for epoch in range(8)]
            for position in places
        ]
        assert len(keys) == 3
        assert keys[0] != keys[1] != keys[2] != keys[0]
    # Validation takes each work once.
    assert len(data.items(data.splits.train, training=False)) == len(WORKS)
    assert sum(len(batch["lengths"]) for batch in data.train_dataloader()) == len(WORKS) + 10


def test_a_corpus_that_is_not_there_cannot_be_repeated():
    with pytest.raises(MusicZooError, match="bach cannot be repeated"):
        module(repeats={"bach": 2}).setup()


def test_provenance_is_plain_and_tells_the_prompts():
    labels = Labels("Baroque", "Bach, Johann Sebastian", "Choral")
    marked = [replace(work, labels=labels, source="mine") for work in WORKS[:30]] + WORKS[30:]
    data = module(marked, prompts=True, exclude=[WORKS[35]], repeats={"mine": 2})
    told = json.loads(json.dumps(data.provenance()))
    in_training = sum(data.works[index].labels == labels for index in data.splits.train)
    assert told["conditioning"]["prompts"] == [
        ["Baroque", "Bach, Johann Sebastian", "Choral", in_training]
    ]
    assert told["works"]["train"] == len(data.splits.train)
    assert told["exclude"] == [WORKS[35].id]
    assert told["repeats"] == {"mine": 2}
    assert module(marked).provenance()["conditioning"]["prompts"] == []
