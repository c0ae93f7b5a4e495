from __future__ import annotations

import itertools
import json
import logging
import random
import re
from pathlib import Path
from typing import Any

import lightning
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from musiczoo.datamodules import PreferenceDataModule, PreferencePair
from musiczoo.datamodules.pairs import piece_digest
from musiczoo.datamodules.references import read_references
from musiczoo.models.bar_stream.module import BarStreamModule
from musiczoo.models.objectives import DPO
from musiczoo.music.abc import Tune, read_abc, write_abc
from musiczoo.music.degradation.notation import Degradation
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels
from musiczoo.representations.bar_stream import BarStreamPatches
from tests.small_runs import QUIET, small_model

PATCHES = BarStreamPatches(max_length=24)


def tune(seed: int, bars: int = 0) -> Tune:
    rng = random.Random(seed)
    count = bars or rng.randrange(3, 9)
    return read_abc(
        f"X:{seed}\nT:Piece {seed}\nM:4/4\nL:1/4\nK:G\n"
        + "".join("".join(rng.choices("CDEFGABcdefg", k=4)) + "|" for _ in range(count))
        + "\n"
    )


def text(seed: int) -> str:
    return write_abc(tune(seed))


def in_memory(count: int) -> list[tuple[Tune, Tune]]:
    return [(tune(seed), tune(1000 + seed)) for seed in range(count)]


def data(folder: Path, pairs: Any = None, **settings: Any) -> PreferenceDataModule:
    if pairs is None and "corpus" not in settings:
        pairs = in_memory(12)
    return PreferenceDataModule(
        pairs,
        folder=folder,
        progress=False,
        **({"batch_size": 2, "representation": PATCHES} | settings),
    )


def model(dropout: float = 0.1, **settings: Any) -> BarStreamModule:
    torch.manual_seed(0)
    settings = {"optimizer": _adamw, "objective": DPO()} | settings
    return small_model(dropout, **settings)


def _adamw(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=1e-3)


def _sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.03, momentum=0.9)


def fit(
    source: PreferenceDataModule, module: BarStreamModule | None = None, **settings: Any
) -> tuple[BarStreamModule, lightning.Trainer]:
    module = module or model()
    checkpoint = settings.pop("checkpoint", None)
    trainer = lightning.Trainer(**(QUIET | {"max_epochs": 2} | settings))
    trainer.fit(module, source, ckpt_path=checkpoint)
    return module, trainer


class Save(lightning.Callback):
    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.step = step

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


# Where pairs come from


def rows(folder: Path) -> list[dict[str, Any]]:
    (folder / "pieces").mkdir()
    (folder / "pieces" / "better.abc").write_text(text(1))
    return [
        {"chosen": "pieces/better.abc", "rejected": text(2), "id": "first", "group": "a"},
        {
            "chosen": text(3),
            "rejected": text(4),
            "period": "Baroque",
            "composer": "Bach, Johann Sebastian",
            "instrumentation": "Choral",
        },
        {"chosen": text(5), "rejected": text(6), "note": "a column of the user's own"},
    ]


