"""Labelled pieces: folders, tables, corpora and pairs; what cannot be used is named."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import pytest
import torch

from musiczoo.datamodules.labelled import LabelledMidiDataModule
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.octuple import OctupleMidi
from tests.models.midi_llama.tiny_midi_llama import tune

OCTUPLE = OctupleMidi(64)


def data(source, **settings) -> LabelledMidiDataModule:
    own = {"representation": OCTUPLE, "batch_size": 3, "val_fraction": 0.0, "progress": False}
    return LabelledMidiDataModule(source, **{**own, **settings})


def text(seed: int) -> str:
    from musiczoo.music.abc import write_abc

    return write_abc(tune(seed))


def test_a_folder_of_folders(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for label, seeds in (("jazz", range(4)), ("rock", range(4, 7))):
        (tmp_path / label / "deeper").mkdir(parents=True)
        for seed in seeds:
            (tmp_path / label / ("deeper" if seed % 2 else "") / f"{seed}.abc").write_text(
                text(seed)
            )
    (tmp_path / "loose.abc").write_text(text(9))
    (tmp_path / "jazz/broken.mid").write_bytes(b"MThd")
    (tmp_path / "jazz/silent.abc").write_text("X:1\nM:4/4\nL:1/4\nK:C\nz4|\n")
    (tmp_path / "jazz/notes.txt").write_text("no music")
    some = data(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert some.labels == ("jazz", "rock")
    assert not some.several
    assert len(some.pieces) == 7
    assert set(some.left_out) == {"jazz/broken.mid", "jazz/silent.abc"}
    assert "2 pieces are left out" in caplog.text
    seen = torch.cat([batch["labels"] for batch in some.train_dataloader()])
    assert sorted(seen.tolist()) == [0] * 4 + [1] * 3
    assert some.provenance()["labels"] == {"jazz": 4, "rock": 3}


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_table(suffix: str, tmp_path: Path) -> None:
    rows = []
    for seed in range(6):
        (tmp_path / f"{seed}.abc").write_text(text(seed))
        rows.append({"path": f"{seed}.abc", "labels": "a;b" if seed % 2 else "b"})
    rows.append({"path": "nowhere.abc", "labels": "a"})
    file = tmp_path / f"table{suffix}"
    if suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        with open(file, "w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0], delimiter="\t" if suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    some = data(file)
    assert (some.labels, some.several) == (("a", "b"), True)
    assert set(some.left_out) == {"nowhere.abc"}
    batch = next(iter(some.train_dataloader()))
    assert batch["labels"].shape == (3, 2)
    assert set(batch["labels"].unique().tolist()) <= {0.0, 1.0}


def test_labels_of_a_corpus() -> None:
    from musiczoo.music.corpora import load_corpus

    works = [work for work in load_corpus("ryan", progress=False)][:60]
    some = data(works, by="instrumentation", min_pieces=3, labels=("reel", "hornpipe"))
    assert some.labels == ("reel", "hornpipe")
    assert 0 < len(some.pieces) < 60


def test_near_duplicates_stay_together() -> None:
    pairs = [(tune(seed % 10), "a" if seed % 2 else "b") for seed in range(40)]
    some = data(pairs, val_fraction=0.3)
    train = {id(some.pieces[place].piece) for place in some.splits.train}
    assert isinstance(some.pieces[0].piece, Tune)
    names = [[int(some.pieces[p].name) % 10 for p in part] for part in some.splits[:2]]
    assert train
    assert not set(names[0]) & set(names[1])


def test_what_cannot_be_used() -> None:
    with pytest.raises(MusicZooError, match=r"too few pieces of b"):
        data([(tune(1), "a"), (tune(2), "a"), (tune(3), "b")]).setup()
    with pytest.raises(MusicZooError, match="a second label"):
        data([(tune(1), "a"), (tune(2), "a")]).setup()
    with pytest.raises(MusicZooError, match="no piece with a label"):
        data([]).setup()
    with pytest.raises(MusicZooError, match="no labels 'colour'"):
        data("ryan", by="colour").setup()
    with pytest.raises(MusicZooError, match="several labels"):
        data([(tune(1), ("a", "b")), (tune(2), "a")], several=False).setup()
    with pytest.raises(MusicZooError, match="no pair"):
        data([tune(1), 3]).setup()
