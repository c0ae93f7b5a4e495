"""What a preference round makes, in Parquet, so that a run that was killed anywhere goes on without making it again.

==========================
======================================================================================================
plan.json                   what the round is of: prompts, numbers, sampling, seed, and a digest of
the policy that writes the pieces samples/00012.parquet       a few generated pieces, as they come
samples.parquet             all pieces with scores, reasons and roles sequences.parquet
the pieces that are trained on, as tensors (cropped where they were too long), with the reference
policy's
                            log-probabilities
pairs.parquet               which pieces are compared, in the order in which they were drawn
report.json                 scores and counts, for people to read ==========================
======================================================================================================
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from musiczoo.models.base.generative import Generated
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels

_TENSOR = [("data", pa.binary()), ("shape", pa.list_(pa.int64())), ("dtype", pa.string())]
_LABELS = [("period", pa.string()), ("composer", pa.string()), ("instrumentation", pa.string())]
_PIECE = [("number", pa.int64()), *_LABELS, ("text", pa.string()), ("stop", pa.string()), *_TENSOR]
_SAMPLES = pa.schema(_PIECE)
_SCORED = pa.schema(
    [
        *_PIECE,
        ("score", pa.float64()),
        ("nearest", pa.float64()),
        ("reason", pa.string()),
        ("role", pa.string()),
    ]
)
_SEQUENCES = pa.schema(
    [("number", pa.int64()), ("crop", pa.int64()), *_TENSOR, ("reference", pa.float64())]
)
_REMEDY = "Delete the round's folder; it is made again."
_PAIRS = pa.schema([("chosen", pa.int64()), ("rejected", pa.int64())])


@dataclass(frozen=True)
class Sample:
    """One generated piece of a round.

    Attributes:
        number: Unique in its round.
        result: The piece.
        score: Of the reward, NaN for none.
        nearest: Largest similarity with a real work, NaN where it is not known.
        reason: Why it has no score, or is no example.
        role: ``"chosen"``, ``"rejected"`` or ``""``.
    """

    number: int
    result: Generated
    score: float = float("nan")
    nearest: float = float("nan")
    reason: str | None = None
    role: str = ""


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


class RoundFiles:
    """The folder of one round.

    Args:
        folder: The folder; made when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def claim(self, plan: Mapping[str, Any]) -> None:
        """Writes what the round is of, or makes sure that the folder holds the same round.

        Raises:
            MusicZooError: The folder holds another round.
        """
        path = self.folder / "plan.json"
        text = json.dumps(plan, indent=1, sort_keys=True, ensure_ascii=False)
        if path.is_file():
            held = _json(path)
            wanted = json.loads(text)
            if other := sorted(
                name for name in {*held, *wanted} if held.get(name) != wanted.get(name)
            ):
                raise MusicZooError(
                    f"The folder holds a round of another run: {', '.join(other)} differ.",
                    path=self.folder,
                    remedy="Give another folder, or delete this one to begin anew.",
                )
            return
        (self.folder / "samples").mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())

    def chunk(self, index: int) -> list[Sample] | None:
        """The pieces of a chunk; None when it has not been made."""
        path = self._chunk(index)
        return [_sample(row) for row in _rows(path, _SAMPLES)] if path.is_file() else None

    def write_chunk(self, index: int, samples: Sequence[Sample]) -> None:
        """Keeps the pieces of a chunk."""
        self._chunk(index).parent.mkdir(parents=True, exist_ok=True)
        _write(self._chunk(index), _SAMPLES, [_piece_row(sample) for sample in samples])

    def _chunk(self, index: int) -> Path:
        return self.folder / "samples" / f"{index:05d}.parquet"

    def samples(self) -> list[Sample]:
        """All pieces with scores and roles."""
        return [
            replace(
                _sample(row),
                score=row["score"],
                nearest=row["nearest"],
                reason=row["reason"],
                role=row["role"],
            )
            for row in _rows(self.folder / "samples.parquet", _SCORED)
        ]

    def write_samples(self, samples: Sequence[Sample]) -> None:
        """Keeps all pieces with scores and roles."""
        rows = [
            {
                **_piece_row(sample),
                **{name: getattr(sample, name) for name in ("score", "nearest", "reason", "role")},
            }
            for sample in samples
        ]
        _write(self.folder / "samples.parquet", _SCORED, rows)

    def write_training(
        self, sequences: Sequence[TrainedPiece], pairs: Sequence[tuple[int, int]]
    ) -> None:
        """Keeps what is trained on.

        ``pairs`` are places in ``sequences``; they are written last, so that they stand for the
        whole.
        """
        rows = [
            {"number": s.number, "crop": s.crop, **_tensor_row(s.tokens), "reference": s.reference}
            for s in sequences
        ]
        _write(self.folder / "sequences.parquet", _SEQUENCES, rows)
        _write(
            self.folder / "pairs.parquet",
            _PAIRS,
            [{"chosen": chosen, "rejected": rejected} for chosen, rejected in pairs],
        )

    def is_complete(self) -> bool:
        """Whether the round can be trained on."""
        return all(
            (self.folder / name).is_file() for name in ("sequences.parquet", "pairs.parquet")
        )

    def training(self) -> tuple[list[TrainedPiece], list[tuple[int, int]]]:
        """What :meth:`write_training` kept."""
        rows = _rows(self.folder / "sequences.parquet", _SEQUENCES)
        sequences = [
            TrainedPiece(row["number"], row["crop"], _tensor(row), row["reference"]) for row in rows
        ]
        return sequences, [
            (row["chosen"], row["rejected"]) for row in _rows(self.folder / "pairs.parquet", _PAIRS)
        ]

    def write_report(self, report: Mapping[str, Any]) -> None:
        """Keeps what there is to say of the round."""
        write_atomically(
            self.folder / "report.json",
            json.dumps(_without_nan(report), indent=1, ensure_ascii=False).encode(),
        )

    def report(self) -> dict[str, Any] | None:
        """What :meth:`write_report` kept; None when it was not called."""
        path = self.folder / "report.json"
        return _json(path, _with_nan) if path.is_file() else None

    def digest(self) -> str:
        """SHA-256 of what is trained on."""
        content = [
            (self.folder / name).read_bytes() for name in ("sequences.parquet", "pairs.parquet")
        ]
        return hashlib.sha256(b"".join(content)).hexdigest()