def write(folder: Path, kind: str, content: list[dict[str, Any]]) -> Path:
    path = folder / f"pairs.{kind}"
    if kind == "parquet":
        names = sorted({name for row in content for name in row})
        pq.write_table(pa.table({name: [row.get(name) for row in content] for name in names}), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n\n" for row in content))
    return path


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.filterwarnings("ignore")
def test_pairs_of_a_file(tmp_path, kind, caplog):
    source = data(tmp_path, write(tmp_path, kind, rows(tmp_path)), val_fraction=0)
    with caplog.at_level(logging.WARNING):
        source.setup()
    assert not source.skipped
    assert [pair.id for pair in source.pairs] == ["first", f"pairs.{kind}#2", f"pairs.{kind}#3"]
    assert [pair.group for pair in source.pairs] == ["a", "", ""]
    assert "note" in caplog.text
    for pair, (better, worse) in zip(source.pairs, [(1, 2), (3, 4), (5, 6)], strict=True):
        assert (pair.chosen.voices, pair.rejected.voices) == (
            tune(better).voices,
            tune(worse).voices,
        )
    assert [line.text for line in source.pairs[1].chosen.header[:3]] == [
        "%Baroque",
        "%Bach, Johann Sebastian",
        "%Choral",
    ]
    assert source.pairs[1].chosen.header[:3] == source.pairs[1].rejected.header[:3]
    assert source.provenance()["conditioning"]["prompts"] == [
        ["Baroque", "Bach, Johann Sebastian", "Choral", 1]
    ]


def test_prompts_can_be_left_out(tmp_path):
    pair = PreferencePair(
        tune(1), tune(2), "one", labels=Labels("Baroque", "Anonymous", "Keyboard")
    )
    assert PATCHES.decode_text(
        data(tmp_path, [pair], val_fraction=0)._encoded_sides()[0][0]
    ).startswith("%Baroque\n%Anonymous\n%Keyboard\n")
    plain = data(tmp_path, [pair], val_fraction=0, prompts=False)
    assert "%" not in PATCHES.decode_text(plain._encoded_sides()[0][0])
    assert plain.provenance()["conditioning"]["prompts"] == []


def notagen_files(folder: Path, chosen: int, rejected: int) -> Path:
    names: dict[str, list[str]] = {"chosen": [], "rejected": []}
    for side, count, first in (("chosen", chosen, 0), ("rejected", rejected, 100)):
        for number in range(count):
            piece = PATCHES.encode(tune(first + number, bars=4), max_length=1000)
            # As generated: interleaved, with bar counters.
            (folder / f"{side}-{number}.abc").write_text(
                "%Baroque\n%Anonymous\n%Keyboard\n" + PATCHES.decode_text(piece)
            )
            names[side].append(f"{side}-{number}.abc")
    path = folder / "dpo.json"
    path.write_text(json.dumps(names))
    return path


def test_notagens_lists_mean_every_pair(tmp_path):
    source = data(tmp_path, notagen_files(tmp_path, 3, 4), val_fraction=0)
    source.setup()
    assert len(source.pairs) == len({pair.id for pair in source.pairs}) == 12
    assert {(pair.chosen.voices, pair.rejected.voices) for pair in source.pairs} == {
        (tune(better, 4).voices, tune(100 + worse, 4).voices)
        for better in range(3)
        for worse in range(4)
    }
    assert PATCHES.decode_text(source._encoded_sides()[0][0]).startswith(
        "%Baroque\n%Anonymous\n%Keyboard\n"
    )
    few = data(tmp_path, tmp_path / "dpo.json", val_fraction=0, max_pairs=5)
    few.setup()
    assert len({pair.id for pair in few.pairs}) == 5
    other = data(tmp_path, tmp_path / "dpo.json", val_fraction=0, max_pairs=5, seed=1)
    other.setup()
    assert {pair.id for pair in other.pairs} != {pair.id for pair in few.pairs}


def test_pieces_of_lists_are_split_before_they_are_paired(tmp_path):
    source = data(tmp_path, notagen_files(tmp_path, 6, 6), val_fraction=0.3)
    train, validation, _ = source.splits
    assert train
    assert validation
    for side in ("chosen", "rejected"):
        ours, theirs = (
            {write_abc(getattr(source.pairs[index], side)) for index in part}
            for part in (train, validation)
        )
        assert not ours & theirs
    # Two pieces of a side cannot be split in two when they are alike.
    (tmp_path / "few").mkdir()
    alone = data(tmp_path, notagen_files(tmp_path / "few", 1, 3))
    assert [len(part) for part in alone.splits] == [3, 0, 0]


def test_degraded_works_keep_header_and_prompt(tmp_path):
    tunes = [tune(seed) for seed in range(8)]
    source = data(tmp_path, corpus=tunes, degradation=Degradation(("pitch",)), val_fraction=0.25)
    source.setup()
    assert len(source.pairs) == 8
    assert source.splits.validation
    for pair in source.pairs:
        assert pair.chosen.header == pair.rejected.header
        assert pair.chosen.voices != pair.rejected.voices
        assert [operation.name for operation in pair.operations] == ["pitch"]
    again = data(
        tmp_path,
        corpus=list(reversed(tunes)),
        degradation=Degradation(("pitch",)),
        val_fraction=0.25,
    )
    again.setup()
    assert {pair.id: pair.rejected for pair in again.pairs} == {
        pair.id: pair.rejected for pair in source.pairs
    }
    told = source.provenance()
    assert told["degradation"]["operations"] == ["pitch"]
    assert told["pairs"] == {
        "train": len(source.splits.train),
        "validation": len(source.splits.validation),
        "skipped": 0,
    }
    json.dumps(told)
    # A work that cannot be made worse is left out with the reason.
    one_bar = data(
        tmp_path,
        corpus=[*tunes, read_abc("X:1\nM:4/4\nL:1/4\nK:C\nCDEF|]\n")],
        degradation=Degradation(("truncation",)),
    )
    one_bar.setup()
    assert len(one_bar.pairs) == 8
    assert [("1 bar none" in reason) for _, reason in one_bar.skipped] == [True]


# What cannot be used


BAD = [
    ({"chosen": "", "rejected": text(2)}, "the chosen side is empty"),
    ({"chosen": text(1), "rejected": None}, "the rejected side is empty"),
    (
        {"chosen": text(1), "rejected": "X:1\nM:4/4\nL:1/4\nK:C\nz4|z4|\n"},
        "the rejected side has no notes",
    ),
    (
        {"chosen": text(1), "rejected": text(1).replace("Piece 1", "Another title")},
        "the same piece",
    ),
    ({"chosen": text(1), "rejected": "nowhere.abc"}, "rejected side cannot be read.*no such file"),
    ({"chosen": text(1), "rejected": "just a line\nand another\n"}, "the rejected side"),
    ({"chosen": text(1)}, "no rejected side among chosen"),
    ({"choosen": text(1), "rejected": text(2)}, "no chosen side among choosen, rejected"),
    ({"chosen": 7, "rejected": text(2)}, "the chosen side is a int"),
    ({"chosen": text(1), "rejected": text(2), "period": "Baroque"}, "of the prompt only period"),
    ("neither", "no JSON object"),
]


@pytest.mark.parametrize(("row", "reason"), BAD)
def test_a_pair_that_cannot_be_used_is_left_out_with_its_reason(tmp_path, row, reason, caplog):
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        "".join(json.dumps(line) + "\n" for line in (row, {"chosen": text(3), "rejected": text(4)}))
    )
    source = data(tmp_path, path, val_fraction=0)
    with caplog.at_level(logging.WARNING):
        source.setup()
    assert [pair.id for pair in source.pairs] == ["pairs.jsonl#2"]
    ((name, found),) = source.skipped
    assert name == "pairs.jsonl#1"
    assert re.search(reason, found)
    assert "1 pairs or pieces are left out" in caplog.text
    # With nothing left it is an error that says why.
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(MusicZooError, match=r"no pairs to train on\..*1 x"):
        data(tmp_path, path, val_fraction=0).setup()


