"""Losses on pairs of pieces, one preferred to the other: DPO with its variants, and DPOP.

All of them see a policy and a frozen reference only through the summed log-probabilities of whole
sequences, so that the reference's sums can be computed once and kept beside the pairs.
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor
from torch.nn import functional as F

from musiczoo.models.objectives.pairs import PairObjective
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
    """The loss of direct preference optimisation, with two relatives.

    Rafailov et al. 2023, arXiv 2305.18290; NotaGen's Eq. 2. With the margin ``h = (policy_chosen -
    ref_chosen) - (policy_rejected - ref_rejected)``, a pair costs

    - ``"sigmoid"``: ``-log sigmoid(beta h)``; with label smoothing e ``-(1 - e) log sigmoid(beta h)
      - e log sigmoid(-beta h)``, for labels of which the share e is wrong (Mitchell 2023,
      "conservative DPO");
    - ``"hinge"``: ``max(0, 1 - beta h)`` (Zhao et al. 2023, arXiv 2305.10425);
    - ``"ipo"``: ``(h - 1 / (2 beta)) ** 2`` (Azar et al. 2023, arXiv 2310.12036). The squared
      margin of sums grows with the length of a piece, so the arguments should be means over
      targets, which :class:`DPO` computes.

    Args:
        policy_chosen: (pairs,) log-probability of each preferred sequence, summed over its targets,
            in nats.
        policy_rejected: (pairs,) of each other sequence.
        ref_chosen: (pairs,) of each preferred sequence under the reference policy.
        ref_rejected: (pairs,) of each other sequence under the reference policy.
        beta: How strongly the policy is held to the reference.
        kind: Which of the three.
        label_smoothing: Share of labels that are wrong, below 0.5; for ``"sigmoid"`` alone.

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
    """The loss of DPO-Positive: DPO that keeps the preferred sequence as likely as it was.

    Pal et al. 2024, arXiv 2402.13228; NotaGen's Eq. 3. With the margin h of :func:`dpo_loss` and
    ``p = max(0, ref_chosen - policy_chosen)``, a pair costs

    - ``"inside"``: ``-log sigmoid(beta (h - lambda p))``, as Pal et al. define it and NotaGen's
      published code computes it;
    - ``"outside"``: ``-log sigmoid(beta h) + beta lambda p``, as NotaGen's Eq. 3 is printed. The
      sigmoid does not temper its penalty.

    Args:
        policy_chosen: (pairs,), as the following three: see :func:`dpo_loss`.
        policy_rejected: Of each other sequence.
        ref_chosen: Under the reference policy.
        ref_rejected: Of each other sequence, under the reference policy.
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


class DPO(PairObjective):
    """Direct preference optimisation; see :func:`dpo_loss` and :class:`PairObjective`.

    For ``"ipo"`` the log-ratios are means over the targets of a sequence. The published results
    were computed so according to TRL, whose maintainers asked the paper's authors; the paper's own
    notation leaves the length open.

    Args:
        beta: How strongly the policy is held to the reference.
        kind: ``"sigmoid"``, ``"ipo"`` or ``"hinge"``.
        label_smoothing: Share of labels that are wrong; for ``"sigmoid"`` alone.

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
            remedy='Use kind="sigmoid", or 0.',
        )


def _check_dpop(beta: float, lambda_: float, penalty: str) -> None:
    _check_beta(beta)
    if lambda_ < 0:
        raise MusicZooError(
            f"lambda_={lambda_} is out of range.",
            where="lambda_",
            remedy="NotaGen's is 10; 0 leaves DPO.",
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
