from __future__ import annotations

import json
from pathlib import Path

import pytest

from musiczoo.llm.records import Clip, QARecord, iterate_records, read_records, write_records
from musiczoo.music.errors import MusicZooError

CLIP = Clip(20.0, 40.0, 10, 20, "nominal")
RECORDS = [
    QARecord(f"{number}", f"{number}.mid", "Which key?", "C major \u2028 <ü>", "key", source=source)
    for number, source in enumerate([{"answer": "music21"}, {"quote": "a b c", "correlation": 0.9}])
] + [QARecord("2", "2.mid", "Describe it.", "A waltz.", "caption", "caption", clip=CLIP)]


@pytest.mark.parametrize("name", ["qa.jsonl", "qa.parquet"])
def test_records_come_back(tmp_path: Path, name: str) -> None:
    path = write_records(tmp_path / name, iter(RECORDS))
    assert read_records(path) == RECORDS
    assert write_records(tmp_path / f"empty-{name}", []).exists()
    assert read_records(tmp_path / f"empty-{name}") == []


def test_the_layout_is_that_of_llava(tmp_path: Path) -> None:
    path = write_records(tmp_path / "qa.jsonl", RECORDS)
    rows = [json.loads(line) for line in path.read_text().split("\n") if line]
    assert rows[0]["conversations"] == [
        {"from": "human", "value": "<music>\nWhich key?"},
        {"from": "gpt", "value": "C major \u2028 <ü>"},
    ]
    assert rows[2]["clip"] == {
        "start_s": 20.0,
        "end_s": 40.0,
        "start_bar": 10,
        "end_bar": 20,
        "alignment": "nominal",
    }
    assert len({tuple(row["source"])[:7] for row in rows}) == 1
    (tmp_path / "list.json").write_text(json.dumps(rows))
    assert read_records(tmp_path / "list.json") == RECORDS


def test_pyarrow_opens_both(tmp_path: Path) -> None:
    import pyarrow.json
    import pyarrow.parquet

    lines = pyarrow.json.read_json(write_records(tmp_path / "qa.jsonl", RECORDS))
    table = pyarrow.parquet.read_table(write_records(tmp_path / "qa.parquet", RECORDS))
    assert lines.num_rows == table.num_rows == 3
    assert lines["conversations"].to_pylist() == table["conversations"].to_pylist()
    assert lines["clip"].to_pylist() == table["clip"].to_pylist()
    assert [json.loads(row)["answer"] for row in table["source"].to_pylist()] == [
        "music21",
        None,
        None,
    ]


def test_datasets_opens_both(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    for kind, name in (("json", "qa.jsonl"), ("parquet", "qa.parquet")):
        path = write_records(tmp_path / name, RECORDS)
        found = datasets.load_dataset(
            kind, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
        )
        assert found["id"][:] == ["0", "1", "2"]
        assert found[2]["clip"]["start_bar"] == 10
        assert found[0]["conversations"][1]["value"] == RECORDS[0].answer


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_records(tmp_path / "qa.jsonl", RECORDS)

    def broken():
        yield RECORDS[0]
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        write_records(path, broken())
    assert read_records(path) == RECORDS
    assert [file.name for file in tmp_path.iterdir()] == ["qa.jsonl"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{broken", "cannot be read"),
        ('{"id": "1"}', "row 1"),
        (
            '{"id": "1", "midi": "a", "conversations": [{"from": "gpt", "value": "x"},'
            ' {"from": "human", "value": "y"}]}',
            "a question of human",
        ),
    ],
)
def test_bad_rows_are_errors_with_their_place(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "qa.jsonl").write_text(text + "\n")
    with pytest.raises(MusicZooError, match=reason) as error:
        list(iterate_records(tmp_path / "qa.jsonl"))
    assert error.value.path == str(tmp_path / "qa.jsonl")
    with pytest.raises(MusicZooError, match="cannot be read"):
        read_records(tmp_path / "missing.jsonl")