def test_broken_lines_and_performed_music_are_left_out(tmp_path):
    import symusic

    symusic.Score(480).dump_midi(tmp_path / "empty.mid")
    score = symusic.Score(480)
    score.tracks.append(symusic.Track())
    score.tracks[0].notes.append(symusic.Note(0, 480, 60, 64))
    score.dump_midi(tmp_path / "one.mid")
    (tmp_path / "pairs.jsonl").write_text(
        '{"chosen": "one.mid"\n' + json.dumps({"chosen": "one.mid", "rejected": text(1)}) + "\n"
    )
    with pytest.raises(MusicZooError, match="no pairs"):
        data(tmp_path, tmp_path / "pairs.jsonl").setup()
    source = data(tmp_path, [tmp_path / "pairs.jsonl", (tune(1), tune(2))], val_fraction=0)
    source.setup()
    assert ["no JSON" in source.skipped[0].reason, "performed" in source.skipped[1].reason] == [
        True,
        True,
    ]
    assert len(source.pairs) == 1


def test_pieces_of_lists_that_cannot_be_used(tmp_path):
    path = notagen_files(tmp_path, 2, 2)
    content = json.loads(path.read_text())
    content["chosen"] += ["nowhere.abc", "rejected-0.abc", 5]
    path.write_text(json.dumps(content))
    source = data(tmp_path, path, val_fraction=0)
    source.setup()
    # A piece that stands on both sides counts on neither.
    assert len(source.pairs) == 2
    assert sorted(name for name, _ in source.skipped) == [
        "dpo.json chosen#5",
        "nowhere.abc",
        "rejected-0.abc",
        "rejected-0.abc",
    ]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("pairs.txt", "", "not read from .txt"),
        ("pairs.json", "[1, 2]", "lists of chosen and rejected"),
        ("pairs.json", '{"chosen": "a"}', "lists of chosen and rejected"),
        ("pairs.json", "{", "cannot be read"),
        ("pairs.parquet", "no parquet", "cannot be read"),
        ("pairs.jsonl", None, "cannot be read"),
        ("pairs.jsonl", "", "the source is empty"),
    ],
)
def test_files_that_are_none_are_errors(tmp_path, name, content, reason):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(MusicZooError, match=reason):
        data(tmp_path, tmp_path / name).setup()


