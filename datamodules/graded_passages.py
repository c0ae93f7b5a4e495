"""Graded passages: a real passage and worse versions of it, rendered, as items and batches.

An audio scorer learns to rank the versions of a passage.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musiczoo.datamodules.resumable import Draw
from musiczoo.datamodules.works import work_names
from musiczoo.music.atomic import write_atomically
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.degradation.passages import Passages, sounding_classes
from musiczoo.music.degradation.performance import (
    CLIP_KINDS,
    PERFORMANCE_DEGRADATIONS,
    degrade_performance,
)
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.log_mel import LogMel

if TYPE_CHECKING:
    from symusic.core import ScoreTick

_log = logging.getLogger(__name__)
_VERSION = 2  # of the kept files; raise it when passages or degradations are made differently
_REAL, _MIXED, _SILENCE, _NOISE = (
    CLIP_KINDS.index(name) for name in ("real", "mixed", "silence", "noise")
)


class Graded(NamedTuple):
    """A real passage and worse versions of it.

    Attributes:
        rows: The levels of each clip, (rows, mels) uint8.
        classes: The pitch classes that sound in each row, (rows, 12) bool.
        kinds: (clips,) int64, indices into
            :data:`musiczoo.music.degradation.performance.CLIP_KINDS`.
        strengths: (clips,) float32, 0 for the real one.
    """

    rows: tuple[Tensor, ...]
    classes: tuple[Tensor, ...]
    kinds: Tensor
    strengths: Tensor


def only_the_real(item: Graded) -> Graded:
    """The item without its worse versions, which leaves nothing to compare."""
    return Graded(item.rows[:1], item.classes[:1], item.kinds[:1], item.strengths[:1])


def collate_graded(items: Sequence[Graded]) -> dict[str, Tensor]:
    """One batch of all clips of some items.

    Returns:
        ``mel`` (clips, rows, mels) uint8 and ``lengths`` (clips,) as :class:`LogMel` collates them;
        ``classes`` (clips, rows, 12) bool; ``group`` (clips,) int64, the item of each clip;
        ``kind`` (clips,) int64 and ``strength`` (clips,) float32.
    """
    rows = [row for item in items for row in item.rows]
    return {
        # (clips, longest, mels)
        "mel": torch.nn.utils.rnn.pad_sequence(rows, batch_first=True),
        "lengths": torch.tensor([len(row) for row in rows]),
        "classes": torch.nn.utils.rnn.pad_sequence(
            [classes for item in items for classes in item.classes], batch_first=True
        ),
        "group": torch.repeat_interleave(
            torch.arange(len(items)), torch.tensor([len(item.rows) for item in items])
        ),
        "kind": torch.cat([item.kinds for item in items]),
        "strength": torch.cat([item.strengths for item in items]),
    }


class GradedItems:
    """Passages of works with worse versions, by draw.

    An item follows from the seed, the work's id (and, where a work is listed more than once, from
    how often it was listed before) and the number of the passage alone.

    Args:
        works: The pieces.
        representation: Of the sound.
        takes: How passages are drawn.
        number: How many passages of a work there are; the epochs go through them in turn.
        every_kind: One clip of each kind (validation); otherwise two of one kind with different
            strengths and two of any others.
        soundfont: For rendering; None for the default.
        seed: Of all draws.
        folder: Keeps what was rendered; None renders it again each time.
    """

    def __init__(
        self,
        works: Sequence[Work],
        representation: LogMel,
        takes: Passages,
        *,
        number: int = 1,
        every_kind: bool = False,
        soundfont: str | None = None,
        seed: int = 0,
        folder: Path | None = None,
    ) -> None:
        from musiczoo.music.sound.rendering import Rendering

        self.works = works
        self.representation = representation
        self.takes = takes
        self.number = number
        self.every_kind = every_kind
        self.rendering = Rendering(soundfont=soundfont, max_seconds=takes.most_seconds)
        self.seed = seed
        settings = [
            _VERSION,
            representation.to_config(),
            asdict(takes),
            every_kind,
            asdict(self.rendering),
            seed,
            CLIP_KINDS,
        ]
        digest = hashlib.blake2b(
            json.dumps(settings, default=str).encode(), digest_size=8
        ).hexdigest()
        self.folder = folder / digest if folder is not None else None
        self._failed: set[str] = set()
        self.names = work_names(works)

    def __len__(self) -> int:
        return len(self.works)

    @property
    def lengths(self) -> list[int]:
        """Rows of each work's clips, as they are planned."""
        return [
            round(self._seconds(index) / self.representation.hop)
            for index in range(len(self.works))
        ]

    def __getitem__(self, draw: Draw) -> Graded:
        passage = draw.epoch % self.number
        name = hashlib.blake2b(
            f"{self.names[draw.index]}:{passage}".encode(), digest_size=12
        ).hexdigest()
        file = self.folder / name[:2] / f"{name}.npz" if self.folder is not None else None
        if file is not None and file.is_file():
            return _unpacked(file)
        try:
            item = self._made(draw.index, passage)
        except MusicZooError as error:
            if self.works[draw.index].id not in self._failed:
                self._failed.add(self.works[draw.index].id)
                _log.warning("%s is left out: %s", self.works[draw.index].id, error)
            silence = self.representation.encode_audio(
                np.zeros(self.rendering.sample_rate, np.float32), self.rendering.sample_rate
            )
            return Graded(
                (silence,), (_no_classes(silence),), torch.tensor([_REAL]), torch.zeros(1)
            )
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, _packed(item))
        return item

    def _seconds(self, index: int) -> float:
        """Seconds of all passages of a work, so that batches of similar length can be planned."""
        return self.takes.seconds(random.Random(f"{self.seed}:{self.names[index]}:seconds"))

    def _made(self, index: int, passage: int) -> Graded:
        rng = random.Random(f"{self.seed}:{self.names[index]}:{passage}")
        real = self.takes.draw(self.works[index].tune, self._seconds(index), rng)
        clips, kinds, strengths = [self._rendered(real)], [_REAL], [0.0]
        for kind, strength in self._worse(rng):
            if kind in (_SILENCE, _NOISE):
                rows = self._without_notes(kind, len(clips[0][0]), rng)
                clips.append((rows, _no_classes(rows)))
            else:
                clips.append(self._rendered(_degraded(real, kind, strength, rng)))
            kinds.append(kind)
            strengths.append(strength)
        levels, classes = zip(*clips, strict=True)
        return Graded(
            levels, classes, torch.tensor(kinds), torch.tensor(strengths, dtype=torch.float32)
        )

    def _worse(self, rng: random.Random) -> list[tuple[int, float]]:
        if self.every_kind:
            return [(kind, rng.random()) for kind in range(1, len(CLIP_KINDS))]
        one, other = rng.sample(PERFORMANCE_DEGRADATIONS, 2)
        light, heavy = sorted((rng.uniform(0.0, 0.5), rng.uniform(0.5, 1.0)))
        # Clips without notes are easy to recognise; a few are enough.
        last = rng.choices((_MIXED, _SILENCE, _NOISE), (8, 1, 1))[0]
        graded = [(CLIP_KINDS.index(one), light), (CLIP_KINDS.index(one), heavy)]
        return [*graded, (CLIP_KINDS.index(other), rng.random()), (last, rng.random())]

    def _rendered(self, score: ScoreTick) -> tuple[Tensor, Tensor]:
        from musiczoo.music.sound.rendering import render_clip

        clip = render_clip(score, self.rendering)
        if clip.samples is None:
            raise MusicZooError(f"It cannot be rendered: {clip.reason}.")
        rows = self.representation.encode_audio(clip.samples, self.rendering.sample_rate)
        return rows, torch.from_numpy(sounding_classes(score, self.representation.hop, len(rows)))

    def _without_notes(self, kind: int, rows: int, rng: random.Random) -> Tensor:
        rate = self.rendering.sample_rate
        count = max(1, round(rows * self.representation.hop * rate * rng.uniform(0.1, 1.0)))
        samples: NDArray[np.float32] = np.zeros(count, dtype=np.float32)
        if kind == _NOISE:
            samples = (
                np.random.default_rng(rng.getrandbits(64)).normal(size=count).astype(np.float32)
            )
            samples /= np.abs(samples).max() + np.float32(1e-6)
        return self.representation.encode_audio(samples, rate)


