"""What the data modules share: settings, the fitted model's representation, splits, loaders."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import lightning

from musiczoo.datamodules.batching import BatchPlan
from musiczoo.datamodules.resumable import Draw, ResumableLoader, first_step
from musiczoo.datamodules.splits import Splits
from musiczoo.music.errors import MusicZooError


@dataclass(frozen=True)
class DataSettings:
    """The settings that all data modules have.

    Attributes:
        batch_size: Items of a batch in each process.
        val_fraction: Part of the clusters of near-duplicates for validation; 0 for none.
        split_seed: Chooses another division. It is not the same as ``seed``, so that runs with
            different seeds are measured on the same pieces.
        seed: Of the order of the batches and of everything that is drawn for an item.
        num_workers: Worker processes of each loader.
        cache: Cache folder; by default ``MUSICZOO_CACHE`` or the user's cache folder of the
            platform.
        progress: Show progress bars while corpora are read.
    """

    batch_size: int = 8
    val_fraction: float = 0.1
    split_seed: int = 0
    seed: int = 0
    num_workers: int = 0
    cache: str | Path | None = None
    progress: bool = True


class SplitItems(Protocol):
    """The items of one split, by draw."""

    @property
    def names(self) -> Sequence[str]:
        """A name of each item that lasts."""
        ...

    @property
    def lengths(self) -> Sequence[int]:
        """An estimate of the length of each item, in any unit."""
        ...

    def __getitem__(self, draw: Draw) -> Any:
        """The item of a draw."""
        ...


class SplitDataModule(lightning.LightningDataModule):
    """A data module whose pieces are split; the base of all others.

    A subclass implements :meth:`setup`, which sets ``_splits``.

    Args:
        representation: Of the model; None for the ``representation`` of the module that the
            trainer fits.
        settings: Of :class:`DataSettings`.
    """

    def __init__(self, representation: Any = None, **settings: Any) -> None:
        super().__init__()
        shared = DataSettings(**settings)
        self.representation = representation
        self.batch_size = shared.batch_size
        self.val_fraction = shared.val_fraction
        self.split_seed = shared.split_seed
        self.seed = shared.seed
        self.num_workers = shared.num_workers
        self.cache = shared.cache
        self.progress = shared.progress
        self._splits: Splits | None = None

    @abstractmethod
    def setup(self, stage: str | None = None) -> None:
        """Load the pieces and split them."""

    @property
    def splits(self) -> Splits:
        """Indices of the pieces of each split; :meth:`setup` makes them."""
        if self._splits is None:
            self.setup()
        assert self._splits is not None
        return self._splits

    def _representation(self) -> Any:
        """The representation that was given, or else that of the module that the trainer fits."""
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

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer else 1


class CorpusDataModule(SplitDataModule):
    """A data module that makes the items of a split from the pieces of corpora.

    A subclass implements :meth:`setup` and :meth:`items`.

    Args:
        representation: As in :class:`SplitDataModule`.
        test_fraction: Part of the clusters for testing; 0 for none.
        settings: Of :class:`DataSettings`.
    """

    def __init__(
        self, representation: Any = None, *, test_fraction: float = 0.0, **settings: Any
    ) -> None:
        super().__init__(representation, **settings)
        self.test_fraction = test_fraction

    @abstractmethod
    def items(self, indices: Sequence[int], *, training: bool) -> SplitItems:
        """Pieces as the items that the loaders of training or of validation give."""

    def train_dataloader(self) -> ResumableLoader:
        """Training batches, in a new order and with new draws each epoch."""
        return self._loader(self.splits.train, training=True)

    def val_dataloader(self) -> ResumableLoader | list[ResumableLoader]:
        """Validation batches, the same each time; none when ``val_fraction`` is 0."""
        return self._fixed(self.splits.validation)

    def test_dataloader(self) -> ResumableLoader | list[ResumableLoader]:
        """Test batches, the same each time; none when ``test_fraction`` is 0."""
        return self._fixed(self.splits.test)

    def _fixed(self, indices: Sequence[int]) -> ResumableLoader | list[ResumableLoader]:
        return self._loader(indices, training=False) if indices else []

    def _loader(self, indices: Sequence[int], *, training: bool) -> ResumableLoader:
        items = self.items(indices, training=training)
        return ResumableLoader(
            items,
            BatchPlan(
                items.lengths, self.batch_size * self._world_size, seed=self.seed, shuffle=training
            ),
            self._collate(),
            identity=items.names,
            rank=self._rank,
            world_size=self._world_size,
            num_workers=self.num_workers,
            blank=self._blank(),
        )

    def _collate(self) -> Callable[[Sequence[Any]], Any]:
        """What makes a batch of items."""
        collate: Callable[[Sequence[Any]], Any] = self._representation().collate
        return collate

    def _blank(self) -> Callable[[Any], Any]:
        """What turns an item into one without targets, for a process whose share is empty."""
        return first_step

    def _sizes(self) -> dict[str, int]:
        """The number of pieces of each split, by its name."""
        return {part: len(indices) for part, indices in self.splits._asdict().items()}