def test_settings_that_make_no_sense(tmp_path):
    for wrong in (
        {},
        {"pairs": [], "corpus": "ryan"},
        {"pairs": [], "batch_size": 0},
        {"pairs": [], "max_pairs": 0},
    ):
        with pytest.raises(MusicZooError):
            PreferenceDataModule(**wrong)
    with pytest.raises(MusicZooError, match="A int is no pair"):
        data(tmp_path, [3]).setup()
    with pytest.raises(MusicZooError, match="turn pieces into tensors"):
        PreferenceDataModule(in_memory(3), val_fraction=0).train_dataloader()
    with pytest.raises(MusicZooError, match="which module is the reference"):
        data(tmp_path).train_dataloader()


# Splits and crops


def test_what_hangs_together_is_never_split(tmp_path):
    pieces = [tune(seed, bars=6) for seed in range(60)]
    pairs = [PreferencePair(pieces[n], pieces[n + 1], f"chain {n}") for n in range(0, 6)]
    pairs += [PreferencePair(pieces[n], pieces[n + 20], f"own {n}") for n in range(10, 30)]
    pairs += [
        PreferencePair(pieces[n + 40], pieces[n + 10], f"group {n}", group="all one")
        for n in range(6)
    ]
    for split_seed in range(5):
        source = data(tmp_path, pairs, val_fraction=0.3, split_seed=split_seed)
        parts = {
            source.pairs[index].id: part
            for part, indices in enumerate(source.splits)
            for index in indices
        }
        assert len(parts) == len(pairs)
        assert len({part for name, part in parts.items() if name.startswith("chain")}) == 1
        assert len({part for name, part in parts.items() if name.startswith("group")}) == 1
        assert len({part for name, part in parts.items() if name.startswith("own")}) == 2


def test_an_id_that_comes_twice_loses_no_pair(tmp_path):
    source = data(
        tmp_path, [PreferencePair(tune(n), tune(n + 50), "same") for n in range(3)], val_fraction=0
    )
    source.setup()
    assert [pair.id for pair in source.pairs] == ["same", "same:2", "same:3"]


def test_long_sides_are_cropped_once_each_for_itself(tmp_path):
    long = [(tune(seed, bars=60), tune(seed + 100, bars=60)) for seed in range(12)]
    sides = data(tmp_path, long)._encoded_sides()
    assert {len(side) for both in sides.values() for side in both} <= set(range(10, 25))
    again = data(tmp_path, long)._encoded_sides()
    assert all(
        torch.equal(one, other)
        for index in sides
        for one, other in zip(sides[index], again[index], strict=True)
    )
    reseeded = data(tmp_path, long, seed=1)._encoded_sides()
    assert any(
        not torch.equal(one, other)
        for index in sides
        for one, other in zip(sides[index], reseeded[index], strict=True)
    )
    # The two sides do not begin at the same bar by rule.
    starts = [
        tuple(re.search(r"\[r:(\d+)/", PATCHES.decode_text(side)).group(1) for side in both)
        for both in sides.values()
    ]
    assert len({chosen == rejected for chosen, rejected in starts}) == 2