def _degraded(real: ScoreTick, kind: int, strength: float, rng: random.Random) -> ScoreTick:
    if kind != _MIXED:
        return degrade_performance(real, CLIP_KINDS[kind], strength, rng=rng)
    for name in rng.sample(PERFORMANCE_DEGRADATIONS, 2):
        real = degrade_performance(real, name, strength, rng=rng)
    return real


def _no_classes(rows: Tensor) -> Tensor:
    return torch.zeros(len(rows), 12, dtype=torch.bool)


def _packed(item: Graded) -> bytes:
    stream = io.BytesIO()
    lengths = np.array([len(row) for row in item.rows])
    np.savez(
        stream,
        rows=torch.cat(item.rows).numpy(),
        classes=np.packbits(torch.cat(item.classes).numpy()),
        lengths=lengths,
        kinds=item.kinds.numpy(),
        strengths=item.strengths.numpy(),
    )
    return stream.getvalue()


def _unpacked(file: Path) -> Graded:
    with np.load(file, allow_pickle=False) as kept:
        lengths = kept["lengths"].tolist()
        rows = torch.from_numpy(kept["rows"]).split(lengths)
        # (all rows, 12)
        bits = np.unpackbits(kept["classes"], count=12 * sum(lengths)).reshape(-1, 12).astype(bool)
        return Graded(
            rows,
            torch.from_numpy(bits).split(lengths),
            torch.from_numpy(kept["kinds"]),
            torch.from_numpy(kept["strengths"]),
        )
