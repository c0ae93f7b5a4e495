"""Advantages of sampled pieces over the others of their prompt; there is no value network."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from musiczoo.music.errors import MusicZooError

Scale = Literal["group", "batch", "none"]

# Keeps the advantages of a group with nearly equal rewards finite; the value of TRL, which SMART
# was trained with.
_STD_FLOOR = 1e-4


def group_advantages(rewards: Tensor, group_size: int, *, scale: Scale = "group") -> Tensor:
    """The advantage of each piece: its reward over the mean of its group.

    Shao et al. 2024, arXiv 2402.03300, section 4.1. A reward that is NaN, of a piece that could not
    be scored, does not count in means and deviations, and its piece gets no advantage.

    Args:
        rewards: (prompts * group_size,), the pieces of a prompt next to each other.
        group_size: Pieces a prompt.
        scale: Divide by the standard deviation (with Bessel's correction, plus 1e-4) of the
            ``"group"``; of the whole ``"batch"`` (Hu et al. 2025, arXiv 2501.03262); or by nothing,
            because division favours prompts whose rewards hardly differ (Liu et al. 2025, arXiv
            2503.20783).

    Returns:
        (prompts * group_size,) advantages without gradient; 0 in a group of one piece.

    Raises:
        MusicZooError: Rewards that are no whole number of groups, or an unknown ``scale``.

    Example:
        >>> group_advantages(torch.tensor([1.0, 3.0, 5.0, 5.0]), 2, scale="none")
        tensor([-1.,  1.,  0.,  0.])
    """
    if scale not in get_args(Scale):
        raise MusicZooError(
            f"There is no scale {scale!r}.",
            where="scale",
            remedy=f"Choose one of {', '.join(get_args(Scale))}.",
        )
    if group_size < 1 or rewards.ndim != 1 or len(rewards) % group_size:
        raise MusicZooError(
            f"Rewards of shape {tuple(rewards.shape)} are no groups of {group_size}.",
            where="group_size",
            remedy=(
                "Give one reward a piece, the pieces of a prompt next to each other, the same"
                " number for each prompt."
            ),
        )
    groups = rewards.detach().reshape(-1, group_size)  # (prompts, group_size)
    known = ~groups.isnan()
    centred = torch.where(known, groups - _mean(groups, known), 0.0)
    if scale == "group":
        centred = centred / (_deviation(groups, known) + _STD_FLOOR)
    elif scale == "batch":
        everyone = groups.reshape(1, -1)
        centred = centred / (_deviation(everyone, ~everyone.isnan()) + _STD_FLOOR)
    return centred.flatten()


def _mean(groups: Tensor, known: Tensor) -> Tensor:
    """(groups, 1) means of the known rewards; 0 of a group without any."""
    return torch.where(known, groups, 0.0).sum(dim=1, keepdim=True) / known.sum(
        dim=1, keepdim=True
    ).clamp(min=1)


def _deviation(groups: Tensor, known: Tensor) -> Tensor:
    """(groups, 1) standard deviations of the known rewards, with Bessel's correction.

    That of a single reward is 0.
    """
    squares = (
        torch.where(known, groups - _mean(groups, known), 0.0).square().sum(dim=1, keepdim=True)
    )
    return (squares / (known.sum(dim=1, keepdim=True) - 1).clamp(min=1)).sqrt()