def _piece_row(sample: Sample) -> dict[str, Any]:
    labels = sample.result.labels
    return {
        "number": sample.number,
        **{name: None if labels is None else getattr(labels, name) for name, _ in _LABELS},
        "text": sample.result.text,
        "stop": sample.result.stop,
        **_tensor_row(sample.result.tokens),
    }


def _sample(row: Mapping[str, Any]) -> Sample:
    tokens = _tensor(row)
    labels = None if row["period"] is None else Labels(*(row[name] for name, _ in _LABELS))
    unknown = torch.zeros(tokens.shape)
    return Sample(
        row["number"],
        Generated(None, row["text"], tokens, unknown, unknown.bool(), row["stop"], None, labels),
    )


def _tensor_row(value: Tensor) -> dict[str, Any]:
    array = value.detach().cpu().contiguous().numpy()
    return {"data": array.tobytes(), "shape": list(array.shape), "dtype": str(array.dtype)}


def _tensor(row: Mapping[str, Any]) -> Tensor:
    return torch.from_numpy(
        np.frombuffer(row["data"], dtype=np.dtype(row["dtype"])).reshape(row["shape"]).copy()
    )


def _json(
    path: Path, hook: Callable[[dict[str, Any]], dict[str, Any]] | None = None
) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"), object_hook=hook)
    except (OSError, ValueError) as error:
        raise MusicZooError(
            f"The round's file cannot be read: {error}.", path=path, remedy=_REMEDY
        ) from error
    if not isinstance(content, dict):
        raise MusicZooError("The round's file has another format.", path=path, remedy=_REMEDY)
    return content


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nan(item) for name, item in value.items()}
    # JSON has no NaN.
    return None if isinstance(value, float) and math.isnan(value) else value


def _with_nan(part: dict[str, Any]) -> dict[str, Any]:
    return {**part, "score": math.nan} if part.get("score", 0.0) is None else part


def _rows(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise MusicZooError(
            f"The round's file cannot be read: {error}.", path=path, remedy=_REMEDY
        ) from error
    if not table.schema.equals(schema):
        raise MusicZooError("The round's file has another format.", path=path, remedy=_REMEDY)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _write(path: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), buffer, compression="zstd")
    write_atomically(path, buffer.getvalue())
