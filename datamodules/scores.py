"""Sheet music for training: cleaned, transposed on the fly, in batches of similar length, split by near-duplicates."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import lightning
import torch

from musiczoo.datamodules.batching import BatchPlan
from musiczoo.datamodules.keys import KeyRule, draw_key
from musiczoo.datamodules.resumable import Draw, ResumableLoader
from musiczoo.datamodules.splits import Splits, split_by_cluster
from musiczoo.music.abc import Tune, signature_key, transpose
from musiczoo.music.abc.cleaning import MAX_STAVES, clean, with_prompt
from musiczoo.music.corpora.corpus import Corpus, Work
from musiczoo.music.corpora.names import load_corpus
from musiczoo.music.corpora.reading import work_of
from musiczoo.music.errors import MusicZooError
from musiczoo.music.near_duplicates import clusters
from musiczoo.representations.base import Representation

_log = logging.getLogger(__name__)


class ScoreItems:
    """Works as tensors, by draw.

    The key and the crop of an access follow from the seed, the epoch and the work's id alone (and,
    where a work stands in the list more than once, from how often it stood before), so neither the
    number of worker processes, nor the order of works, nor a resumed run changes them.

    Args:
        works: The pieces.
        representation: Turns a cleaned tune into a tensor.
        keys: The key rule.
        max_length: Longest item; None for the representation's own limit.
        prompts: Put the works' labels before them as prompt lines.
        seed: Of all draws.
        same_each_epoch: Draw as in epoch 0 always (validation).
    """

    def __init__(
        self,
        works: Sequence[Work],
        representation: Representation[Tune],
        *,
        keys: KeyRule = "original",
        max_length: int | None = None,
        prompts: bool = False,
        seed: int = 0,
        same_each_epoch: bool = False,
    ) -> None:
        self.works = works
        self.representation = representation
        self.keys = keys
        self.max_length = max_length
        self.prompts = prompts
        self.seed = seed
        self.same_each_epoch = same_each_epoch
        times: Counter[str] = Counter()
        self.names: list[str] = []
        for work in works:
            self.names.append(f"{work.id}:{times[work.id]}" if times[work.id] else work.id)
            times[work.id] += 1

    def __len__(self) -> int:
        return len(self.works)

    def tune(self, draw: Draw) -> tuple[Tune, random.Random]:
        """The cleaned piece of an access in its key, and the source of chance for what follows."""
        work = self.works[draw.index]
        rng = random.Random(
            f"{self.seed}:{0 if self.same_each_epoch else draw.epoch}:{self.names[draw.index]}"
        )
        tune = clean(work.tune)
        if self.prompts and work.labels is not None:
            tune = with_prompt(
                tune, work.labels.period, work.labels.composer, work.labels.instrumentation
            )
        key = draw_key(self.keys, signature_key(tune), rng)
        return (tune if key is None else transpose(tune, key)), rng

    def __getitem__(self, draw: Draw) -> torch.Tensor:
        try:
            tune, rng = self.tune(draw)
            return self.representation.encode(tune, max_length=self.max_length, rng=rng)
        except MusicZooError as error:
            raise error.at(path=self.works[draw.index].id) from error


class ScoreDataModule(lightning.LightningDataModule):
    """Pieces of corpora and folders for bar-stream models and their like.

    Works are cleaned (:mod:`musiczoo.music.abc.cleaning`), scores of more than 16 staves are left
    out and counted in :attr:`left_out`, and near-duplicates stay in one split
    (:mod:`musiczoo.datamodules.splits`). Training works come transposed; validation and test works
    in their own key and with the same crop each time.

    Args:
        corpus: Name of a built-in corpus, a folder or file, or several of these, or tunes or works
            themselves.
        representation: Of the model; None takes the ``representation`` of the module that the
            trainer fits.
        batch_size: Works of a batch in each process.
        max_length: Longest item in steps of the representation; None for its own limit.
        keys: ``"pretrain"``, ``"finetune"`` or ``"original"``, see
            :func:`musiczoo.datamodules.keys.draw_key`.
        prompts: Put period, composer and instrumentation before works whose corpus knows them
            (NotaGen's fine-tuning).
        val_fraction: Part of the clusters for validation; 0 for none.
        test_fraction: Part of the clusters for testing; 0 for none.
        split_seed: Chooses another division; not the same as ``seed``, so that runs with different
            seeds are measured on the same works.
        seed: Of order, keys and crops.
        num_workers: Worker processes of each loader.
        max_staves: Larger scores are left out of training, validation and test.
        exclude: Corpora, folders, tunes or works that must stay unseen: works that are
            near-duplicates of one of theirs are left out.
        repeats: How often each epoch takes the works of a corpus, by its name; once where it is not
            named.
        cache: Folder of the corpus cache, see :func:`musiczoo.music.corpora.names.load_corpus`.
        progress: Show a progress bar when a corpus is read for the first time.
    """

    def __init__(
        self,
        corpus: str | Path | Sequence[Any] = "bach-chorales",
        representation: Representation[Tune] | None = None,
        *,
        batch_size: int = 8,
        max_length: int | None = None,
        keys: KeyRule = "pretrain",
        prompts: bool = False,
        val_fraction: float = 0.1,
        test_fraction: float = 0.0,
        split_seed: int = 0,
        seed: int = 0,
        num_workers: int = 0,
        max_staves: int = MAX_STAVES,
        exclude: str | Path | Sequence[Any] = (),
        repeats: Mapping[str, int] | None = None,
        cache: str | Path | None = None,
        progress: bool = True,
    ) -> None:
        super().__init__()
        self.corpus = corpus
        self.representation = representation
        self.batch_size = batch_size
        self.max_length = max_length
        self.keys = keys
        self.prompts = prompts
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.split_seed = split_seed
        self.seed = seed
        self.num_workers = num_workers
        self.max_staves = max_staves
        self.exclude = exclude
        self.repeats = dict(repeats or {})
        self.cache = cache
        self.progress = progress
        self.works: list[Work] = []
        self.left_out: list[str] = []
        self._splits: Splits | None = None

    def prepare_data(self) -> None:
        """Read the corpora into the cache, in one process of each machine."""
        for source in [*_sources(self.corpus), *_sources(self.exclude)]:
            if isinstance(source, str | Path):
                self._load(source)

    def setup(self, stage: str | None = None) -> None:
        """Load the works and split them; the stage changes nothing."""
        if self._splits is not None:
            return
        found = {work.id: work for work in self._works_of(self.corpus)}
        works = [found[name] for name in sorted(found)]
        self._check_repeats(works)
        large = {work.id for work in works if work.staves > self.max_staves}
        # Clustered anew over all sources: tunes recur across collections.
        unseen = list(self._works_of(self.exclude))
        first = clusters([work.shingles for work in [*works, *unseen]])
        touched = {*first[len(works) :]}
        alike = {work.id for work, cluster in zip(works, first, strict=False) if cluster in touched}
        self.left_out = sorted(large | alike)
        kept = [index for index, work in enumerate(works) if work.id not in large | alike]
        self.works = [works[index] for index in kept]
        if large:
            _log.warning(
                "%d works of more than %d staves are left out.", len(large), self.max_staves
            )
        if alike:
            _log.info(
                "%d works are near-duplicates of works that must stay unseen, and are left out.",
                len(alike),
            )
        if not self.works:
            raise MusicZooError(
                "The corpus holds no works to train on.",
                remedy=(
                    f"{len(large)} have more than {self.max_staves} staves, {len(alike)} are"
                    " near-duplicates of excluded works."
                ),
            )
        names = [works[first[index]].id for index in kept]
        self._splits = split_by_cluster(
            names, validation=self.val_fraction, test=self.test_fraction, seed=self.split_seed
        )
        sizes = ", ".join(
            f"{part} {len(indices)}" for part, indices in self._splits._asdict().items()
        )
        _log.info("%d works in %d clusters: %s", len(self.works), len(set(names)), sizes)

    @property
    def splits(self) -> Splits:
        """Indices into :attr:`works` of each split; :meth:`setup` makes them."""
        if self._splits is None:
            self.setup()
        assert self._splits is not None
        return self._splits

    def provenance(self) -> dict[str, Any]:
        """What a checkpoint should tell of the data it was trained on, as plain JSON values.

        Folders are named by their last part alone: a published checkpoint has no business with the
        places on somebody's machine.
        """
        counts = (
            Counter(self.works[index].labels for index in self.splits.train)
            if self.prompts
            else Counter()
        )
        known = sorted(
            ((astuple(labels), times) for labels, times in counts.items() if labels is not None),
            key=lambda row: (-row[1], row[0]),
        )
        return {
            "corpus": sorted({work.source for work in self.works}),
            "exclude": [_name(source) for source in _sources(self.exclude)],
            "repeats": self.repeats,
            "works": {part: len(indices) for part, indices in self.splits._asdict().items()},
            "keys": self.keys,
            "batch_size": self.batch_size,
            "val_fraction": self.val_fraction,
            "test_fraction": self.test_fraction,
            "split_seed": self.split_seed,
            "prompts": [[*labels, times] for labels, times in known],
        }

    def train_dataloader(self) -> ResumableLoader:
        """Training batches, in a new order, new keys and new crops each epoch."""
        return self._loader(self.splits.train, training=True)

    def val_dataloader(self) -> ResumableLoader | list[ResumableLoader]:
        """Validation batches, the same each time; none when ``val_fraction`` is 0."""
        return (
            self._loader(self.splits.validation, training=False) if self.splits.validation else []
        )

    def test_dataloader(self) -> ResumableLoader | list[ResumableLoader]:
        """Test batches, the same each time; none when ``test_fraction`` is 0."""
        return self._loader(self.splits.test, training=False) if self.splits.test else []

    def items(self, indices: Sequence[int], *, training: bool) -> ScoreItems:
        """Works of :attr:`works` as tensors, as the loaders of training (with repeats) or of validation give them."""
        self.setup()
        if training:
            indices = [
                index
                for index in indices
                for _ in range(self.repeats.get(self.works[index].source, 1))
            ]
        return ScoreItems(
            [self.works[index] for index in indices],
            self._representation(),
            keys=self.keys if training else "original",
            max_length=self.max_length,
            prompts=self.prompts,
            seed=self.seed if training else self.split_seed,
            same_each_epoch=not training,
        )

    def _loader(self, indices: Sequence[int], *, training: bool) -> ResumableLoader:
        items = self.items(indices, training=training)
        world_size = self.trainer.world_size if self.trainer else 1
        plan = BatchPlan(
            [len(work.abc) for work in items.works],
            self.batch_size * world_size,
            seed=self.seed,
            shuffle=training,
        )
        return ResumableLoader(
            items,
            plan,
            items.representation.collate,
            identity=items.names,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=world_size,
            num_workers=self.num_workers,
        )

    def _representation(self) -> Representation[Tune]:
        representation = self.representation
        if representation is None and self.trainer is not None:
            representation = getattr(self.trainer.lightning_module, "representation", None)
        if representation is None:
            raise MusicZooError(
                "It is not known how to turn pieces into tensors.",
                where="representation",
                remedy="Give representation=model.representation.",
            )
        return representation

    def _check_repeats(self, works: Sequence[Work]) -> None:
        sources = {work.source for work in works}
        if unknown := [
            name for name, times in self.repeats.items() if name not in sources or times < 1
        ]:
            raise MusicZooError(
                f"{', '.join(unknown)} cannot be repeated.",
                where="repeats",
                remedy=f"Give whole numbers from 1 for {', '.join(sorted(sources))}.",
            )

    def _load(self, source: str | Path) -> Corpus:
        return load_corpus(source, cache=self.cache, progress=self.progress)

    def _works_of(self, sources: Any) -> Iterator[Work]:
        for source in _sources(sources):
            if isinstance(source, str | Path):
                yield from self._load(source)
            elif isinstance(source, Corpus):
                yield from source
            elif isinstance(source, Work):
                yield source
            elif isinstance(source, Tune):
                yield work_of(source)
            else:
                raise MusicZooError(
                    f"A {type(source).__name__} is no source of pieces.",
                    where="corpus",
                    remedy="Give names, folders, tunes or works.",
                )


def _name(source: Any) -> str:
    if isinstance(source, str | Path):
        return Path(source).name
    return str(
        getattr(source, "name", None) or getattr(source, "id", None) or type(source).__name__
    )


def _sources(sources: Any) -> list[Any]:
    return [sources] if isinstance(sources, str | Path | Corpus) else list(sources)
