"""The files of a run of rollouts, to examine, to listen to, and to resume from.

===========================  ======================================================================
plan.json                    settings, prompts, reward, seed, and a digest of the first policy
reference.safetensors        the first policy's weights, where the reference is no adapter's base
reports.json                 the report of each step
steps/00012.parquet          the completions of a step: prompt, text, tokens, reward, its details,
                             advantage, reason
steps/00012/03-5.mid, .flac  completion 5 of prompt 3, to listen to
previews/00012/              the best, the middle and the worst completion of a step
===========================  ======================================================================
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from musiczoo.callbacks.rollouts.completions import Completion
from musiczoo.callbacks.run_folder import TENSOR, RunFolder, row_tensor, tensor_row

__all__ = ["Completion", "RolloutFiles"]

_SCHEMA = pa.schema(
    [
        ("step", pa.int64()),
        ("number", pa.int64()),
        ("group", pa.int64()),
        ("prompt", pa.string()),
        ("text", pa.string()),
        *TENSOR,
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


class RolloutFiles(RunFolder):
    """The folder of a run of rollouts.

    Args:
        folder: The folder; created when something is first written.
    """

    holds: ClassVar[str] = "the rollouts"

    @property
    def reference(self) -> Path:
        """Where the reference policy is kept."""
        return self.folder / "reference.safetensors"

    def forget_after(self, step: int) -> None:
        """Removes what a killed run has left of later steps, which will be made again."""
        for kind in ("steps", "previews"):
            for path in sorted((self.folder / kind).glob("[0-9]*")):
                if path.stem.isdigit() and int(path.stem) > step:
                    if path.is_dir():
                        shutil.rmtree(path)
                    else:
                        path.unlink()

    def write_step(self, step: int, completions: Sequence[Completion]) -> None:
        """Keeps the completions of a step."""
        self.write_table(self._step(step), _SCHEMA, [_row(step, one) for one in completions])

    def step(self, step: int) -> list[dict[str, Any]]:
        """The completions of a step as rows, ``tokens`` as a tensor and ``details`` as a mapping.

        Raises:
            MusicZooError: The step was not kept, or its file is damaged.
        """
        rows = []
        remedy = "Read another step; the run itself does not need the file."
        for row in self.read_table(self._step(step), _SCHEMA, remedy=remedy):
            tensor = {name: row.pop(name) for name, _ in TENSOR}
            rows.append({**row, "tokens": row_tensor(tensor), "details": dict(row["details"])})
        return rows

    def steps(self) -> list[int]:
        """Numbers of the steps whose completions are kept."""
        return sorted(
            int(path.stem)
            for path in (self.folder / "steps").glob("*.parquet")
            if path.stem.isdigit()
        )

    def media(self, step: int, preview: bool = False) -> Path:
        """The folder of a step's MIDI and sound, created where it is missing."""
        return self.make(self.folder / ("previews" if preview else "steps") / f"{step:05d}")

    def write_reports(self, reports: Sequence[Mapping[str, Any]]) -> None:
        """Keeps the reports of all steps so far."""
        self.write_json(self.folder / "reports.json", list(reports))

    def _step(self, step: int) -> Path:
        return self.folder / "steps" / f"{step:05d}.parquet"


def _row(step: int, completion: Completion) -> dict[str, Any]:
    return {
        "step": step,
        "number": completion.number,
        "group": completion.group,
        "prompt": completion.prompt,
        "text": completion.text,
        **tensor_row(completion.tokens),
        "sampled": int(completion.completion.sum()),
        "stop": completion.stop,
        "log_prob": float(completion.log_probs.double().sum()),
        "kl": completion.kl,
        "reward": completion.reward,
        "advantage": completion.advantage,
        "details": list(completion.details.items()),
        "reason": completion.reason,
    }
