"""Preference pairs as tensors, their batches, and log-probabilities of a reference policy.

Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290) compares a policy with a
reference policy on both sides of each pair. Where the pairs are fixed, the reference's
log-probabilities are numbers like any other of the data: they are computed once, in eval mode, and
kept with the crops that they belong to, so that training needs neither a second model in memory nor
a second forward pass. The published trainer of NotaGen (Wang et al. 2025, arXiv 2502.18008)
computes them again at every step, with dropout and with new crops.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from musiczoo.datamodules.batching import BatchPlan
from musiczoo.datamodules.resumable import Batch, Draw, ResumableLoader
from musiczoo.models.base.evaluation import evaluating

Collate = Callable[[Sequence[Tensor]], Batch]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPair:
    """Two pieces of the same prompt, as a representation encodes them, the better one first.

    Attributes:
        chosen: The better piece, first axis time; where it was too long, the part of it that is
            trained on.
        rejected: The worse piece, likewise.
        chosen_reference: Summed log-probability of ``chosen`` under the reference policy, in nats.
        rejected_reference: The same of ``rejected``.
    """

    chosen: Tensor
    rejected: Tensor
    chosen_reference: float
    rejected_reference: float

    def __len__(self) -> int:
        """Steps of the longer side."""
        return max(len(self.chosen), len(self.rejected))

    def blank(self) -> EncodedPair:
        """The first step of each side alone, which is no target: it counts as no pair."""
        return EncodedPair(self.chosen[:1], self.rejected[:1], 0.0, 0.0)

    def digest(self) -> str:
        """SHA-256 of both sides and their references."""
        parts = [
            piece_digest(self.chosen),
            piece_digest(self.rejected),
            self.chosen_reference.hex(),
            self.rejected_reference.hex(),
        ]
        return hashlib.sha256(":".join(parts).encode()).hexdigest()


def piece_digest(piece: Tensor) -> str:
    """SHA-256 of an encoded piece: its type, shape and numbers."""
    head = f"{piece.dtype}:{tuple(piece.shape)}:".encode()
    return hashlib.sha256(head + piece.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


def collate_pairs(pairs: Sequence[EncodedPair], *, collate: Collate) -> Batch:
    """Pairs as one batch, so that one forward pass of the policy scores all sides.

    Args:
        pairs: n pairs.
        collate: The representation's.

    Returns:
        What ``collate`` makes of the n chosen pieces followed by the n rejected ones, and
        ``reference``, (2n,) float64: the reference policy's summed log-probabilities in the same
        order.
    """
    batch = collate([*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)])
    references = [
        *(pair.chosen_reference for pair in pairs),
        *(pair.rejected_reference for pair in pairs),
    ]
    return {**batch, "reference": torch.tensor(references, dtype=torch.float64)}


class PairItems:
    """Pairs by draw; the epoch changes nothing, for crops belong to the stored references."""

    def __init__(self, pairs: Sequence[EncodedPair]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, draw: Draw) -> EncodedPair:
        return self.pairs[draw.index]


def pair_loader(
    pairs: Sequence[EncodedPair],
    collate: Collate,
    *,
    batch_size: int,
    seed: int,
    rank: int,
    world_size: int,
    shuffle: bool = True,
    identity: Sequence[str] = (),
    num_workers: int = 0,
) -> ResumableLoader:
    """A loader of preference batches that can be stopped at any batch.

    Each pair comes once an epoch.

    Args:
        pairs: All pairs, the same in every process.
        collate: The representation's.
        batch_size: Pairs of a batch in each process.
        seed: Of the order.
        rank: Of this process.
        world_size: Number of processes; they share each batch.
        shuffle: False gives every epoch the same order.
        identity: Names of the pairs; None given, what they hold. A saved place in an epoch fits
            only the same pairs.
        num_workers: Worker processes that prepare batches.

    Raises:
        MusicZooError: No pairs, or a batch size below 1.
    """
    return ResumableLoader(
        PairItems(pairs),
        BatchPlan(
            [len(pair) for pair in pairs], batch_size * world_size, seed=seed, shuffle=shuffle
        ),
        partial(collate_pairs, collate=collate),
        identity=list(identity) or [pair.digest() for pair in pairs],
        rank=rank,
        world_size=world_size,
        num_workers=num_workers,
        blank=EncodedPair.blank,
    )


def reference_sums(
    module: torch.nn.Module,
    items: Sequence[Tensor],
    collate: Collate,
    *,
    batch_size: int = 8,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Summed log-probabilities of encoded pieces under a policy as it stands, without gradient.

    The module computes in eval mode and is left as it was: the mode of each of its parts, and the
    random state. Pieces that stand in the list more than once are scored once.

    Args:
        module: Anything with the ``log_probs(batch)`` of a generative module.
        items: Encoded pieces, first axis time.
        collate: The representation's.
        batch_size: Pieces at once; they are sorted by length, so that little of a batch is padding.
        progress: Called after each batch with the number of pieces in it; together they are the
            distinct pieces.

    Returns:
        (n,) float64 on the CPU, in nats, in the order of ``items``.
    """
    log_probs: Any = module.log_probs
    first: dict[str, int] = {}
    places = [first.setdefault(piece_digest(item), index) for index, item in enumerate(items)]
    order = sorted(first.values(), key=lambda index: len(items[index]))
    sums = torch.zeros(len(items), dtype=torch.float64)
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    with evaluating(module, keep_rng=True):
        for start in range(0, len(order), batch_size):
            indices = order[start : start + batch_size]
            batch = {
                name: value.to(device)
                for name, value in collate([items[index] for index in indices]).items()
            }
            sums[indices] = log_probs(batch).sums().to("cpu", torch.float64)
            if progress is not None:
                progress(len(indices))
    return sums[places]
