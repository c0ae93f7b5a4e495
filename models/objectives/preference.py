"""Losses on pairs of pieces, one preferred to the other: DPO with its variants, and DPOP.

All of them see a policy and a frozen reference only through the summed log-probabilities of whole
sequences, so that the reference's sums can be computed once and kept beside the pairs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from musiczoo.models.base.objective import Batch, ObjectiveResult, Scoring
from musiczoo.music.errors import MusicZooError

__all__ = ["DPO", "DPOP", "PairObjective", "Penalty", "PreferenceKind", "dpo_loss", "dpop_loss"]

PreferenceKind = Literal["sigmoid", "ipo", "hinge"]
Penalty = Literal["inside", "outside"]


def dpo_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    beta: float = 0.1,
    *,
    kind: PreferenceKind = "sigmoid",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290.

    NotaGen's Eq. 2), with two relatives.

    With the margin ``h = (policy_chosen - ref_chosen) - (policy_rejected - ref_rejected)``, a pair
    costs

    - ``"sigmoid"``: ``-log sigmoid(beta h)``, with label smoothing e ``-(1 - e) log sigmoid(beta h) - e log sigmoid(-beta h)``, which takes
      the share e of the labels to be wrong (Mitchell 2023, "conservative DPO");
    - ``"hinge"``: ``max(0, 1 - beta h)`` (Zhao et al. 2023, arXiv 2305.10425);
    - ``"ipo"``: ``(h - 1 / (2 beta)) ** 2`` (Azar et al. 2023, arXiv 2310.12036). The squared margin of sums grows with the length of a
      piece, so the arguments are best means over targets, as :class:`DPO` takes them.

    Args:
        policy_chosen: (pairs,) log-probability of each preferred sequence, summed over its targets,
            in nats.
        policy_rejected: (pairs,) of each other sequence.
        ref_chosen: (pairs,) of each preferred sequence under the reference policy.
        ref_rejected: (pairs,) of each other sequence under the reference policy.
        beta: How strongly the policy is held to the reference.
        kind: Which of the three.
        label_smoothing: Share of labels taken to be wrong, below 0.5; for ``"sigmoid"`` alone.

    Returns:
        Scalar, the mean over the pairs.

    Raises:
        MusicZooError: An unknown kind, or a number out of range.
    """
    _check_dpo(beta, kind, label_smoothing)
    margins = (policy_chosen - ref_chosen) - (policy_rejected - ref_rejected)
    return _dpo(margins, beta, kind, label_smoothing).mean()


def dpop_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    beta: float = 0.1,
    lambda_: float = 10.0,
    *,
    penalty: Penalty = "inside",
) -> Tensor:
    """DPO-Positive: DPO that makes the preferred sequence no less likely (Pal et al. 2024, arXiv 2402.13228; NotaGen's Eq. 3).

    With the margin h of :func:`dpo_loss` and ``p = max(0, ref_chosen - policy_chosen)``, a pair
    costs

    - ``"inside"``: ``-log sigmoid(beta (h - lambda p))``, as Pal et al. define it and NotaGen's published code computes it;
    - ``"outside"``: ``-log sigmoid(beta h) + beta lambda p``, as NotaGen's Eq. 3 is printed. Its penalty is not tempered by the sigmoid.

    Args:
        policy_chosen: (pairs,) log-probability of each preferred sequence, summed over its targets,
            in nats.
        policy_rejected: (pairs,) of each other sequence.
        ref_chosen: (pairs,) of each preferred sequence under the reference policy.
        ref_rejected: (pairs,) of each other sequence under the reference policy.
        beta: How strongly the policy is held to the reference.
        lambda_: Weight of the penalty.
        penalty: Where it stands.

    Returns:
        Scalar, the mean over the pairs.

    Raises:
        MusicZooError: Another ``penalty``, or a number out of range.
    """
    _check_dpop(beta, lambda_, penalty)
    chosen, rejected = policy_chosen - ref_chosen, policy_rejected - ref_rejected
    return _dpop(chosen, rejected, beta, lambda_, penalty).mean()


class PairObjective(ABC):
    """An objective on pairs: batches hold n preferred sequences, then the n others, and the ``reference`` sums of all.

    One forward pass of the policy scores both sides, and each piece once, in however many pairs it
    stands (with dropout, its copies share what is dropped). The reference policy is not needed, for
    its sums (2n,) come with the batch. A pair without a scored target (the share of a process that
    has no work in this batch) counts as none.

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
        # The margin of two sums of some -1,000 nats is a fraction of a nat, of which float32 leaves
        # three digits.
        sums, lengths = scored.sums().double()[places], scored.mask.sum(dim=1)[places]
        if sums.shape != reference.shape:
            raise MusicZooError(
                f"There are {len(reference)} reference sums for {len(sums)} sequences.",
                where="reference",
                remedy="One for each, in order.",
            )
        kept = _kept(lengths, reference)
        ratios = torch.where(kept.repeat(2), sums - reference.to(sums), 0.0)
        chosen, rejected = ratios.chunk(2)
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


class DPO(PairObjective):
    """Direct preference optimisation; see :func:`dpo_loss` and :class:`PairObjective`.

    For ``"ipo"`` the log-ratios are means over the targets of a sequence, which is how the
    published results were computed according to TRL, whose maintainers asked the paper's authors;
    the paper's own notation leaves the length open.

    Args:
        beta: How strongly the policy is held to the reference.
        kind: ``"sigmoid"``, ``"ipo"`` or ``"hinge"``.
        label_smoothing: Share of labels taken to be wrong; for ``"sigmoid"`` alone.

    Raises:
        MusicZooError: An unknown kind, or a number out of range.
    """

    def __init__(
        self, beta: float = 0.1, kind: PreferenceKind = "sigmoid", label_smoothing: float = 0.0
    ) -> None:
        _check_dpo(beta, kind, label_smoothing)
        self.beta = beta
        self.kind: PreferenceKind = kind
        self.label_smoothing = label_smoothing

    def losses(
        self, chosen: Tensor, rejected: Tensor, chosen_count: Tensor, rejected_count: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(pairs,) losses."""
        if self.kind == "ipo":
            chosen, rejected = chosen / chosen_count, rejected / rejected_count
        return _dpo(chosen - rejected, self.beta, self.kind, self.label_smoothing), {}


