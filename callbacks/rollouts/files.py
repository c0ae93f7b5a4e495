"""What a run of rollouts leaves on disk, so that it can be looked at, listened to, and resumed.

===========================
=====================================================================================================
plan.json                    what the run is of: numbers, prompts, reward, sampling, seed, and a
digest of the policy it began with reference.safetensors        the weights of that policy, where
the objective asks for a reference and there is no adapter reports.json                 what there
is to say of each step steps/00012.parquet          the completions of a step: prompt, text, tokens,
reward, its details, advantage, reason steps/00012/03-5.mid, .flac  completion 5 of prompt 3, to
listen to previews/00012/              the best, the middle and the worst completion of a step
===========================
=====================================================================================================
"""

from __future__ import annotations

import io
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError

_SCHEMA = pa.schema(
    [
        ("step", pa.int64()),
        ("number", pa.int64()),
        ("group", pa.int64()),
        ("prompt", pa.string()),
        ("text", pa.string()),
        ("data", pa.binary()),
        ("shape", pa.list_(pa.int64())),
        ("dtype", pa.string()),
        ("sampled", pa.int64()),
        ("stop", pa.string()),
        ("log_prob", pa.float64()),
        ("kl", pa.float64()),
        ("reward", pa.float64()),
        ("advantage", pa.float64()),
        ("details", pa.map_(pa.string(), pa.float64())),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class Completion:
    """One completion of a rollout step.

    Attributes:
        number: Unique in its step.
        group: Number of its prompt.
        prompt: For people to read.
        text: Prompt and completion as the representation decodes them.
        tokens: Of prompt and completion, in the representation's layout.
        stop: Why it stopped.
        completion: (targets,) bool, True for what was sampled.
        log_probs: (targets,) of the policy that sampled, 0 elsewhere.
        reward: NaN for none.
        reason: Why it has no reward.
        details: Further numbers of the reward.
        kl: Estimated divergence from the reference a sampled target, in nats; NaN where it was not
            computed.
        advantage: Over its group.
    """

    number: int
    group: int
    prompt: str
    text: str
    tokens: Tensor
    stop: str
    completion: Tensor
    log_probs: Tensor
    reward: float = math.nan
    reason: str | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    kl: float = math.nan
    advantage: float = 0.0


class RolloutFiles:
    """The folder of a run.

    Args:
        folder: The folder; made when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def reference(self) -> Path:
        """Where the reference policy is kept."""
        return self.folder / "reference.safetensors"

    def claim(self, plan: Mapping[str, Any]) -> None:
        """Writes what the run is of, or makes sure that the folder holds the same run.

        Raises:
            MusicZooError: The folder holds another run, or cannot be written to.
        """
        path = self.folder / "plan.json"
        text = json.dumps(plan, indent=1, sort_keys=True, ensure_ascii=False)
        if path.is_file():
            held, wanted = _json(path), json.loads(text)
            if other := sorted(
                name for name in {*held, *wanted} if held.get(name) != wanted.get(name)
            ):
                raise MusicZooError(
                    f"The folder holds the rollouts of another run: {', '.join(other)} differ.",
                    path=self.folder,
                    remedy="Give another folder, or delete this one to begin anew.",
                )
            return
        _make(self.folder)
        write_atomically(path, text.encode())

    def forget_after(self, step: int) -> None:
        """Removes what a run that was killed has left of later steps; they are made again."""
        for kind in ("steps", "previews"):
            for path in sorted((self.folder / kind).glob("[0-9]*")):
                if path.stem.isdigit() and int(path.stem) > step:
                    if path.is_dir():
                        shutil.rmtree(path)
                    else:
                        path.unlink()

    def write_step(self, step: int, completions: Sequence[Completion]) -> None:
        """Keeps the completions of a step."""
        rows = [_row(step, completion) for completion in completions]
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), buffer, compression="zstd")
        path = self.folder / "steps" / f"{step:05d}.parquet"
        _make(path.parent)
        write_atomically(path, buffer.getvalue())

    def step(self, step: int) -> list[dict[str, Any]]:
        """The completions of a step as rows, with ``tokens`` as a tensor and ``details`` as a mapping.

        Raises:
            MusicZooError: The step was not kept, or its file is damaged.
        """
        path = self.folder / "steps" / f"{step:05d}.parquet"
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise MusicZooError(
                f"The completions of step {step} cannot be read: {error}.", path=path
            ) from error
        if not table.schema.equals(_SCHEMA):
            raise MusicZooError(
                "The file has another format.",
                path=path,
                remedy="Read it with the version that wrote it.",
            )
        rows = []
        for row in table.to_pylist():
            data, shape, dtype = (row.pop(name) for name in ("data", "shape", "dtype"))
            tokens = torch.from_numpy(
                np.frombuffer(data, dtype=np.dtype(dtype)).reshape(shape).copy()
            )
            rows.append({**row, "tokens": tokens, "details": dict(row["details"])})
        return rows

    def steps(self) -> list[int]:
        """Numbers of the steps whose completions are kept."""
        return sorted(
            int(path.stem)
            for path in (self.folder / "steps").glob("*.parquet")
            if path.stem.isdigit()
        )

    def media(self, step: int, preview: bool = False) -> Path:
        """The folder of a step's MIDI and sound, made if it is not there."""
        return _make(self.folder / ("previews" if preview else "steps") / f"{step:05d}")

    def write_reports(self, reports: Sequence[Mapping[str, Any]]) -> None:
        """Keeps the reports of all steps so far."""
        _make(self.folder)
        write_atomically(
            self.folder / "reports.json",
            json.dumps(_without_nan(list(reports)), indent=1, ensure_ascii=False).encode(),
        )


def _row(step: int, completion: Completion) -> dict[str, Any]:
    array = completion.tokens.contiguous().numpy()
    return {
        "step": step,
        "number": completion.number,
        "group": completion.group,
        "prompt": completion.prompt,
        "text": completion.text,
        "data": array.tobytes(),
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "sampled": int(completion.completion.sum()),
        "stop": completion.stop,
        "log_prob": float(completion.log_probs.double().sum()),
        "kl": completion.kl,
        "reward": completion.reward,
        "advantage": completion.advantage,
        "details": list(completion.details.items()),
        "reason": completion.reason,
    }


def _make(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MusicZooError(
            f"The folder of the rollouts cannot be made: {error.strerror}.",
            path=folder,
            remedy="Give another folder=.",
        ) from error
    return folder


def _json(path: Path) -> dict[str, Any]:
    remedy = "Delete the folder to begin anew, or give another."
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise MusicZooError(
            f"The run's file cannot be read: {error}.", path=path, remedy=remedy
        ) from error
    if not isinstance(content, dict):
        raise MusicZooError("The run's file has another format.", path=path, remedy=remedy)
    return content


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    # JSON has no NaN.
    return None if isinstance(value, float) and not math.isfinite(value) else value