def test_sides_that_differ_only_where_they_are_cut_off_are_left_out(tmp_path):
    text_of = "X:1\nM:4/4\nL:1/4\nK:G\n" + "CDEF|" * 59
    pairs = [(read_abc(f"{text_of}G4|\n"), read_abc(f"{text_of}A4|\n")) for _ in range(40)]
    source = data(tmp_path, [*pairs, (tune(1), tune(2))], val_fraction=0)
    sides = source._encoded_sides()
    assert len(sides) < 41
    assert {reason for _, reason in source.skipped} == {
        "both sides are the same in the part that fits the context"
    }
    assert len(sides) + len(source.skipped) == 41


# The reference


def recomputed(module: BarStreamModule, source: PreferenceDataModule) -> dict[str, float]:
    module.eval()
    with torch.no_grad():
        pieces = [piece for both in source._encoded_sides().values() for piece in both]
        return {
            piece_digest(piece): float(module.log_probs(PATCHES.collate([piece])).sums())
            for piece in pieces
        }


def stored(folder: Path) -> dict[str, float]:
    (path,) = folder.glob("*.parquet")
    return read_references(path)[0]


@pytest.mark.filterwarnings("ignore")
def test_stored_references_are_those_of_the_untrained_model(tmp_path):
    source = data(tmp_path)
    trained, trainer = fit(source)
    found = stored(tmp_path)
    assert found == pytest.approx(recomputed(model(), source), rel=1e-6)
    assert (
        max(abs(found[name] - value) for name, value in recomputed(trained, source).items()) > 0.1
    )
    # At the first step the policy is its own reference; the loss is ln 2, apart from dropout.
    assert trainer.callback_metrics["val/loss"] != pytest.approx(0.6931, abs=1e-4)
    loader = source.train_dataloader()
    for batch in loader:
        for row, length, reference in zip(
            batch["patches"], batch["lengths"], batch["reference"], strict=True
        ):
            assert float(reference) == found[piece_digest(row[: int(length)])]


