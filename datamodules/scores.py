"""Sheet music for training: cleaned, transposed on the fly, and split by near-duplicates."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from musiczoo.datamodules.base import CorpusDataModule
from musiczoo.datamodules.keys import KeyRule, draw_key
from musiczoo.datamodules.resumable import Draw
from musiczoo.datamodules.splits import split_by_cluster
from musiczoo.datamodules.works import (
    listed,
    prompt_counts,
    repeated,
    source_names,
    work_names,
    works_of,
)
from musiczoo.music.abc import Tune, signature_key, transpose
from musiczoo.music.abc.cleaning import MAX_STAVES, clean, with_prompt
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.corpora.names import load_corpus
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
        self.names = work_names(works)

    def __len__(self) -> int:
        return len(self.works)

    @property
    def lengths(self) -> list[int]:
        """Characters of the works' ABC."""
        return [len(work.abc) for work in self.works]

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


class ScoreDataModule(CorpusDataModule):
    r"""Pieces of corpora and folders for bar-stream models and other models of notation.

    Works are cleaned (:mod:`musiczoo.music.abc.cleaning`), scores of more than 16 staves are left
    out and counted in :attr:`left_out`, and near-duplicates stay in one split
    (:mod:`musiczoo.datamodules.splits`). Training works come transposed; validation and test works
    in their own key and with the same crop each time.

    Args:
        corpus: Name of a built-in corpus, a folder or file, or several of these, or tunes or works
            themselves.
        representation: Of the model; None for the ``representation`` of the module that the
            trainer fits.
        max_length: Longest item in steps of the representation; None for its own limit.
        keys: ``"pretrain"``, ``"finetune"`` or ``"original"``, see
            :func:`musiczoo.datamodules.keys.draw_key`.
        prompts: Put period, composer and instrumentation before works whose corpus knows them
            (NotaGen's fine-tuning).
        max_staves: Larger scores are left out of training, validation and test.
        exclude: Corpora, folders, tunes or works that must stay unseen: works that are
            near-duplicates of one of theirs are left out.
        repeats: How often each epoch has the works of a corpus, by its name; once where it is not
            named.
        settings: ``test_fraction`` (the part of the clusters for testing; 0 by default), and those
            of :class:`musiczoo.datamodules.base.DataSettings`.

    Attributes:
        works: The works that are used, in order of id; :meth:`setup` makes them.
        left_out: Ids of works that are not used.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> from musiczoo.representations.bar_stream import BarStreamPatches
        >>> bars = ("CDEF|G4", "eccc|B4", "A2dA|f4")
        >>> tunes = [read_abc(f"L:1/4\nK:C\n{some}|\n") for some in bars]
        >>> data = ScoreDataModule(tunes, BarStreamPatches(), batch_size=2, val_fraction=0)
        >>> sorted(len(batch["patches"]) for batch in data.train_dataloader())
        [1, 2]
    """

    def __init__(
        self,
        corpus: str | Path | Sequence[Any] = "bach-chorales",
        representation: Representation[Tune] | None = None,
        *,
        max_length: int | None = None,
        keys: KeyRule = "pretrain",
        prompts: bool = False,
        max_staves: int = MAX_STAVES,
        exclude: str | Path | Sequence[Any] = (),
        repeats: Mapping[str, int] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(representation, **settings)
        self.corpus = corpus
        self.max_length = max_length
        self.keys: KeyRule = keys
        self.prompts = prompts
        self.max_staves = max_staves
        self.exclude = exclude
        self.repeats = dict(repeats or {})
        self.works: list[Work] = []
        self.left_out: list[str] = []

    def prepare_data(self) -> None:
        """Read the corpora into the cache, in one process of each machine."""
        for source in [*listed(self.corpus), *listed(self.exclude)]:
            if isinstance(source, str | Path):
                load_corpus(source, cache=self.cache, progress=self.progress)

    def setup(self, stage: str | None = None) -> None:
        """Load the works and split them; the stage changes nothing."""
        if self._splits is not None:
            return
        found = {work.id: work for work in self._works_of(self.corpus)}
        works = [found[name] for name in sorted(found)]
        self._check_repeats(works)
        large = {work.id for work in works if work.staves > self.max_staves}
        # Clustered over all sources together, for tunes recur across collections.
        unseen = self._works_of(self.exclude)
        first = clusters([work.shingles for work in [*works, *unseen]])
        touched = {*first[len(works) :]}
        alike = {work.id for work, cluster in zip(works, first, strict=False) if cluster in touched}
        self.left_out = sorted(large | alike)
        kept = [index for index, work in enumerate(works) if work.id not in large | alike]
        self.works = [works[index] for index in kept]
        self._report(len(large), len(alike))
        names = [works[first[index]].id for index in kept]
        self._splits = split_by_cluster(
            names, validation=self.val_fraction, test=self.test_fraction, seed=self.split_seed
        )
        sizes = ", ".join(f"{part} {size}" for part, size in self._sizes().items())
        _log.info("%d works in %d clusters: %s", len(self.works), len(set(names)), sizes)

    def _report(self, large: int, alike: int) -> None:
        """Logs how many works are left out, and raises where none is left."""
        if large:
            _log.warning("%d works of more than %d staves are left out.", large, self.max_staves)
        if alike:
            _log.info(
                "%d works are near-duplicates of works that must stay unseen, and are left out.",
                alike,
            )
        if not self.works:
            raise MusicZooError(
                "The corpus holds no works to train on.",
                remedy=(
                    f"{large} have more than {self.max_staves} staves, {alike} are"
                    " near-duplicates of excluded works."
                ),
            )

    def provenance(self) -> dict[str, Any]:
        """What a checkpoint records of the data that it was trained on, as plain JSON values.

        Folders are named by their last part alone: where they lie on somebody's machine is nobody
        else's business.
        """
        known = (self.works[index].labels for index in self.splits.train if self.prompts)
        return {
            "corpus": sorted({work.source for work in self.works}),
            "exclude": source_names(self.exclude),
            "repeats": self.repeats,
            "works": self._sizes(),
            "keys": self.keys,
            "batch_size": self.batch_size,
            "val_fraction": self.val_fraction,
            "test_fraction": self.test_fraction,
            "split_seed": self.split_seed,
            "conditioning": {"prompts": prompt_counts(known)},
        }

    def items(self, indices: Sequence[int], *, training: bool) -> ScoreItems:
        """Works of :attr:`works` as the items of the loaders.

        Args:
            indices: Of the works.
            training: As the training loader gives them, with repeats; otherwise as the validation
                loader does.
        """
        self.setup()
        if training:
            indices = repeated(indices, self.works, self.repeats)
        return ScoreItems(
            [self.works[index] for index in indices],
            self._representation(),
            keys=self.keys if training else "original",
            max_length=self.max_length,
            prompts=self.prompts,
            seed=self.seed if training else self.split_seed,
            same_each_epoch=not training,
        )

    def _works_of(self, sources: Any) -> list[Work]:
        return list(works_of(sources, cache=self.cache, progress=self.progress))

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
