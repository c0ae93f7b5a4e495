"""The files of a round: what goes in comes out, and what is broken or of another run is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from musiczoo.callbacks.preference.files import RoundFiles, Sample, TrainedPiece
from musiczoo.models.base.generative import Generated
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels


def as_version_0_1(path: Path) -> None:
    """Writes a file of pieces again with three columns of labels instead of the prompt."""
    table = pq.read_table(path)
    prompts = [json.loads(prompt) or [None] * 3 for prompt in table["prompt"].to_pylist()]
    columns = {name: table[name] for name in table.column_names if name != "prompt"}
    labels = {
        name: pa.array([prompt[place] for prompt in prompts], pa.string())
        for place, name in enumerate(("period", "composer", "instrumentation"))
    }
    number = columns.pop("number")
    pq.write_table(pa.table({"number": number, **labels, **columns}), path)


def sample(number: int, labels: Labels | None = None) -> Sample:
    tokens = torch.randint(0, 128, (number + 1, 4), dtype=torch.uint8)
    values = -torch.rand(number + 1, 4)
    return Sample(
        number,
        Generated(None, f'%x\n"{number}"é', tokens, values, values < -0.5, "end", None, labels),
    )


def same(one: Sample, other: Sample) -> bool:
    tokens = (
        torch.equal(one.result.tokens, other.result.tokens)
        and one.result.tokens.dtype == other.result.tokens.dtype
    )
    return tokens and (one.number, one.result.text, one.result.stop, one.result.labels) == (
        other.number,
        other.result.text,
        other.result.stop,
        other.result.labels,
    )


def test_what_is_written_is_read(tmp_path):
    files = RoundFiles(tmp_path / "round")
    assert files.chunk(0) is None
    assert files.report() is None
    labels = Labels("Romantic", "Dvořák, Antonín", "Keyboard")
    samples = [
        sample(0, labels),
        sample(1),
        replace(sample(2), result=replace(sample(2).result, stop="max_length")),
    ]
    files.write_chunk(3, samples)
    assert all(map(same, samples, files.chunk(3) or []))
    assert files.chunk(2) is None

    scored = [
        replace(samples[0], score=0.1 + 0.2, nearest=0.5, role="chosen"),
        replace(samples[1], reason="why: not", role=""),
        replace(samples[2], score=-1.0),
    ]
    files.write_samples(scored)
    found = files.samples()
    assert all(map(same, scored, found))
    assert [(s.score, s.role, s.reason) for s in (found[0], found[2])] == [
        (0.1 + 0.2, "chosen", None),
        (-1.0, "", None),
    ]
    assert math.isnan(found[1].score)
    assert found[1].reason == "why: not"

    assert not files.is_complete()
    pieces = [
        TrainedPiece(7, 0, torch.arange(6, dtype=torch.int64).reshape(3, 2), -1 / 3),
        TrainedPiece(7, 1, torch.rand(2), -2.5),
    ]
    files.write_training(pieces, [(0, 1), (1, 0)])
    assert files.is_complete()
    again, pairs = files.training()
    assert pairs == [(0, 1), (1, 0)]
    assert [(p.number, p.crop, p.reference) for p in again] == [
        (p.number, p.crop, p.reference) for p in pieces
    ]
    assert all(
        torch.equal(one.tokens, other.tokens) for one, other in zip(again, pieces, strict=True)
    )
    again[0].tokens[0, 0] = 9  # its own memory, which may be written to

    first = files.digest()
    files.write_training(pieces, [(0, 1), (1, 0)])
    assert files.digest() == first
    files.write_training(pieces, [(1, 0), (0, 1)])
    assert files.digest() != first
    (tmp_path / "round/sequences.parquet").unlink()
    assert not files.is_complete()

    report = {
        "pieces": 3,
        "score": math.nan,
        "copy_threshold": None,
        "by_prompt": {"é": {"score": 0.5}, "b": {"score": math.nan}},
    }
    files.write_report(report)
    assert "NaN" not in (tmp_path / "round/report.json").read_text()
    told = files.report()
    assert told is not None
    assert math.isnan(told["score"])
    assert math.isnan(told["by_prompt"]["b"]["score"])
    assert (told["pieces"], told["copy_threshold"], told["by_prompt"]["é"]) == (
        3,
        None,
        {"score": 0.5},
    )


def test_files_of_version_0_1_are_read(tmp_path):
    files = RoundFiles(tmp_path)
    labels = Labels("Romantic", "Dvořák, Antonín", "Keyboard")
    samples = [replace(sample(0, labels), score=0.5, role="chosen"), sample(1)]
    files.write_chunk(0, samples)
    files.write_samples(samples)
    for path in tmp_path.rglob("*.parquet"):
        as_version_0_1(path)
    assert all(map(same, samples, files.chunk(0) or []))
    assert all(map(same, samples, files.samples()))
    assert next((one.score, one.role) for one in files.samples()) == (0.5, "chosen")


def test_a_folder_is_claimed_for_one_round(tmp_path):
    files = RoundFiles(tmp_path / "round")
    plan = {
        "round": 1,
        "policy": "abc",
        "sampling": {"top_k": 9, "top_p": 0.9},
        "prompts": [("a", "b")],
    }
    files.claim(plan)
    files.claim(plan)
    assert json.loads((tmp_path / "round/plan.json").read_text())["policy"] == "abc"
    with pytest.raises(MusicZooError, match="another run: policy, sampling differ"):
        files.claim({**plan, "policy": "abd", "sampling": {"top_k": 8, "top_p": 0.9}})
    with pytest.raises(MusicZooError, match="another run: more, round differ"):
        files.claim(
            {"policy": "abc", "sampling": plan["sampling"], "prompts": plan["prompts"], "more": 1}
        )


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing", b"{}"])
def test_broken_files_are_told_with_what_to_do(tmp_path, content):
    files = RoundFiles(tmp_path)
    (tmp_path / "samples").mkdir()
    for name, read in (
        ("samples/00000.parquet", lambda: files.chunk(0)),
        ("samples.parquet", files.samples),
        ("plan.json", None),
    ):
        (tmp_path / name).write_bytes(content)
        if read is not None:
            with pytest.raises(
                MusicZooError,
                match=r"cannot be read.*Delete the round's folder; it is made again\.",
            ):
                read()
    if content != b"{}":
        with pytest.raises(MusicZooError, match="cannot be read"):
            files.claim({"round": 1})
    (tmp_path / "plan.json").write_text("[1]")
    with pytest.raises(MusicZooError, match="another format"):
        files.claim({"round": 1})
    files.write_samples([sample(1)])
    (tmp_path / "samples/00000.parquet").write_bytes((tmp_path / "samples.parquet").read_bytes())
    with pytest.raises(MusicZooError, match="another format"):
        files.chunk(0)