@pytest.mark.filterwarnings("ignore")
def test_an_untrained_policy_has_the_loss_of_no_opinion(tmp_path):
    _, trainer = fit(
        data(tmp_path),
        model(dropout=0.0, optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.0)),
        max_epochs=1,
    )
    assert float(trainer.callback_metrics["val/loss"]) == pytest.approx(0.693147, abs=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_the_same_reference_is_computed_once(tmp_path, monkeypatch):
    fit(data(tmp_path), max_epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr("musiczoo.datamodules.references.reference_sums", None)
        fit(data(tmp_path), max_epochs=1)
    assert len(list(tmp_path.glob("*.parquet"))) == 1
    # Other weights, other pairs: other references.
    source = data(tmp_path)
    trained, _ = fit(source, max_epochs=1)
    fit(source, trained, max_epochs=1)
    fit(data(tmp_path, in_memory(11)), max_epochs=1)
    assert len(list(tmp_path.glob("*.parquet"))) == 3
    # A damaged file that no run relies on is made again.
    for path in tmp_path.glob("*.parquet"):
        path.write_bytes(b"damaged")
    fit(data(tmp_path), max_epochs=1)


@pytest.mark.parametrize(
    "step", [3, pytest.param(1, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.slow)]
)
@pytest.mark.filterwarnings("ignore")
def test_resumed_equals_uninterrupted(tmp_path, step):
    assert len(data(tmp_path).splits.train) > 4
    whole, trainer = fit(
        data(tmp_path / "references"), callbacks=[Save(tmp_path / "middle.ckpt", step)]
    )
    assert trainer.global_step > step
    resumed, again = fit(
        data(tmp_path / "references"), model(), checkpoint=tmp_path / "middle.ckpt"
    )
    assert again.global_step == trainer.global_step
    assert same(whole, resumed)
    assert len(list((tmp_path / "references").glob("*.parquet"))) == 1


@pytest.mark.filterwarnings("ignore")
def test_a_resumed_run_never_takes_trained_weights_for_the_reference(tmp_path):
    fit(data(tmp_path / "references"), callbacks=[Save(tmp_path / "middle.ckpt", 2)])
    for damage in (lambda path: path.write_bytes(b"damaged"), Path.unlink):
        damage(next((tmp_path / "references").glob("*.parquet")))
        with pytest.raises(MusicZooError, match="trained weights are no reference"):
            fit(data(tmp_path / "references"), checkpoint=tmp_path / "middle.ckpt")
    assert not list((tmp_path / "references").glob("*.parquet"))


@pytest.mark.filterwarnings("ignore")
def test_a_run_is_resumed_with_its_own_pairs(tmp_path):
    fit(data(tmp_path / "references"), callbacks=[Save(tmp_path / "middle.ckpt", 2)])
    with pytest.raises(MusicZooError, match="other pairs"):
        fit(data(tmp_path / "references", in_memory(11)), checkpoint=tmp_path / "middle.ckpt")


@pytest.mark.filterwarnings("ignore")
def test_training_leaves_the_random_state_to_itself(tmp_path):
    computed, _ = fit(data(tmp_path))
    read, _ = fit(data(tmp_path))
    assert same(computed, read)


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_tells_what_it_was_trained_on(tmp_path):
    path = tmp_path / "step.ckpt"
    source = data(tmp_path / "references")
    fit(source, callbacks=[Save(path, 1)], max_epochs=1)
    kept = torch.load(path, weights_only=True)
    (file,) = (tmp_path / "references").glob("*.parquet")
    assert kept["PreferenceDataModule"] == {"references": file.stem}
    (entry,) = kept["musiczoo"]["provenance"]["training"]
    assert entry["reference"] == file.stem
    assert entry["preferences"] == ["pairs in memory"]


def test_without_a_trainer_the_reference_is_named(tmp_path):
    source = data(tmp_path)
    source.use_reference(model())
    batches = list(source.train_dataloader())
    assert sum(len(batch["reference"]) // 2 for batch in batches) == len(source.splits.train)
    assert sum(len(batch["reference"]) // 2 for batch in source.val_dataloader()) == len(
        source.splits.validation
    )
    whole = data(tmp_path, val_fraction=0)
    whole.use_reference(model())
    assert whole.val_dataloader() == []


@pytest.mark.dist
@pytest.mark.filterwarnings("ignore")
def test_two_processes_equal_one(tmp_path):
    settings = {"dropout": 0.0, "optimizer": _sgd}
    one, trainer = fit(data(tmp_path / "one", batch_size=2), model(**settings))
    assert len(data(tmp_path).splits.train) % 2 == 1
    two, other = fit(
        data(tmp_path / "two", batch_size=1), model(**settings), devices=2, strategy="ddp_fork"
    )
    assert stored(tmp_path / "two") == pytest.approx(stored(tmp_path / "one"), rel=1e-6)
    theirs = two.state_dict()
    for name, value in one.state_dict().items():
        torch.testing.assert_close(theirs[name], value, rtol=1e-5, atol=1e-5)
    assert not same(one, model(**settings))
    assert float(other.callback_metrics["val/loss"]) == pytest.approx(
        float(trainer.callback_metrics["val/loss"]), abs=1e-5
    )


@pytest.mark.dist
@pytest.mark.filterwarnings("ignore")
def test_resuming_without_references_fails_in_all_processes(tmp_path):
    fit(data(tmp_path / "references"), callbacks=[Save(tmp_path / "middle.ckpt", 2)])
    next((tmp_path / "references").glob("*.parquet")).unlink()
    with pytest.raises(Exception, match="trained weights are no reference"):
        fit(
            data(tmp_path / "references", batch_size=1),
            checkpoint=tmp_path / "middle.ckpt",
            devices=2,
            strategy="ddp_fork",
        )


def test_worker_processes_change_nothing(tmp_path):
    sources = [data(tmp_path, num_workers=count) for count in (0, 1)]
    for source in sources:
        source.use_reference(model())
    for one, other in itertools.zip_longest(*(source.train_dataloader() for source in sources)):
        assert all(torch.equal(one[name], other[name]) for name in one)
