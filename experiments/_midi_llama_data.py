"""Data of the MIDI-LLaMA experiment: questions about the works of four corpora, by split."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from musiczoo.datamodules import ScoreDataModule
from musiczoo.llm.notation_qa import notation_records
from musiczoo.llm.records import QARecord, read_records, write_records
from musiczoo.music.abc.bare import bare_abc
from musiczoo.music.abc.cleaning import clean
from musiczoo.representations.octuple import OctupleMidi
from musiczoo.representations.text_tokens import TextTokens

CORPUS = ["bach-chorales", "ryan", "oneill", "aird"]
#: Those of configs/musicbert/shipped.yaml: the encoder has not seen the test works.
FRACTIONS = {"val_fraction": 0.05, "test_fraction": 0.1}


def corpus() -> ScoreDataModule:
    data = ScoreDataModule(CORPUS, OctupleMidi(), progress=False, **FRACTIONS)
    data.setup()
    return data


def questions(folder: Path) -> list[QARecord]:
    """The questions of all splits, written once to ``questions.jsonl``."""
    file = folder / "questions.jsonl"
    if not file.is_file():
        data = corpus()
        records = [
            record
            for split, indices in data.splits._asdict().items()
            for record in notation_records([data.works[index] for index in indices], split)
        ]
        write_records(file, records)
    return read_records(file)


def of_split(records: list[QARecord], split: str) -> list[QARecord]:
    return [record for record in records if record.source["split"] == split]


def texts_of(records: list[QARecord]) -> list[str]:
    """Questions and answers as the model reads and writes them, without music."""
    return [f"\nQuestion: {record.question}\nAnswer: {record.answer}" for record in records]


def tokens_of(records: list[QARecord], size: int) -> TextTokens:
    """Byte-level BPE of the questions and answers of training and of its works' bare ABC."""
    data = corpus()
    some = random.Random(0).sample(data.splits.train, 800)
    tunes = [bare_abc(clean(data.works[index].tune)) for index in some]
    return TextTokens.train([*texts_of(of_split(records, "train")), *tunes], vocabulary=size)


def without_music(records: list[QARecord]) -> list[QARecord]:
    return [replace(record, midi="") for record in records]
