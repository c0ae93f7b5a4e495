"""Graded takes: what an item holds, that chance and folders change nothing, and that a fit resumes."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch

import musiczoo.music.sound.rendering
from musiczoo.datamodules.degraded_passages import (
    DegradedTakesDataModule,
    Graded,
    GradedItems,
    collate_graded,
    only_the_real,
)
from musiczoo.datamodules.resumable import Draw
from musiczoo.models.mel_aesthetics import MelAestheticsModule
from musiczoo.models.mel_aesthetics.ranking import better_pairs
from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.corpora.reading import work_of
from musiczoo.music.degradation.passages import Takes
from musiczoo.music.degradation.performance import CLIP_KINDS, PERFORMANCE_DEGRADATIONS
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.log_mel import LogMel
from tests.small_runs import QUIET

pytestmark = pytest.mark.filterwarnings("ignore")
SHORT = Takes(least_seconds=0.8, most_seconds=1.2, tempo=(120.0, 200.0, 250.0))


def tune(number: int) -> Tune:
    rng = random.Random(number)
    bars = " | ".join("".join(rng.choice("CDEFGABcdef") for _ in range(8)) for _ in range(6))
    return read_abc(f"X:{number}\nM:4/4\nL:1/8\nK:G\n{bars} |]\n")


def data(folder: Path | None = None, **settings: Any) -> DegradedTakesDataModule:
    options: dict[str, Any] = {
        "batch_size": 2,
        "takes": SHORT,
        "val_fraction": 0.3,
        "folder": folder,
        **settings,
    }
    works = [replace(work_of(tune(number)), source="mine") for number in range(10)]
    return DegradedTakesDataModule(works, LogMel(16), **options)


def equal(one: Graded, other: Graded) -> bool:
    same = len(one.rows) == len(other.rows) and all(
        torch.equal(a, b) for a, b in zip(one.rows, other.rows, strict=True)
    )
    same = same and all(torch.equal(a, b) for a, b in zip(one.classes, other.classes, strict=True))
    return (
        same and torch.equal(one.kinds, other.kinds) and torch.equal(one.strengths, other.strengths)
    )


def test_a_training_item_can_be_ranked() -> None:
    module = data(number=50)
    items = module.items(module.splits.train, training=True)
    seen: Counter[str] = Counter()
    for epoch in range(12):
        item = items[Draw(epoch, 0)]
        kinds = [CLIP_KINDS[int(kind)] for kind in item.kinds]
        assert kinds[0] == "real"
        assert kinds[1] == kinds[2]
        assert {kinds[1], kinds[3]} <= set(PERFORMANCE_DEGRADATIONS)
        assert kinds[1] != kinds[3]
        assert kinds[4] in ("mixed", "silence", "noise")
        seen.update(kinds)
        assert item.strengths[0] == 0
        assert item.strengths[1] < 0.5 < item.strengths[2]
        better = better_pairs(collate_graded([item]))
        assert better[0].tolist() == [False, True, True, True, True]
        assert better.sum() in (4, 5)
        assert all(row.dtype == torch.uint8 and row.shape[1] == 16 for row in item.rows)
        assert [len(classes) for classes in item.classes] == [len(row) for row in item.rows]
        assert item.classes[0].any(dim=1).float().mean() > 0.9  # a tune without rests
        assert len({row.numpy().tobytes() for row in item.rows}) == 5
    assert len(seen) > 8


def test_a_validation_item_has_each_kind_once() -> None:
    module = data()
    item = module.items(module.splits.validation, training=False)[Draw(3, 0)]
    assert item.kinds.tolist() == list(range(len(CLIP_KINDS)))
    silence, noise = (item.rows[CLIP_KINDS.index(name)] for name in ("silence", "noise"))
    assert not silence.any()
    assert not item.classes[CLIP_KINDS.index("noise")].any()
    assert (noise[1:-1] > 60).all()


def test_chance_depends_on_seed_work_and_take_alone(tmp_path: Path) -> None:
    module = data(number=2)
    items = module.items(module.splits.train, training=True)
    first = items[Draw(0, 1)]
    assert equal(first, items[Draw(2, 1)])
    assert not equal(first, items[Draw(1, 1)])
    assert not equal(
        first, data(number=2, seed=1).items(module.splits.train, training=True)[Draw(0, 1)]
    )
    backwards = module.items(module.splits.train[::-1], training=True)
    assert equal(first, backwards[Draw(0, len(backwards) - 2)])
    repeated = GradedItems([items.works[1]] * 2, LogMel(16), SHORT, seed=0)
    assert equal(first, repeated[Draw(0, 0)])
    assert not equal(first, repeated[Draw(0, 1)])


def test_what_was_rendered_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = [data().items([index], training=True)[Draw(0, 0)] for index in (0, 1)]
    kept = data(tmp_path)
    assert equal(kept.items([0], training=True)[Draw(0, 0)], fresh[0])
    assert not list(tmp_path.rglob("*.part"))

    def broken(*_: object) -> None:
        raise AssertionError("rendered again")

    monkeypatch.setattr(musiczoo.music.sound.rendering, "render_clip", broken)
    again = data(tmp_path)
    assert equal(again.items([0], training=True)[Draw(0, 0)], fresh[0])
    # Other settings are other clips.
    for other in (
        data(tmp_path, seed=2),
        data(tmp_path, takes=Takes(least_seconds=0.8, most_seconds=1.1)),
    ):
        with pytest.raises(AssertionError, match="rendered again"):
            other.items([0], training=True)[Draw(0, 0)]


def test_a_piece_that_cannot_be_played_costs_itself_only(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = tune(1), tune(2)
    draw = Takes.draw

    def fails(takes: Takes, piece: Any, *rest: Any) -> Any:
        if piece.voices == bad.voices:
            raise MusicZooError("It is cursed.")
        return draw(takes, piece, *rest)

    monkeypatch.setattr(Takes, "draw", fails)
    items = GradedItems([work_of(bad), work_of(good)], LogMel(16), SHORT)
    batch = collate_graded([items[Draw(0, 0)], items[Draw(0, 1)], items[Draw(1, 0)]])
    assert caplog.text.count("is left out") == 1
    module = MelAestheticsModule(mels=16, channels=4, width=8, layers=1)
    assert int(module.objective(module, batch).count) == 1


def test_batches_of_similar_length_hold_all_clips() -> None:
    module = data()
    module.setup()
    [*batches] = module.train_dataloader()
    assert sum(len(set(batch["group"].tolist())) for batch in batches) == len(module.splits.train)
    for batch in batches:
        assert (
            batch["mel"].shape[0]
            == len(batch["lengths"])
            == len(batch["group"])
            == len(batch["kind"])
            == len(batch["strength"])
        )
        assert batch["classes"].shape == (*batch["mel"].shape[:2], 12)
        assert batch["mel"].shape[1] == batch["lengths"].max()
    assert only_the_real(module.items([0], training=True)[Draw(0, 0)]).kinds.tolist() == [0]


def test_repeats_and_provenance() -> None:
    module = data(repeats={"mine": 3}, number=2)
    assert len(module.items(module.splits.train, training=True)) == 3 * len(module.splits.train)
    told = module.provenance()
    assert told["number"] == 2
    assert told["takes"]["most_seconds"] == 1.2
    assert told["works"]["train"] == len(module.splits.train)
    assert not any("/" in str(value) for value in told.values())


def test_settings_are_checked() -> None:
    with pytest.raises(MusicZooError, match="0 passages"):
        data(number=0)
    with pytest.raises(MusicZooError, match="pieces into tensors"):
        DegradedTakesDataModule([tune(1), tune(2)]).train_dataloader()


class Save(lightning.Callback):
    """A checkpoint after each batch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")


def test_a_stopped_fit_goes_on_where_it_was(tmp_path: Path) -> None:
    def fit(
        checkpoint: Path | None = None, callbacks: list[lightning.Callback] | None = None
    ) -> torch.nn.Module:
        torch.manual_seed(0)
        module = MelAestheticsModule(mels=16, channels=4, width=8, layers=1, dropout=0.3)
        trainer = lightning.Trainer(
            max_steps=6, default_root_dir=tmp_path, callbacks=callbacks, **QUIET
        )
        trainer.fit(
            module, data(tmp_path / "clips", number=2), ckpt_path=checkpoint, weights_only=True
        )
        assert trainer.global_step == 6
        return module

    whole = fit(callbacks=[Save(tmp_path)])
    for step in (1, 4, 5):
        resumed = fit(tmp_path / f"{step}.ckpt")
        assert all(
            torch.equal(one, other)
            for one, other in zip(whole.parameters(), resumed.parameters(), strict=True)
        ), step
