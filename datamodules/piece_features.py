"""Features of pieces, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from safetensors.torch import save
from torch import Tensor

from musiczoo.hub.tensors import read_safetensors
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError
from musiczoo.music.parquet_cache import cache_folder

_CHUNK = 256


class PieceFeatures:
    """Features of pieces by name; a run that was killed computes only what is missing.

    Args:
        encoder: What the features depend on besides the pieces, such as a digest of weights.
        cache: Cache folder; the user's when None.
    """

    def __init__(self, encoder: str, cache: str | Path | None = None) -> None:
        digest = hashlib.sha256(encoder.encode()).hexdigest()[:16]
        self.folder = Path(cache or cache_folder()) / "features" / digest

    def of(
        self,
        names: Sequence[str],
        piece: Callable[[int], Any],
        compute: Callable[[Sequence[Any]], Tensor],
        *,
        progress: bool = False,
    ) -> tuple[Tensor, dict[int, str]]:
        """The features of pieces.

        Args:
            names: A name of each piece that lasts and states its content.
            piece: The piece of a place; called only for those that are not on disk.
            compute: The features (n, ...) of pieces.
            progress: Show a progress bar.

        Returns:
            (pieces, ...) float32, NaN for those that cannot be read, and why not, by place.

        Raises:
            MusicZooError: The cache cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        parts: list[Tensor] = []
        errors: dict[int, str] = {}
        chunks = [range(i, min(i + _CHUNK, len(names))) for i in range(0, len(names), _CHUNK)]
        missing = sum(not self._file([names[n] for n in chunk]).is_file() for chunk in chunks)
        shown = progress and missing > 0
        with Progress(console=Console(stderr=True), disable=not shown, transient=True) as bar:
            task = bar.add_task("features of pieces", total=missing)
            for chunk in chunks:
                file = self._file([names[place] for place in chunk])
                if not file.is_file():
                    self._write(file, chunk, piece, compute)
                    bar.advance(task)
                found = read_safetensors([file])
                stated = json.loads(bytes(found["errors"].tolist()))
                errors |= {chunk[int(place)]: reason for place, reason in stated.items()}
                parts.append(found["features"])
        shape = next((part.shape[1:] for part in parts if part.numel()), None)
        if shape is None:
            raise MusicZooError(
                "No piece can be read.",
                remedy=next(iter(errors.values()), "Give pieces with notes."),
            )
        filled = [p if p.numel() else p.new_full((len(p), *shape), torch.nan) for p in parts]
        return torch.cat(filled), errors

    def _write(
        self,
        file: Path,
        chunk: range,
        piece: Callable[[int], Any],
        compute: Callable[[Sequence[Any]], Tensor],
    ) -> None:
        rows: dict[int, Tensor] = {}
        errors: dict[str, str] = {}
        pieces: dict[int, Any] = {}
        for number, place in enumerate(chunk):
            try:
                pieces[number] = piece(place)
            except MusicZooError as error:
                errors[str(number)] = error.message
        try:
            rows = dict(zip(pieces, compute(list(pieces.values())), strict=True))
        except MusicZooError:
            # One of them cannot be encoded: find out which.
            for number, one in pieces.items():
                try:
                    rows[number] = compute([one])[0]
                except MusicZooError as error:
                    errors[str(number)] = error.message
        shape = next(iter(rows.values())).shape if rows else (0,)
        features = torch.full((len(chunk), *shape), torch.nan)
        for number, row in rows.items():
            features[number] = row
        stated = torch.tensor(list(json.dumps(errors).encode()), dtype=torch.uint8)
        content = {"features": features, "errors": stated}
        write_atomically(file, save(content))

    def _file(self, names: Sequence[str]) -> Path:
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:24]
        return self.folder / f"{digest}.safetensors"
