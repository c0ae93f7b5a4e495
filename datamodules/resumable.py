"""A loader that can be stopped at any batch and resumes with the next one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from musiczoo.datamodules.batching import BatchPlan, share
from musiczoo.music.errors import MusicZooError

Batch = dict[str, torch.Tensor]
Item = TypeVar("Item")
Drawn = TypeVar("Drawn", covariant=True)


class Draw(NamedTuple):
    """One access to a work.

    What is drawn for it may depend on this, the seed and the work itself alone.

    Attributes:
        epoch: Of the access.
        index: Of the work.
        blank: True for the stand-in of an empty share, which holds no target.
    """

    epoch: int
    index: int  # type: ignore[assignment]  # a tuple's own index() is of no use here
    blank: bool = False


class DrawnItems(Protocol[Drawn]):
    """Items by draw."""

    def __getitem__(self, draw: Draw) -> Drawn:
        """The item; whether the draw is blank changes nothing."""
        ...


def first_step(item: torch.Tensor) -> torch.Tensor:
    """The blank of an item whose first axis is time: its first step, which is no target."""
    return item[:1]


class ResumableLoader:
    """Batches of a :class:`BatchPlan`, with a state that names the next one.

    The state counts the batches handed out, not those that worker processes have prepared ahead, so
    no batch is lost or repeated. Lightning keeps it in its checkpoints (its fit loop saves every
    loader with ``state_dict``) and calls :meth:`set_epoch` at the start of each epoch. In a plain
    loop each new pass over the loader is the next epoch.

    It is not a ``torch.utils.data.DataLoader``: Lightning would give that a ``DistributedSampler``,
    which repeats works to fill the last batch. Here the processes share the batches of one plan, so
    that two processes with batches of 4 compute what one does with 8. A process whose share of the
    last batch is empty gets one blank item without targets, for all must take part in each step.

    Args:
        items: Gives the item of a draw: a tensor, or what ``blank`` accepts.
        plan: The batches.
        collate: Makes a batch of items.
        identity: Names of the works in the plan's order; a state fits only the same works.
        rank: Of this process.
        world_size: Number of processes.
        num_workers: Worker processes that prepare batches; they change nothing but the speed.
        blank: Turns an item into one without targets, for a process whose share is empty.
    """

    #: Lightning asks every loader with a sampler for it.
    batch_sampler = None

    def __init__(
        self,
        items: DrawnItems[Item],
        plan: BatchPlan,
        collate: Callable[[Sequence[Item]], Batch],
        *,
        identity: Sequence[str] = (),
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
        blank: Callable[[Item], Item] = first_step,  # type: ignore[assignment]  # right for tensors, which most items are
    ) -> None:
        self.plan = plan
        self._place = _Place()
        # Whether the next pass begins at the position as it stands, rather than at the next epoch.
        self._is_placed = True
        settings = [plan.batch_size, plan.seed, plan.shuffle, plan.lengths, list(identity)]
        self._plan_digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
        self._loader: DataLoader[Any] = DataLoader(
            _Drawn(items, blank),
            batch_sampler=_Draws(plan, self._place, rank, world_size),
            collate_fn=collate,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            # The workers' base seed would be drawn from the global generator, and a resumed run
            # would draw it once more than an uninterrupted one: different dropout from there on.
            generator=torch.Generator().manual_seed(0),
        )

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        # A generator: the place is looked up at the first batch, for Lightning makes its iterator
        # before it names the epoch.
        place = self._place
        if not self._is_placed or place.position >= len(self):
            place.epoch, place.position = place.epoch + 1, 0
        self._is_placed = False
        for batch in self._loader:
            place.position += 1
            yield batch

    @property
    def sampler(self) -> ResumableLoader:
        """The object that Lightning calls :meth:`set_epoch` of."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Begin that epoch; no change if it is the current one."""
        if epoch != self._place.epoch:
            self._place.epoch, self._place.position = epoch, 0
        self._is_placed = True

    def state_dict(self) -> dict[str, Any]:
        """Epoch, batches handed out of it, and a digest of the plan."""
        return {
            "epoch": self._place.epoch,
            "position": self._place.position,
            "plan": self._plan_digest,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume where a state was saved.

        Raises:
            MusicZooError: In the middle of an epoch of other batches (other works, batch size,
                number of processes or seed).
        """
        position = state_dict["position"]
        if state_dict["plan"] != self._plan_digest and 0 < position < len(self):
            raise MusicZooError(
                f"The checkpoint was made {position} batches into an epoch of other batches.",
                remedy=(
                    "Resume with the same works, seed, and batch size times processes, or start"
                    " again from the checkpoint's weights."
                ),
            )
        self._place.epoch, self._place.position = state_dict["epoch"], position
        self._is_placed = True


@dataclass(slots=True)
class _Place:
    """The current epoch and how many of its batches have been handed out."""

    epoch: int = 0
    position: int = 0


@dataclass(frozen=True, slots=True)
class _Draws:
    """The batch sampler: the draws of one process from the present place to the end of the epoch.

    It does not hold the loader itself: a cycle of references would leave the worker processes to
    the garbage collector, which closes their queues before they get the order to stop, and the
    loader would wait for each of them until its timeout.
    """

    plan: BatchPlan
    place: _Place
    rank: int
    world_size: int

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch = self.place.epoch
        for batch in self.plan.batches(epoch)[self.place.position :]:
            mine = share(batch, self.rank, self.world_size)
            yield [Draw(epoch, index) for index in mine] or [Draw(epoch, batch[0], blank=True)]


class _Drawn(Dataset[Item], Generic[Item]):
    """Items as a torch dataset.

    Separate from the loader, so that worker processes get the items alone.
    """

    def __init__(self, items: DrawnItems[Item], blank: Callable[[Item], Item]) -> None:
        self._items = items
        self._blank = blank

    def __getitem__(self, draw: Draw) -> Item:
        item = self._items[draw]
        return self._blank(item) if draw.blank else item
