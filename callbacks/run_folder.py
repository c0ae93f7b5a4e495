"""The folder that a callback keeps its run in: a plan that claims it, JSON, and Parquet tables."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import lightning
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError

#: The columns of a tensor, see :func:`tensor_row`.
TENSOR = [("data", pa.binary()), ("shape", pa.list_(pa.int64())), ("dtype", pa.string())]

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def folder_of_run(trainer: lightning.Trainer, folder: str | Path | None = None) -> Path:
    """The folder that was asked for; otherwise the logger's, or the Trainer's default root.

    All processes must call it, because Lightning broadcasts the logger's folder.
    """
    logged = trainer.log_dir
    return Path(folder or logged or trainer.default_root_dir)


class RunFolder:
    """A folder that belongs to one run.

    Args:
        folder: The folder; created when something is first written.

    Attributes:
        holds: What the folder holds, for errors.
        remedy: What to do about a damaged file.
    """

    holds: ClassVar[str] = "the files"
    remedy: ClassVar[str] = "Delete the folder to start again, or give another."

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def claim(self, plan: Mapping[str, Any]) -> None:
        """Writes ``plan.json``, or checks that the folder already holds the same plan.

        Args:
            plan: Everything that decides the contents of the folder, as plain JSON values.

        Raises:
            MusicZooError: The folder holds another run, or cannot be written to.
        """
        path = self.folder / "plan.json"
        text = json.dumps(plan, indent=1, sort_keys=True, ensure_ascii=False)
        if path.is_file():
            held, wanted = self.read_json(path), json.loads(text)
            if other := sorted(
                name for name in {*held, *wanted} if held.get(name) != wanted.get(name)
            ):
                raise MusicZooError(
                    f"The folder holds {self.holds} of another run: {', '.join(other)} differ.",
                    path=self.folder,
                    remedy="Give another folder, or delete this one to start again.",
                )
            return
        self.make(self.folder)
        write_atomically(path, text.encode())

    def claim_together(self, trainer: lightning.Trainer, plan: Mapping[str, Any]) -> None:
        """Claims the folder for all processes of a fit; the first one writes the plan.

        Raises:
            MusicZooError: As :meth:`claim`.
        """
        if trainer.is_global_zero:
            self.claim(plan)
        trainer.strategy.barrier("musiczoo.claim")
        # The processes need not share a disk.
        self.claim(plan)

    def make(self, folder: Path) -> Path:
        """Creates a folder inside the run's, and returns it.

        Raises:
            MusicZooError: It cannot be created.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MusicZooError(
                f"The folder for {self.holds} cannot be created: {error.strerror}.",
                path=folder,
                remedy="Give another folder=.",
            ) from error
        return folder

    def read_json(
        self, path: Path, hook: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        """The object that a JSON file holds.

        Args:
            path: The file.
            hook: Called with each object of the file, innermost first; gives what replaces it.

        Raises:
            MusicZooError: The file is damaged.
        """
        try:
            content = json.loads(path.read_text("utf-8"), object_hook=hook)
        except (OSError, ValueError) as error:
            raise self._unreadable(path, error) from error
        if not isinstance(content, dict):
            raise self._of_another_format(path)
        return content

    def write_json(self, path: Path, content: Any) -> None:
        """Writes JSON for people to read; numbers that are not finite become null."""
        self.make(path.parent)
        text = json.dumps(_without_nan(content), indent=1, ensure_ascii=False)
        write_atomically(path, text.encode())

    def read_table(
        self, path: Path, *schemas: pa.Schema, remedy: str | None = None
    ) -> list[dict[str, Any]]:
        """The rows of a Parquet file that has one of the schemas.

        Args:
            path: The file.
            schemas: Those that are read.
            remedy: What to do about a damaged file, where it is not that of the folder.

        Raises:
            MusicZooError: The file is gone, damaged, or of another schema.
        """
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(path, error, remedy) from error
        if not any(table.schema.equals(schema) for schema in schemas):
            raise self._of_another_format(path, remedy)
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows

    def write_table(self, path: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes rows as a Parquet file, whole or not at all."""
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), buffer, compression="zstd")
        self.make(path.parent)
        write_atomically(path, buffer.getvalue())

    def _unreadable(self, path: Path, error: Exception, remedy: str | None = None) -> MusicZooError:
        return MusicZooError(
            f"A file of {self.holds} cannot be read: {error}.",
            path=path,
            remedy=remedy or self.remedy,
        )

    def _of_another_format(self, path: Path, remedy: str | None = None) -> MusicZooError:
        return MusicZooError(
            f"A file of {self.holds} has another format.",
            path=path,
            remedy=remedy or self.remedy,
        )


def tensor_row(value: Tensor) -> dict[str, Any]:
    """A tensor of any type and shape as the columns :data:`TENSOR`."""
    array = value.detach().cpu().contiguous().numpy()
    return {"data": array.tobytes(), "shape": list(array.shape), "dtype": str(array.dtype)}


def row_tensor(row: Mapping[str, Any]) -> Tensor:
    """The tensor of :func:`tensor_row`, in memory of its own."""
    array = np.frombuffer(row["data"], dtype=np.dtype(row["dtype"])).reshape(row["shape"])
    return torch.from_numpy(array.copy())


def plain_text(value: object) -> str:
    """The ``repr`` of an object without its address in memory: the same in another process."""
    return _ADDRESS.sub("", repr(value))


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    # JSON has no NaN.
    return None if isinstance(value, float) and not math.isfinite(value) else value
