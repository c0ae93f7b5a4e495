"""Questions as batches: features computed once, bad pieces left out, splits kept apart."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from musiczoo.datamodules import MusicQADataModule
from musiczoo.datamodules.music_qa import moved
from musiczoo.datamodules.piece_features import PieceFeatures
from musiczoo.llm.records import QARecord, write_records
from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import write
from musiczoo.music.midi import to_score
from tests.models.midi_llama.tiny_midi_llama import build, records, tune, works


def data(module: Any, some: Any = None, **settings: Any) -> MusicQADataModule:
    some = works(8) if some is None else some
    own = {"batch_size": 3, "val_fraction": 0.2, "progress": False}
    own |= {"model": module, "representation": module.representation}
    return MusicQADataModule(settings.pop("records", records(some)), some, **{**own, **settings})


def test_cached_batches_give_the_loss_of_the_notes(tmp_path: Path) -> None:
    module = build().eval()
    cached = data(module, cache=tmp_path).train_dataloader()
    plain = data(module, cache=tmp_path, cached=False).train_dataloader()
    for one, two in zip(cached, plain, strict=True):
        assert "features" in one
        assert "features" not in two
        assert one["ids"].shape[1] < two["ids"].shape[1]
        found, expected = module.log_probs(one), module.log_probs(two)
        torch.testing.assert_close(
            found.values[found.mask], expected.values[expected.mask], rtol=1e-4, atol=1e-5
        )


def test_features_are_computed_once(tmp_path: Path) -> None:
    module = build().eval()
    calls: list[int] = []
    pooled = module.pooled
    module.pooled = lambda pieces: (calls.append(len(pieces)), pooled(pieces))[1]  # type: ignore[method-assign]
    first = data(module, cache=tmp_path, shifts=(0, 2))
    first.setup()
    assert sum(calls) == 16
    again = data(module, cache=tmp_path, shifts=(0, 2))
    again.setup()
    assert sum(calls) == 16
    assert torch.equal(first.feature_table, again.feature_table)
    other = build(segments=2).eval()
    data(other, cache=tmp_path).setup()
    assert len(list((tmp_path / "features").iterdir())) == 2


def test_a_killed_run_computes_what_is_missing(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("musiczoo.datamodules.piece_features._CHUNK", 2)
    names = [f"piece {n}" for n in range(7)]
    seen: list[int] = []

    def piece(place: int) -> int:
        if place == 5 and len(seen) == 4:
            raise KeyboardInterrupt
        seen.append(place)
        return place

    def compute(pieces: Any) -> torch.Tensor:
        return torch.tensor([[float(one)] for one in pieces])

    store = PieceFeatures("digest", tmp_path)
    seen.clear()
    with pytest.raises(KeyboardInterrupt):
        store.of(names, lambda place: piece(place) if place != 4 else piece(5), compute)
    assert seen == [0, 1, 2, 3]
    found, errors = store.of(names, lambda place: seen.append(place) or place, compute)
    assert seen == [0, 1, 2, 3, 4, 5, 6]
    assert found.flatten().tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert errors == {}


def test_pieces_that_cannot_be_read_are_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module = build().eval()
    write(to_score(tune(1)), tmp_path / "good.mid")
    (tmp_path / "bad.mid").write_bytes(b"MThd nothing")
    (tmp_path / "silent.abc").write_text("X:1\nM:4/4\nL:1/4\nK:C\nz4|z4|\n")
    rows = [
        QARecord(f"{name}:{n}", name, "Which key?", "C.", "key")
        for name in ("good.mid", "bad.mid", "silent.abc", "nowhere.mid")
        for n in range(2)
    ]
    file = write_records(tmp_path / "questions.jsonl", rows)
    for cached in (True, False):
        some = MusicQADataModule(
            file,
            representation=module.representation,
            model=module,
            cached=cached,
            cache=tmp_path / "cache",
            progress=False,
            val_fraction=0.0,
        )
        with caplog.at_level(logging.WARNING):
            some.setup()
        assert {record.midi for record in some.records} == {"good.mid"}
        assert set(some.left_out) == {"bad.mid", "silent.abc", "nowhere.mid"}
        assert "3 pieces are left out" in caplog.text
        [batch] = some.train_dataloader()
        assert len(batch["ids"]) == 2


def test_no_piece_that_can_be_read(tmp_path: Path) -> None:
    module = build().eval()
    rows = [QARecord("1", "nowhere.mid", "Which key?", "C.", "key")]
    for cached in (True, False):
        with pytest.raises(MusicZooError):
            MusicQADataModule(
                rows,
                root=tmp_path,
                model=module,
                representation=module.representation,
                cached=cached,
                cache=tmp_path,
                progress=False,
            ).setup()


def test_stated_splits_are_kept_and_others_made_by_cluster(tmp_path: Path) -> None:
    module = build().eval()
    some = works(9)
    stated = data(module, some, records=records(some, "tvs"), cache=tmp_path)
    for name, part in zip(("train", "validation", "test"), stated.splits, strict=True):
        assert len(part) == 6
        assert {stated.records[place].source["split"] for place in part} == {name}
    made = data(module, some, cache=tmp_path, test_fraction=0.3)
    parts = [{made.records[place].midi for place in part} for part in made.splits]
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts))


def test_training_draws_a_key_and_validation_does_not(tmp_path: Path) -> None:
    module = build().eval()
    some = data(module, cache=tmp_path, shifts=(0, 5))
    items = some.items([0], training=True)
    from musiczoo.datamodules.resumable import Draw

    drawn = [items[Draw(epoch, 0)][1] for epoch in range(12)]
    assert any(not torch.equal(drawn[0], other) for other in drawn)
    assert torch.equal(items[Draw(3, 0)][1], drawn[3])
    fixed = some.items([0], training=False)
    assert all(torch.equal(fixed[Draw(0, 0)][1], fixed[Draw(n, 0)][1]) for n in range(12))


@pytest.mark.parametrize("shift", [-5, -1, 0, 2, 6])
def test_moving(shift: int) -> None:
    piece = read_abc("M:4/4\nL:1/4\nK:D\nDFAd|c4|")
    pitches = [note.pitch + shift for note in piece.notes()]
    assert [note.pitch for note in moved(piece, shift).notes()] == pitches
    score = to_score(piece)
    assert [note.pitch for note in moved(score, shift).tracks[0].notes] == pitches
    assert [note.pitch for note in score.tracks[0].notes] == [p - shift for p in pitches]
