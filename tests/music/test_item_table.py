"""Tables in the cache that are made item by item."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from musiczoo.music.errors import MusicZooError
from musiczoo.music.item_table import ItemTable, making, rows_in_order
from musiczoo.music.parquet_cache import path_of_key, read_note, read_table, write_table
from musiczoo.music.workers import WorkerPool

SCHEMA = pa.schema([("item", pa.string()), ("state", pa.int64()), ("square", pa.int64())])
NOTE = {"of": "numbers"}


def squares() -> Callable[[int], list[dict]]:
    return lambda item: [{"item": str(item), "state": item, "square": item * item}]


def pool() -> WorkerPool[int, list[dict]]:
    return WorkerPool(squares, (), lambda item: [], workers=1)


@pytest.fixture
def table(tmp_path: Path) -> ItemTable:
    path = path_of_key(tmp_path, "numbers", ["key"])
    return ItemTable(path, SCHEMA, "item", ("state",), NOTE)


def parts(table: ItemTable, items: list[int]) -> list[pa.Table]:
    return table.make_parts(items, lambda n: (str(n), n), pool(), chunk=2, show=lambda count: None)


def test_parts_are_resumed_as_far_as_items_have_not_changed(table: ItemTable) -> None:
    made = parts(table, [1, 2, 3])
    assert [part.num_rows for part in made] == [2, 1]
    assert len(list(table.parts.iterdir())) == 2
    tables, done = table.resumed({"1": (1,), "2": (20,), "3": (3,)})
    assert done == {"1", "3"}
    assert sorted(pa.concat_tables(tables)["square"].to_pylist()) == [1, 9]


def test_the_whole_table_replaces_its_parts(table: ItemTable) -> None:
    whole = pa.concat_tables(parts(table, [3, 1, 2]))
    table.write(rows_in_order(whole, "item", ["1", "2", "3"]))
    assert not table.parts.exists()
    stored = table.stored()
    assert stored is not None
    assert stored["square"].to_pylist() == [1, 4, 9]
    assert read_note(table.path) == NOTE
    assert table.unchanged(stored, {"2": (2,)})["square"].to_pylist() == [4]
    assert table.unchanged(None, {}).num_rows == 0


def test_stale_tables_of_the_same_name_are_removed(table: ItemTable) -> None:
    same, other = (path_of_key(table.path.parent, "numbers", key) for key in ("a", "b"))
    further = path_of_key(table.path.parent, "numbers-2", "c")
    for path, note in ((table.path, NOTE), (same, NOTE), (other, {"of": "x"}), (further, NOTE)):
        write_table(SCHEMA.empty_table(), path, note)
    half = table.path.with_name(".numbers.part")
    half.write_bytes(b"")
    os.utime(half, (0, 0))
    table.remove_stale(lambda note: note == NOTE)
    assert sorted(table.path.parent.iterdir()) == sorted([table.path, other, further])


def test_damaged_and_foreign_files(table: ItemTable, caplog: pytest.LogCaptureFixture) -> None:
    table.path.write_bytes(b"PAR1")
    assert table.stored() is None
    assert "made again" in caplog.text
    assert read_note(table.path) == {}
    write_table(pa.table({"other": [1]}), table.path, NOTE)
    with pytest.raises(MusicZooError, match="another format"):
        read_table(table.path, SCHEMA)


def test_errors_name_what_is_kept(table: ItemTable) -> None:
    with (
        pytest.raises(MusicZooError, match=r"No space.*continues from what was counted"),
        making(table.path, "counted"),
    ):
        raise OSError(28, "No space left on device")
