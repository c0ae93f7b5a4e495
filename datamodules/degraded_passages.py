"""Rendered takes of real pieces beside degraded ones, as log-mel spectrograms, for an ear that is to tell them apart."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musiczoo.datamodules.batching import BatchPlan
from musiczoo.datamodules.resumable import Draw, ResumableLoader
from musiczoo.datamodules.scores import ScoreDataModule
from musiczoo.datamodules.splits import Splits
from musiczoo.music.atomic import write_atomically
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.degradation.passages import Takes, sounding_classes
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
_VERSION = 2  # of what is kept; another one where takes or degradations are made in another way
_REAL, _MIXED, _SILENCE, _NOISE = (
    CLIP_KINDS.index(name) for name in ("real", "mixed", "silence", "noise")
)


class Graded(NamedTuple):
    """A take and worse versions of it.

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
    """Takes of works with worse versions, by draw.

    What an access gives follows from the seed, the work's id (and, where a work stands in the list
    more than once, from how often it stood before) and the number of the take alone.

    Args:
        works: The pieces.
        representation: Of the sound.
        takes: How takes are drawn.
        number: How many takes of a work there are; the epochs go through them in turn.
        every_kind: One clip of each kind (validation); otherwise two of one kind with different
            strengths and two of any others.
        soundfont: For rendering; None for the default.
        seed: Of all draws.
        folder: Keeps what was rendered; None renders it anew each time.
    """

    def __init__(
        self,
        works: Sequence[Work],
        representation: LogMel,
        takes: Takes,
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
        times: Counter[str] = Counter()
        self.names: list[str] = []
        for work in works:
            self.names.append(f"{work.id}:{times[work.id]}" if times[work.id] else work.id)
            times[work.id] += 1

    def __len__(self) -> int:
        return len(self.works)

    @property
    def lengths(self) -> list[int]:
        """Rows that each work's clips are to have."""
        return [
            round(self._seconds(index) / self.representation.hop)
            for index in range(len(self.works))
        ]

    def __getitem__(self, draw: Draw) -> Graded:
        take = draw.epoch % self.number
        name = hashlib.blake2b(
            f"{self.names[draw.index]}:{take}".encode(), digest_size=12
        ).hexdigest()
        file = self.folder / name[:2] / f"{name}.npz" if self.folder is not None else None
        if file is not None and file.is_file():
            return _unpacked(file)
        try:
            item = self._made(draw.index, take)
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
        """Of all takes of a work, so that batches of similar length can be planned."""
        return self.takes.seconds(random.Random(f"{self.seed}:{self.names[index]}:seconds"))

    def _made(self, index: int, take: int) -> Graded:
        rng = random.Random(f"{self.seed}:{self.names[index]}:{take}")
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
        # What has no notes is easy to tell; some is enough.
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
        bits = np.unpackbits(kept["classes"], count=12 * sum(lengths)).reshape(-1, 12).astype(bool)
        return Graded(
            rows,
            torch.from_numpy(bits).split(lengths),
            torch.from_numpy(kept["kinds"]),
            torch.from_numpy(kept["strengths"]),
        )


class DegradedTakesDataModule(lightning.LightningDataModule):
    """Takes of pieces with worse versions of each.

    A training item is a real take, the same take with one degradation in two strengths, one with
    another degradation, and one that is spoilt twice, silent or noise. A validation item has each
    kind once. Near-duplicates stay in one split.

    Args:
        corpus: Name of a built-in corpus, a folder or file, or several of these, or tunes or works
            themselves.
        representation: Of the model; None takes the ``representation`` of the module that the
            trainer fits.
        batch_size: Works of a batch in each process; each gives five clips.
        takes: How takes are drawn.
        number: How many takes of a work there are; the epochs go through them in turn.
        repeats: How often each epoch takes the works of a corpus, by its name, each time with other
            takes.
        soundfont: For rendering: a path or a name; None for the default.
        val_fraction: Part of the clusters for validation; 0 for none.
        test_fraction: Part of the clusters for testing; 0 for none.
        split_seed: Chooses another division.
        seed: Of order and takes.
        num_workers: Worker processes of each loader; rendering takes more time than training a
            small net on what was rendered.
        exclude: Corpora, folders, tunes or works that must stay unseen, with their near-duplicates.
        folder: Keeps what was rendered, some 100 kB a take; None renders it anew each time.
        cache: Folder of the corpus cache, see :func:`musiczoo.music.corpora.names.load_corpus`.
        progress: Show a progress bar when a corpus is read for the first time.
    """

    def __init__(
        self,
        corpus: str | Path | Sequence[Any] = "bach-chorales",
        representation: LogMel | None = None,
        *,
        batch_size: int = 8,
        takes: Takes | None = None,
        number: int = 2,
        repeats: Mapping[str, int] | None = None,
        soundfont: str | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.0,
        split_seed: int = 0,
        seed: int = 0,
        num_workers: int = 0,
        exclude: str | Path | Sequence[Any] = (),
        folder: str | Path | None = None,
        cache: str | Path | None = None,
        progress: bool = True,
    ) -> None:
        super().__init__()
        if number < 1:
            raise MusicZooError(
                f"{number} takes of a work are none.", where="number", remedy="Give 1 or more."
            )
        self.representation = representation
        self.batch_size = batch_size
        self.takes = takes or Takes()
        self.number = number
        self.soundfont = soundfont
        self.seed = seed
        self.num_workers = num_workers
        self.folder = Path(folder) if folder is not None else None
        # It knows how works are found, kept apart and told of in a card.
        self._scores = ScoreDataModule(
            corpus,
            keys="original",
            val_fraction=val_fraction,
            test_fraction=test_fraction,
            split_seed=split_seed,
            exclude=exclude,
            repeats=repeats,
            cache=cache,
            progress=progress,
        )

    def prepare_data(self) -> None:
        """Read the corpora into the cache, in one process of each machine."""
        self._scores.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Load the works and split them; the stage changes nothing."""
        self._scores.setup(stage)

    @property
    def works(self) -> list[Work]:
        """The pieces."""
        self.setup()
        return self._scores.works

    @property
    def splits(self) -> Splits:
        """Indices into :attr:`works` of each split."""
        return self._scores.splits

    def provenance(self) -> dict[str, Any]:
        """What a checkpoint should tell of the data it was trained on, as plain JSON values."""
        told = self._scores.provenance()
        kept = {
            name: value
            for name, value in told.items()
            if name not in ("keys", "prompts", "batch_size")
        }
        bank = Path(self.soundfont).name if self.soundfont else "default"
        return {
            **kept,
            "batch_size": self.batch_size,
            "takes": asdict(self.takes),
            "number": self.number,
            "soundfont": bank,
        }

    def items(self, indices: Sequence[int], *, training: bool) -> GradedItems:
        """Works of :attr:`works` as graded takes, as the loaders of training (with repeats) or of validation give them."""
        if training:
            repeats = self._scores.repeats
            indices = [
                index for index in indices for _ in range(repeats.get(self.works[index].source, 1))
            ]
        return GradedItems(
            [self.works[index] for index in indices],
            self._representation(),
            self.takes,
            number=self.number if training else 1,
            every_kind=not training,
            soundfont=self.soundfont,
            seed=self.seed if training else self._scores.split_seed,
            folder=self.folder,
        )

    def train_dataloader(self) -> ResumableLoader:
        """Training batches, in a new order each epoch."""
        return self._loader(self.splits.train, training=True)

    def val_dataloader(self) -> ResumableLoader | list[ResumableLoader]:
        """Validation batches, the same each time; none when ``val_fraction`` is 0."""
        return (
            self._loader(self.splits.validation, training=False) if self.splits.validation else []
        )

    def test_dataloader(self) -> ResumableLoader | list[ResumableLoader]:
        """Test batches, the same each time; none when ``test_fraction`` is 0."""
        return self._loader(self.splits.test, training=False) if self.splits.test else []

    def _loader(self, indices: Sequence[int], *, training: bool) -> ResumableLoader:
        items = self.items(indices, training=training)
        world_size = self.trainer.world_size if self.trainer else 1
        plan = BatchPlan(
            items.lengths, self.batch_size * world_size, seed=self.seed, shuffle=training
        )
        return ResumableLoader(
            items,
            plan,
            collate_graded,
            identity=items.names,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=world_size,
            num_workers=self.num_workers,
            blank=only_the_real,
        )

    def _representation(self) -> LogMel:
        representation = self.representation
        if representation is None and self.trainer is not None:
            representation = getattr(self.trainer.lightning_module, "representation", None)
        if not isinstance(representation, LogMel):
            raise MusicZooError(
                "It is not known how to turn sound into tensors.",
                where="representation",
                remedy="Give representation=model.representation.",
            )
        return representation