class DPOP(PairObjective):
    """DPO-Positive, NotaGen's loss for CLaMP-DPO; see :func:`dpop_loss` and :class:`PairObjective`.

    Logs ``penalty`` too, the mean of ``max(0, ref_chosen - policy_chosen)`` in nats.

    Args:
        beta: How strongly the policy is held to the reference (NotaGen 4.1: 0.1).
        lambda_: Weight of the penalty (NotaGen 4.1: 10).
        penalty: ``"inside"`` the sigmoid, as in NotaGen's published code, or ``"outside"``, as
            printed in the paper.

    Raises:
        MusicZooError: Another ``penalty``, or a number out of range.
    """

    def __init__(
        self, beta: float = 0.1, lambda_: float = 10.0, penalty: Penalty = "inside"
    ) -> None:
        _check_dpop(beta, lambda_, penalty)
        self.beta = beta
        self.lambda_ = lambda_
        self.penalty: Penalty = penalty

    def losses(
        self, chosen: Tensor, rejected: Tensor, chosen_count: Tensor, rejected_count: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(pairs,) losses, and the penalties."""
        return _dpop(chosen, rejected, self.beta, self.lambda_, self.penalty), {
            "penalty": F.relu(-chosen.detach())
        }


def _dpo(margins: Tensor, beta: float, kind: PreferenceKind, label_smoothing: float) -> Tensor:
    if kind == "hinge":
        return F.relu(1 - beta * margins)
    if kind == "ipo":
        return (margins - 1 / (2 * beta)).square()
    right = -F.logsigmoid(beta * margins)
    return (
        right
        if label_smoothing == 0
        else (1 - label_smoothing) * right - label_smoothing * F.logsigmoid(-beta * margins)
    )


def _dpop(
    chosen: Tensor, rejected: Tensor, beta: float, lambda_: float, penalty: Penalty
) -> Tensor:
    margins, lost = chosen - rejected, F.relu(-chosen)
    if penalty == "inside":
        return -F.logsigmoid(beta * (margins - lambda_ * lost))
    return beta * lambda_ * lost - F.logsigmoid(beta * margins)


def _check_dpo(beta: float, kind: str, label_smoothing: float) -> None:
    _check_beta(beta)
    if kind not in get_args(PreferenceKind):
        raise MusicZooError(
            f"There is no preference loss {kind!r}.",
            where="kind",
            remedy=f"Choose one of {', '.join(get_args(PreferenceKind))}.",
        )
    if not 0 <= label_smoothing < 0.5:
        raise MusicZooError(
            f"label_smoothing={label_smoothing} is out of range.",
            where="label_smoothing",
            remedy=(
                "At half of the labels wrong there is nothing to learn; give a share from 0 to"
                " below 0.5."
            ),
        )
    if label_smoothing and kind != "sigmoid":
        raise MusicZooError(
            f"The loss {kind!r} has no label smoothing.",
            where="label_smoothing",
            remedy='Take kind="sigmoid", or 0.',
        )


def _check_dpop(beta: float, lambda_: float, penalty: str) -> None:
    _check_beta(beta)
    if lambda_ < 0:
        raise MusicZooError(
            f"lambda_={lambda_} is out of range.",
            where="lambda_",
            remedy="NotaGen takes 10; 0 leaves DPO.",
        )
    if penalty not in get_args(Penalty):
        raise MusicZooError(
            f"A penalty cannot stand {penalty!r}.",
            where="penalty",
            remedy=f"Choose one of {', '.join(get_args(Penalty))}.",
        )


def _check_beta(beta: float) -> None:
    if not beta > 0:
        raise MusicZooError(
            f"beta={beta} is out of range.",
            where="beta",
            remedy="Give a number above 0; 0.1 is common.",
        )


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
    """The different rows of a batch, and where each of its rows stands among them.

    Pairs are often every chosen piece with every rejected one (as in NotaGen), and batches put
    pairs of one length together, so that a piece tends to come more than once in a batch. The
    gradient is the same, for it adds up over the pairs of a piece.
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
    """(pairs,) whether a pair has anything to compare.

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
