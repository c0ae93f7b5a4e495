"""Objectives on pairs of pieces: scoring both sides, and the sums of the reference policy."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from musiczoo.models.base.objective import Batch, ObjectiveResult, Scoring
from musiczoo.music.errors import MusicZooError


class PairObjective(ABC):
    """An objective on pairs of a preferred sequence and another.

    Batches hold n preferred sequences, then the n others, and the ``reference`` sums (2n,) of all,
    so that the reference policy is not needed. One forward pass of the policy scores both sides,
    and each piece once, in however many pairs it stands (with dropout, its copies share what is
    dropped). A pair without a scored target (the share of a process that has no work in this batch)
    does not count.

    Logged for the pairs of a batch, as means: ``reward_chosen`` and ``reward_rejected``, beta times
    the log-ratio of policy and reference; ``reward_margin``, their difference; ``reward_accuracy``,
    the share of pairs with a positive margin.
    """

    beta: float

    def __call__(self, module: Scoring, batch: Batch) -> ObjectiveResult:
        """The loss summed over the pairs, and their number.

        Raises:
            MusicZooError: A batch without ``reference``, an odd number of sequences, or a pair that
                cannot be compared.
        """
        reference = _reference(batch)
        distinct, places = _distinct(
            {name: value for name, value in batch.items() if name != "reference"}
        )
        scored = module.log_probs(distinct)
        # The margin of two sums of about -1,000 nats is a fraction of a nat, of which float32
        # leaves three digits.
        sums, lengths = scored.sums().double()[places], scored.mask.sum(dim=1)[places]
        if sums.shape != reference.shape:
            raise MusicZooError(
                f"There are {len(reference)} reference sums for {len(sums)} sequences.",
                where="reference",
                remedy="One for each, in order.",
            )
        kept = _kept(lengths, reference)
        ratios = torch.where(kept.repeat(2), sums - reference.to(sums), 0.0)
        chosen, rejected = ratios.chunk(2)  # (pairs,) each
        losses, logs = self.losses(chosen, rejected, *lengths.clamp(min=1).chunk(2))
        count = kept.sum()
        with torch.no_grad():
            named = {
                "reward_chosen": self.beta * chosen,
                "reward_rejected": self.beta * rejected,
                "reward_margin": self.beta * (chosen - rejected),
                "reward_accuracy": (chosen > rejected).double(),
                **logs,
            }
            means = {
                name: torch.where(kept, value, 0.0).sum() / count.clamp(min=1)
                for name, value in named.items()
            }
        return ObjectiveResult(total=torch.where(kept, losses, 0.0).sum(), count=count, logs=means)

    @abstractmethod
    def losses(
        self, chosen: Tensor, rejected: Tensor, chosen_count: Tensor, rejected_count: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What each pair costs.

        Args:
            chosen: (pairs,) log-ratio of policy and reference for the preferred sequences, in nats.
            rejected: (pairs,) for the others.
            chosen_count: (pairs,) scored targets of the preferred sequences.
            rejected_count: (pairs,) of the others.

        Returns:
            (pairs,) losses, and further values (pairs,) whose means are logged.
        """


def _reference(batch: Batch) -> Tensor:
    """(2 x pairs,) the reference sums of a batch."""
    if "reference" not in batch:
        raise MusicZooError(
            "The batch has no reference log-probabilities.",
            where="reference",
            remedy="Preference losses train on pairs (PreferenceDataModule), not on single pieces.",
        )
    reference = batch["reference"]
    if len(reference) % 2:
        raise MusicZooError(
            f"{len(reference)} sequences are no pairs.",
            where="reference",
            remedy="Collate the chosen pieces first, then as many rejected.",
        )
    return reference


def _distinct(pieces: Batch) -> tuple[Batch, Tensor]:
    """The distinct rows of a batch, and the place of each of its rows among them.

    Pairs are often every chosen piece with every rejected one (as in NotaGen), and batches put
    pairs of one length together, so that a piece often occurs more than once in a batch. The
    gradient is the same, because it adds up over the pairs of a piece.
    """
    rows = [torch.unique(value, dim=0, return_inverse=True)[1] for value in pieces.values()]
    places = torch.unique(torch.stack(rows, dim=1), dim=0, return_inverse=True)[1]
    every = torch.arange(len(places), device=places.device)
    number = int(places.max()) + 1
    if number == len(places):
        return pieces, every
    first = every.new_full((number,), len(places)).scatter_reduce(0, places, every, "amin")
    return {name: value[first] for name, value in pieces.items()}, places


def _kept(lengths: Tensor, reference: Tensor) -> Tensor:
    """(pairs,) bool, True for pairs with scored targets.

    Raises:
        MusicZooError: A pair with one side alone, or with a reference sum that is no number:
            training on it would ruin the weights.
    """
    scored = lengths > 0
    chosen, rejected = scored.chunk(2)
    if bool((chosen ^ rejected).any()):
        pair = int((chosen ^ rejected).nonzero()[0])
        raise MusicZooError(
            f"Pair {pair} has nothing to score on one side.",
            remedy="Leave out pairs with an empty piece.",
        )
    unknown = (~reference.isfinite() & scored.to(reference.device)).nonzero()
    if len(unknown):
        sequence = int(unknown[0])
        raise MusicZooError(
            f"The reference log-probability of sequence {sequence} is"
            f" {float(reference[sequence])}.",
            where="reference",
            remedy="Compute it again with the model that training starts from, in eval mode.",
        )
    return chosen
