"""The examples of a round: the best and the worst pieces of each prompt, as in CLaMP-DPO.

Wang et al. 2025 (NotaGen, arXiv 2502.18008, section 3.3): "with the top 10% selected as chosen set
and the bottom 10% as rejected set. Additional criteria, such as syntax error checks or the
exclusion of ground-truth plagiarism, can be applied to refine these sets." The walk from the top
and the criteria are those of the published code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from musiczoo.music.errors import MusicZooError


@dataclass(frozen=True)
class Selected:
    """The examples of one prompt, as places in the list of its pieces.

    Attributes:
        chosen: From the best downwards.
        rejected: The worst, from the better upwards to the worst.
        refused: Why pieces that the walk reached are no examples, by place.
    """

    chosen: list[int]
    rejected: list[int]
    refused: dict[int, str]


def check_fraction(fraction: float) -> None:
    """Checks that chosen and rejected do not overlap, and that some are chosen.

    Raises:
        MusicZooError: They overlap, or no piece would be chosen.
    """
    if not 0 < fraction <= 0.5:
        raise MusicZooError(
            f"A fraction of {fraction} cannot be chosen and rejected.",
            where="fraction",
            remedy="Give a part above 0, and 0.5 at most.",
        )


def select(
    scores: Sequence[float], refusal: Callable[[int], str | None], fraction: float = 0.1
) -> Selected:
    """Chooses the examples of one prompt.

    The pieces are ranked by their scores; those without one are left out. With n = fraction x
    pieces, the walk from the top chooses the first n that are not refused, and the n at the bottom
    are rejected without further questions. Where few pass, the walk ends before it reaches the
    rejected ones; the published code walks further, and may then choose what it rejects.

    Args:
        scores: One a piece, NaN for none.
        refusal: Why the piece at a place is no example, None if it is one; called only for those
            that the walk reaches.
        fraction: Part of the ranked pieces that is chosen, and that is rejected; at least one piece
            each.

    Raises:
        MusicZooError: A fraction that leaves chosen and rejected no room beside each other.
    """
    check_fraction(fraction)
    ranked = sorted(
        (place for place, score in enumerate(scores) if not math.isnan(score)),
        key=lambda place: (-scores[place], place),
    )
    count = max(1, int(fraction * len(ranked)))
    rejected = ranked[len(ranked) - count :]
    chosen: list[int] = []
    refused: dict[int, str] = {}
    for place in ranked[: len(ranked) - count]:
        if len(chosen) == count:
            break
        reason = refusal(place)
        if reason is None:
            chosen.append(place)
        else:
            refused[place] = reason
    return Selected(chosen, rejected if ranked else [], refused)
