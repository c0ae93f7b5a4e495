"""The files of a preference round, so that a run that was killed anywhere makes nothing twice.

======================  ===========================================================================
plan.json               settings, prompts, number, and a digest of the policy that samples
samples/00012.parquet   a few generated pieces, written as soon as they are sampled
samples.parquet         all pieces with scores, reasons and roles
sequences.parquet       the pieces that are trained on, as tensors (cropped where they were too
                        long), with the reference policy's log-probabilities
pairs.parquet           which pieces are compared, in the order in which they were drawn
report.json             scores and counts, for people to read
======================  ===========================================================================

The prompt of a piece is a JSON text (:func:`musiczoo.callbacks.prompts.records.prompt_record`).
Files of version 0.1, which had three columns for labels instead, are read too.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import torch
from torch import Tensor

from musiczoo.callbacks.prompts.records import prompt_record, recorded_prompt
from musiczoo.callbacks.run_folder import TENSOR, RunFolder, row_tensor, tensor_row
from musiczoo.models.base.generative import Generated

_NUMBER = ("number", pa.int64())
_TEXT = [("text", pa.string()), ("stop", pa.string()), *TENSOR]
_SCORE = [
    ("score", pa.float64()),
    ("nearest", pa.float64()),
    ("reason", pa.string()),
    ("role", pa.string()),
]
_PIECE = [_NUMBER, ("prompt", pa.string()), *_TEXT]
_SAMPLES, _SCORED = pa.schema(_PIECE), pa.schema([*_PIECE, *_SCORE])
_LABELS = ("period", "composer", "instrumentation")
_OLD_PIECE = [_NUMBER, *((name, pa.string()) for name in _LABELS), *_TEXT]
_OLD_SAMPLES, _OLD_SCORED = pa.schema(_OLD_PIECE), pa.schema([*_OLD_PIECE, *_SCORE])
_SEQUENCES = pa.schema([_NUMBER, ("crop", pa.int64()), *TENSOR, ("reference", pa.float64())])
_PAIRS = pa.schema([("chosen", pa.int64()), ("rejected", pa.int64())])


@dataclass(frozen=True)
class Sample:
    """One generated piece of a round.

    Attributes:
        number: Unique in its round.
        result: The piece; its ``prompt`` is the one that was drawn.
        score: Of the reward, NaN for none.
        nearest: Largest similarity with a real work, NaN where it is not known.
        reason: Why it has no score, or is no example.
        role: ``"chosen"``, ``"rejected"`` or ``""``.
        details: Further numbers of the reward; files keep ``nearest`` alone.
    """

    number: int
    result: Generated
    score: float = float("nan")
    nearest: float = float("nan")
    reason: str | None = None
    role: str = ""
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainedPiece:
    """A piece as it is trained on.

    Attributes:
        number: Of its sample.
        crop: Number of the crop.
        tokens: As the representation encodes it.
        reference: Summed log-probability under the reference policy, in nats.
    """

    number: int
    crop: int
    tokens: Tensor
    reference: float


class RoundFiles(RunFolder):
    """The folder of one round.

    Args:
        folder: The folder; created when something is first written.
    """

    holds: ClassVar[str] = "a round"
    remedy: ClassVar[str] = "Delete the round's folder; it is made again."

    def chunk(self, index: int) -> list[Sample] | None:
        """The pieces of a chunk; None when it has not been made."""
        path = self._chunk(index)
        if not path.is_file():
            return None
        return [_sample(row) for row in self.read_table(path, _SAMPLES, _OLD_SAMPLES)]

    def write_chunk(self, index: int, samples: Sequence[Sample]) -> None:
        """Keeps the pieces of a chunk."""
        self.write_table(self._chunk(index), _SAMPLES, [_piece_row(sample) for sample in samples])

    def _chunk(self, index: int) -> Path:
        return self.folder / "samples" / f"{index:05d}.parquet"

    def samples(self) -> list[Sample]:
        """All pieces with scores and roles."""
        rows = self.read_table(self.folder / "samples.parquet", _SCORED, _OLD_SCORED)
        return [replace(_sample(row), **{name: row[name] for name, _ in _SCORE}) for row in rows]

    def write_samples(self, samples: Sequence[Sample]) -> None:
        """Keeps all pieces with scores and roles."""
        rows = [
            {**_piece_row(sample), **{name: getattr(sample, name) for name, _ in _SCORE}}
            for sample in samples
        ]
        self.write_table(self.folder / "samples.parquet", _SCORED, rows)

    def write_training(
        self, sequences: Sequence[TrainedPiece], pairs: Sequence[tuple[int, int]]
    ) -> None:
        """Keeps what is trained on.

        Args:
            sequences: The pieces.
            pairs: Places in ``sequences``, of the chosen and of the rejected piece. They are
                written last, so that they stand for the whole.
        """
        rows = [
            {"number": s.number, "crop": s.crop, **tensor_row(s.tokens), "reference": s.reference}
            for s in sequences
        ]
        self.write_table(self._sequences, _SEQUENCES, rows)
        self.write_table(
            self._pairs,
            _PAIRS,
            [{"chosen": chosen, "rejected": rejected} for chosen, rejected in pairs],
        )

    @property
    def _sequences(self) -> Path:
        return self.folder / "sequences.parquet"

    @property
    def _pairs(self) -> Path:
        return self.folder / "pairs.parquet"

    def is_complete(self) -> bool:
        """Whether the round can be trained on."""
        return self._sequences.is_file() and self._pairs.is_file()

    def training(self) -> tuple[list[TrainedPiece], list[tuple[int, int]]]:
        """What :meth:`write_training` kept."""
        sequences = [
            TrainedPiece(row["number"], row["crop"], row_tensor(row), row["reference"])
            for row in self.read_table(self._sequences, _SEQUENCES)
        ]
        pairs = self.read_table(self._pairs, _PAIRS)
        return sequences, [(row["chosen"], row["rejected"]) for row in pairs]

    def write_report(self, report: Mapping[str, Any]) -> None:
        """Keeps the report of the round."""
        self.write_json(self.folder / "report.json", report)

    def report(self) -> dict[str, Any] | None:
        """What :meth:`write_report` kept; None when it was not called."""
        path = self.folder / "report.json"
        return self.read_json(path, _with_nan) if path.is_file() else None

    def digest(self) -> str:
        """SHA-256 of what is trained on."""
        content = [path.read_bytes() for path in (self._sequences, self._pairs)]
        return hashlib.sha256(b"".join(content)).hexdigest()


def _piece_row(sample: Sample) -> dict[str, Any]:
    result = sample.result
    return {
        "number": sample.number,
        "prompt": json.dumps(prompt_record(result.prompt), ensure_ascii=False),
        "text": result.text,
        "stop": result.stop,
        **tensor_row(result.tokens),
    }


def _sample(row: Mapping[str, Any]) -> Sample:
    if "prompt" in row:
        record = json.loads(row["prompt"])
    else:
        record = None if row["period"] is None else [row[name] for name in _LABELS]
    tokens = row_tensor(row)
    unknown = torch.zeros(tokens.shape)
    result = Generated(
        None,
        row["text"],
        tokens,
        unknown,
        unknown.bool(),
        row["stop"],
        prompt=recorded_prompt(record),
    )
    return Sample(row["number"], result)


def _with_nan(part: dict[str, Any]) -> dict[str, Any]:
    return {**part, "score": math.nan} if part.get("score", 0.0) is None else part
