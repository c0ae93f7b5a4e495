r"""Questions and answers about pieces: JSON lines in LLaVA's conversation layout, and Parquet.

A row of the JSON lines (Liu et al. 2023, LLaVA, arXiv 2304.08485)::

    {"id": "aird/aird1.abc#3:mode:0", "midi": "aird/aird1.abc#3", "clip": null, "task": "qa",
     "tag": "mode", "conversations": [{"from": "human", "value": "<music>\nIs it major or minor?"},
     {"from": "gpt", "value": "It is in major."}],
     "source": {"answer": "the K: field", "dataset": "aird", "split": "train"}}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

from musiczoo.music.atomic import atomic_stream
from musiczoo.music.errors import MusicZooError

MUSIC = "<music>"
"""Stands for the piece in a question, as LLaVA's ``<image>`` stands for the picture."""

SOURCE_KEYS = ("answer", "quote", "title", "composer", "dataset", "piece", "split")
"""What a source may state; other keys may follow."""

Task = Literal["qa", "caption"]
_ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class Clip:
    """A part of a piece.

    Attributes:
        start_s: Where it begins, in seconds.
        end_s: Where it ends.
        start_bar: Its first bar, from 0.
        end_bar: The bar after its last.
        alignment: ``"score"`` where bars are those of the music, ``"nominal"`` where a file has a
            constant tempo and meter that say nothing (transcriptions such as GiantMIDI-Piano's), or
            ``"time"`` where a bar is longer than the clip.
    """

    start_s: float
    end_s: float
    start_bar: int
    end_bar: int
    alignment: Literal["score", "nominal", "time"] = "score"


@dataclass(frozen=True)
class QARecord:
    """A question about a piece with its answer.

    Attributes:
        id: Unique in a set.
        midi: Path of the piece, or the id of a work of a corpus.
        question: Without the mark of the music.
        answer: The answer.
        tag: What is asked about, such as ``"mode"`` or ``"genre"``.
        task: ``"qa"``, or ``"caption"`` for a description.
        source: ``answer`` says where the answer comes from, ``quote`` quotes it; ``title``,
            ``composer``, ``dataset``, ``piece`` (the file of which ``midi`` is a clip) and
            ``split`` where they are known, and whatever else is.
        clip: The part of the piece that is meant; None for the whole.
    """

    id: str
    midi: str
    question: str
    answer: str
    tag: str
    task: Task = "qa"
    source: Mapping[str, Any] = field(default_factory=dict)
    clip: Clip | None = None

    def to_row(self) -> dict[str, Any]:
        """The record in LLaVA's layout, as plain JSON values."""
        return {
            "id": self.id,
            "midi": self.midi,
            "clip": None if self.clip is None else dict(vars(self.clip)),
            "task": self.task,
            "tag": self.tag,
            "conversations": [
                {"from": "human", "value": f"{MUSIC}\n{self.question}"},
                {"from": "gpt", "value": self.answer},
            ],
            "source": dict(self.source),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> QARecord:
        """The record of a row in LLaVA's layout.

        Raises:
            MusicZooError: Something is missing, or is not one question and one answer.
        """
        try:
            human, gpt = row["conversations"]
            if (human["from"], gpt["from"]) != ("human", "gpt"):
                raise ValueError("a conversation is a question of human and an answer of gpt")
            question = str(human["value"]).replace(MUSIC, "").strip()
            clip = row.get("clip")
            return cls(
                id=str(row["id"]),
                midi=str(row["midi"]),
                question=question,
                answer=str(gpt["value"]),
                tag=str(row.get("tag") or ""),
                task=row.get("task") or "qa",
                source={
                    key: value
                    for key, value in (row.get("source") or {}).items()
                    if value is not None
                },
                clip=Clip(**clip) if clip else None,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise MusicZooError(
                f"This is no row of questions and answers: {type(error).__name__}: {error}.",
                remedy="Give id, midi and conversations, as LLaVA has them.",
            ) from error


def write_records(path: str | Path, records: Iterable[QARecord]) -> Path:
    """Writes records as JSON lines, or as Parquet where the name ends so.

    Records are written as they come, so a generator of millions needs little memory. Both files are
    opened by ``datasets.load_dataset("json", data_files=...)`` or ``"parquet"``. The sources of all
    rows have the keys :data:`SOURCE_KEYS`, null where nothing is known.

    Raises:
        MusicZooError: The file cannot be written.
    """
    path = Path(path)
    rows = (_uniform(record.to_row()) for record in records)
    with atomic_stream(path) as stream:
        if path.suffix == ".parquet":
            _write_parquet(stream, rows)
        else:
            for row in rows:
                stream.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
    return path


def read_records(path: str | Path) -> list[QARecord]:
    """The records of a file that :func:`write_records` wrote, or of LLaVA's JSON list.

    Raises:
        MusicZooError: The file cannot be read, or a row is no question and answer.
    """
    return list(iterate_records(path))


def iterate_records(path: str | Path) -> Iterator[QARecord]:
    """The records of :func:`read_records` one by one.

    Raises:
        MusicZooError: As there.
    """
    path = Path(path)
    for number, row in enumerate(_rows(path), 1):
        try:
            yield QARecord.from_row(row)
        except MusicZooError as error:
            raise error.at(path=path, where=f"row {number}") from None


def _uniform(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose source has all common keys: readers of JSON infer types from the first rows."""
    return {**row, "source": dict.fromkeys(SOURCE_KEYS) | row["source"]}


def _write_parquet(stream: BinaryIO, rows: Iterator[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = pa.string()
    clip = {"start_s": pa.float64(), "end_s": pa.float64(), "start_bar": pa.int64()}
    turn = pa.struct({"from": text, "value": text})
    schema = pa.schema(
        {
            **dict.fromkeys(("id", "midi"), text),
            "clip": pa.struct({**clip, "end_bar": pa.int64(), "alignment": text}),
            **dict.fromkeys(("task", "tag"), text),
            "conversations": pa.list_(turn),
            # What a source says differs from row to row, and Parquet has one type for a column.
            "source": text,
        }
    )
    with pq.ParquetWriter(stream, schema) as writer:
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            plain = [
                {**row, "source": json.dumps(row["source"], ensure_ascii=False)} for row in some
            ]
            writer.write_table(pa.Table.from_pylist(plain, schema))


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            for batch in pq.ParquetFile(path).iter_batches():
                for row in batch.to_pylist():
                    yield {**row, "source": json.loads(row["source"])}
            return
        # Only line feeds end a line: a text may hold U+2028, at which str.splitlines would cut.
        with path.open(encoding="utf-8", newline="\n") as stream:
            if stream.read(1) == "[":
                stream.seek(0)
                yield from json.load(stream)
                return
            stream.seek(0)
            for line in stream:
                if line.strip():
                    yield json.loads(line)
    except (OSError, ValueError) as error:
        raise MusicZooError(
            f"The questions cannot be read: {error}",
            path=path,
            remedy="Give JSON lines or Parquet in LLaVA's conversation layout.",
        ) from error
