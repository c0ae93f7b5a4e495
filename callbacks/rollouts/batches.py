"""The rollouts of one step as the tensors that are trained on, cut into micro-batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from musiczoo.callbacks.rollouts.completions import Completion
from musiczoo.datamodules.batching import share
from musiczoo.music.errors import MusicZooError

Batch = dict[str, Tensor]
Collate = Callable[[Sequence[Tensor]], Batch]


@dataclass(frozen=True)
class TrainingRollouts:
    """All completions of a step, the same in every process.

    Attributes:
        items: Tokens of prompt and completion each, first axis time.
        completions: For each the (targets,) bool mask of its sampled targets.
        advantages: (n,) float64.
        reference: For each the (targets,) log-probabilities under the reference policy; None where
            no objective asks for them.
        old: The same under the policy that sampled; None while that is the one that is trained.
    """

    items: list[Tensor]
    completions: list[Tensor]
    advantages: Tensor
    reference: list[Tensor] | None = None
    old: list[Tensor] | None = None

    def shares(self, batch_size: int, rank: int, world_size: int) -> list[list[int]]:
        """Which completions each micro-batch of a process holds.

        The longest come first (what does not fit the memory fails at once) and those of similar
        length together (little is padding).

        Args:
            batch_size: Completions of a micro-batch in each process.
            rank: Of the process.
            world_size: Number of processes; a share of theirs may be empty.
        """
        order = sorted(range(len(self.items)), key=lambda index: -len(self.items[index]))
        size = batch_size * world_size
        return [
            list(share(order[start : start + size], rank, world_size))
            for start in range(0, len(order), size)
        ]

    def batch(self, indices: Sequence[int], collate: Collate) -> Batch:
        """A micro-batch of some of the completions.

        Args:
            indices: Of the completions. An empty list is that of a process without work; it gets a
                completion without sampled targets, because all must take part in each step.
            collate: The representation's.

        Returns:
            What ``collate`` makes of the items, with ``advantages`` (batch,), and (batch, targets)
            ``completion``, ``ref_log_probs`` and ``old_log_probs``.
        """
        chosen = list(indices) or [len(self.items) - 1]
        completions = [
            self.completions[index] if indices else torch.zeros_like(self.completions[index])
            for index in chosen
        ]
        batch = {
            **collate([self.items[index] for index in chosen]),
            "advantages": self.advantages[chosen].float(),
            "completion": pad_sequence(completions, batch_first=True),
        }
        for name, log_probs in (("ref_log_probs", self.reference), ("old_log_probs", self.old)):
            if log_probs is not None:
                batch[name] = pad_sequence([log_probs[index] for index in chosen], batch_first=True)
        return batch

    def to_state(self) -> dict[str, Any]:
        """Tensors and plain containers, for a checkpoint."""
        return {
            name: getattr(self, name)
            for name in ("items", "completions", "advantages", "reference", "old")
        }

    @classmethod
    def of(cls, completions: Sequence[Completion]) -> TrainingRollouts:
        """The rollouts of a step's completions, without log-probabilities yet.

        Where no completion has a reward nothing is trained on: nothing was learnt of the policy,
        and a step towards the reference alone was not asked for.
        """
        masks = [one.completion for one in completions]
        if all(math.isnan(one.reward) for one in completions):
            masks = [torch.zeros_like(mask) for mask in masks]
        advantages = torch.tensor([one.advantage for one in completions], dtype=torch.float64)
        return cls([one.tokens for one in completions], masks, advantages)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> TrainingRollouts:
        """What :meth:`to_state` gave."""
        return cls(**state)


class RolloutLoader:
    """Micro-batches that are made when they are asked for.

    Lightning fetches no batch ahead from a loader that knows its length, so that the rollouts of a
    step are sampled after the last step has been taken.

    Args:
        length: Batches of the whole run.
        begin: Gives the place of the first batch when the run begins; a resumed one begins in the
            middle.
        batch_at: Makes the batch of a place.
    """

    #: Lightning asks every loader with a sampler for it.
    batch_sampler = None

    def __init__(
        self, length: int, begin: Callable[[], int], batch_at: Callable[[int], Batch]
    ) -> None:
        self.length = length
        self.begin = begin
        self.batch_at = batch_at

    def __len__(self) -> int:
        """Batches of the run."""
        return self.length

    def __iter__(self) -> Iterator[Batch]:
        # A generator: Lightning makes its iterator before it knows where the run begins.
        for place in range(self.begin(), self.length):
            yield self.batch_at(place)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the callback and Lightning's own counters hold the place.

        Without this method Lightning would warn of a loader that cannot be resumed.
        """
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Does nothing, as :meth:`state_dict` gives nothing."""


def micro_batches(completions: int, batch_size: int, world_size: int) -> int:
    """How many micro-batches a step has.

    Raises:
        MusicZooError: A number below 1.
    """
    if min(completions, batch_size, world_size) < 1:
        raise MusicZooError(
            "A rollout step needs completions and a batch_size of 1 at least.", where="batch_size"
        )
    return -(-completions // (batch_size * world_size))
