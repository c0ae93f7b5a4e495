"""Log-probabilities of fixed pieces under a reference policy, kept in Parquet files.

They are computed once, and a file belongs to one set of weights.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from musiczoo.datamodules.pairs import Collate, reference_sums
from musiczoo.models.base.ranks import from_first, gathered
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError

_SCHEMA = pa.schema(
    [
        ("digest", pa.string()),
        ("data", pa.binary()),
        ("shape", pa.list_(pa.int64())),
        ("dtype", pa.string()),
        ("reference", pa.float64()),
    ]
)
"""A row is a piece as it is trained on and the reference's summed log-probability in nats.

A piece that was too long is its crop.
"""

_NOTE = b"musiczoo"
_log = logging.getLogger(__name__)


class ReferenceFiles:
    """The log-probabilities of one set of pieces under reference policies, one file a policy.

    Under several processes all of them make the same calls; the first one reads and writes, since
    their disks may differ.

    Args:
        folder: Where the files lie.
        pieces: Encoded pieces by :func:`~musiczoo.datamodules.pairs.piece_digest`.
        rank: Of this process.
        world_size: Number of processes.
    """

    def __init__(
        self, folder: Path, pieces: Mapping[str, Tensor], *, rank: int = 0, world_size: int = 1
    ) -> None:
        self.folder = folder
        self.pieces = pieces
        self.rank = rank
        self.world_size = world_size

    def of_module(
        self,
        module: torch.nn.Module,
        collate: Collate,
        *,
        batch_size: int,
        precision: str,
        is_whole: bool = True,
        progress: bool = False,
    ) -> tuple[str, dict[str, float]]:
        """Those of a module as it is: from its file, or computed and kept there.

        Args:
            module: A module with ``log_probs``, in the precision that it trains with.
            collate: The representation's.
            batch_size: Pieces at once.
            precision: Name of that precision.
            is_whole: Whether each process has all weights, so that they can share the work. A
                module in shards computes nothing unless all ranks compute the same.
            progress: Show a progress bar.

        Returns:
            The fingerprint of weights, pieces and precision, and the log-probabilities by piece.

        Raises:
            MusicZooError: The file cannot be written.
        """
        note = {
            "weights": weights_digest(module),
            "pieces": self._pieces_digest(),
            "precision": precision,
        }
        fingerprint = from_first(
            _digest([note["weights"], note["pieces"], precision]), self.world_size
        )
        path = self._path(fingerprint)
        known = from_first(self._kept(path) if self.rank == 0 else None, self.world_size)
        if known is None:
            known = self._computed(module, collate, batch_size, is_whole, progress)
            if self.rank == 0:
                write_references(path, self.pieces, known, note)
        return fingerprint, known

    def of_run(self, fingerprint: str) -> dict[str, float]:
        """Those that a run was trained with.

        Raises:
            MusicZooError: The file is gone or damaged, or belongs to other pieces; in all processes
                alike.
        """
        path = self._path(fingerprint)
        answer: dict[str, float] | MusicZooError | None = None
        if self.rank == 0:
            try:
                known, note = read_references(path)
                answer = known
                if note.get("pieces") != self._pieces_digest():
                    answer = MusicZooError(
                        "The checkpoint's run was trained on other pairs.",
                        path=path,
                        remedy=(
                            "Resume with the same pairs, seed and lengths, or start again from the"
                            " checkpoint's weights."
                        ),
                    )
            except MusicZooError as error:
                answer = MusicZooError(
                    "The reference's log-probabilities of the checkpoint's run are not there:"
                    f" {error.message}",
                    path=path,
                    remedy=(
                        "Give the folder= of that run, or start again from the checkpoint's"
                        " weights; trained weights are no reference."
                    ),
                )
        answer = from_first(answer, self.world_size)
        if isinstance(answer, MusicZooError):
            raise answer
        assert answer is not None
        return answer

    def _kept(self, path: Path) -> dict[str, float] | None:
        if not path.is_file():
            return None
        try:
            known, _ = read_references(path)
        except MusicZooError as error:
            _log.warning("%s They are computed again.", error)
            return None
        return known if known.keys() == self.pieces.keys() else None

    def _computed(
        self,
        module: torch.nn.Module,
        collate: Collate,
        batch_size: int,
        is_whole: bool,
        progress: bool,
    ) -> dict[str, float]:
        names = sorted(self.pieces, key=lambda name: (len(self.pieces[name]), name))
        mine = names[self.rank :: self.world_size] if is_whole else names
        with Progress(
            console=Console(stderr=True), disable=not progress or self.rank > 0, transient=True
        ) as bar:
            task = bar.add_task("reference log-probabilities", total=len(mine))
            sums = reference_sums(
                module,
                [self.pieces[name] for name in mine],
                collate,
                batch_size=batch_size,
                progress=lambda count: bar.advance(task, count),
            ).tolist()
        return {
            name: value
            for part in gathered(dict(zip(mine, sums, strict=True)), self.world_size)
            for name, value in part.items()
        }

    def _path(self, fingerprint: str) -> Path:
        return self.folder / f"{fingerprint}.parquet"

    def _pieces_digest(self) -> str:
        return _digest(sorted(self.pieces))


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()


def weights_digest(module: torch.nn.Module) -> str:
    """SHA-256 of all tensors of a module; under model parallelism all ranks must call it."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if not isinstance(value, Tensor):
            continue
        # A shard of a tensor knows how to get the rest of it.
        whole: Tensor = value.full_tensor() if hasattr(value, "full_tensor") else value
        whole = whole.detach().cpu().contiguous()
        digest.update(f"{name} {whole.dtype} {tuple(whole.shape)}\n".encode())
        digest.update(whole.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def write_references(
    path: Path,
    pieces: Mapping[str, Tensor],
    references: Mapping[str, float],
    note: Mapping[str, str],
) -> None:
    """Writes a file of log-probabilities, whole or not at all.

    Args:
        path: The file; its folder is made.
        pieces: Encoded pieces by :func:`~musiczoo.datamodules.pairs.piece_digest`.
        references: Their log-probabilities.
        note: What they were computed from.

    Raises:
        MusicZooError: The folder cannot be written to.
    """
    rows = [
        {
            "digest": name,
            "data": piece.detach().cpu().contiguous().numpy().tobytes(),
            "shape": list(piece.shape),
            "dtype": str(piece.dtype).removeprefix("torch."),
            "reference": references[name],
        }
        for name, piece in sorted(pieces.items())
    ]
    table = pa.Table.from_pylist(
        rows, schema=_SCHEMA.with_metadata({_NOTE: json.dumps(dict(note), sort_keys=True).encode()})
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MusicZooError(
            f"The folder of the references cannot be made: {error.strerror}.",
            path=path.parent,
            remedy="Give another folder=.",
        ) from error
    write_atomically(path, buffer.getvalue())


def read_references(path: Path) -> tuple[dict[str, float], dict[str, str]]:
    """Reads a file of :func:`write_references`.

    Returns:
        The log-probabilities by digest of the piece, and the note.

    Raises:
        MusicZooError: The file is missing, damaged or of another format.
    """
    try:
        table = pq.read_table(path)
        note = json.loads((table.schema.metadata or {})[_NOTE])
        if not table.schema.equals(_SCHEMA):
            raise KeyError("columns")
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise MusicZooError(
            f"The references cannot be read: {error}",
            path=path,
            remedy="Delete the file, and start again.",
        ) from error
    return dict(
        zip(table["digest"].to_pylist(), table["reference"].to_pylist(), strict=True)
    ), dict(note)
