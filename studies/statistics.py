"""Statistics of preferences: majority, binomial test, Holm's correction, agreement of raters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.errors import MusicZooError
from musiczoo.studies.design import INSTALL_STUDY

Level = Literal["nominal", "ordinal", "interval"]


@dataclass(frozen=True, slots=True)
class Binomial:
    """Wins against losses, ties left out.

    Attributes:
        wins: Successes.
        losses: Failures.
        share: Wins among both; None without any.
        low: Lower end of the exact (Clopper-Pearson) 95 % interval of the share.
        high: Its upper end.
        p_value: Of the exact two-sided test that both are equally likely; 1 without any.
    """

    wins: int
    losses: int
    share: float | None
    low: float | None
    high: float | None
    p_value: float


def binomial(wins: int, losses: int) -> Binomial:
    """Test whether wins and losses are equally likely.

    The interval is Clopper and Pearson's, which belongs to this test: it leaves 1/2 out exactly
    when p is below 0.05.

    Raises:
        MusicZooError: scipy is not installed.
    """
    if wins + losses == 0:
        return Binomial(wins, losses, None, None, None, 1.0)
    try:
        from scipy.stats import binomtest
    except ImportError as error:
        raise MusicZooError(
            "The tests of a study need scipy, which is not installed.", remedy=INSTALL_STUDY
        ) from error
    result = binomtest(wins, wins + losses, 0.5)
    interval = result.proportion_ci(0.95, method="exact")
    return Binomial(
        wins,
        losses,
        wins / (wins + losses),
        float(interval.low),
        float(interval.high),
        float(result.pvalue),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction of several tests' p-values, in the order given.

    It is that of statsmodels' ``multipletests``.

    Raises:
        MusicZooError: statsmodels is not installed.
    """
    if not p_values:
        return []
    try:
        from statsmodels.stats.multitest import multipletests
    except ImportError as error:
        raise MusicZooError(
            "The corrections of a study need statsmodels, which is not installed.",
            remedy=INSTALL_STUDY,
        ) from error
    return [float(value) for value in multipletests(list(p_values), method="holm")[1]]


def majority(votes: Iterable[str]) -> str | None:
    """The answer that more participants gave than any other.

    None when two lead together or there are no votes.

    >>> majority(["x", "y", "x"]), majority(["x", "none", "x", "none", "y"])
    ('x', None)
    """
    ranked = Counter(votes).most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]


def krippendorff_alpha(units: Mapping[str, Sequence[float | str]], level: Level) -> float | None:
    """Krippendorff's alpha: how far raters agree beyond chance.

    1 is full agreement, 0 that of chance; below 0 raters agree less than by chance.

    Raters may miss units; units with fewer than two values are left out (Krippendorff 2011,
    "Computing Krippendorff's Alpha-Reliability"). The packages that compute it are under the GPL or
    no longer maintained.

    Args:
        units: The values that each unit was given.
        level: ``"nominal"`` for names, ``"ordinal"`` for ranks, ``"interval"`` for numbers whose
            differences count.

    Returns:
        Alpha, or None where it is not defined: no unit with two values, or all values equal.
    """
    rows = [list(values) for values in units.values() if len(values) > 1]
    known: list[float | str] = sorted(
        {value for row in rows for value in row}, key=lambda value: (isinstance(value, str), value)
    )
    place = {value: number for number, value in enumerate(known)}
    coincidences = np.zeros((len(known), len(known)))
    for row in rows:
        counts = np.bincount([place[value] for value in row], minlength=len(known)).astype(float)
        coincidences += (np.outer(counts, counts) - np.diag(counts)) / (len(row) - 1)
    totals = coincidences.sum(axis=0)
    if len(known) < 2:
        return None
    # Squared differences between values.
    distance: dict[Level, Callable[[], NDArray[np.float64]]] = {
        "nominal": lambda: 1.0 - np.eye(len(known)),
        "ordinal": lambda: _spread(np.cumsum(totals) - totals / 2),
        "interval": lambda: _spread(np.array([float(value) for value in known])),
    }
    apart = distance[level]()
    expected = (np.outer(totals, totals) - np.diag(totals)) / (totals.sum() - 1)
    return float(1.0 - (coincidences * apart).sum() / (expected * apart).sum())


def _spread(points: NDArray[np.float64]) -> NDArray[np.float64]:
    differences: NDArray[np.float64] = points[:, None] - points[None, :]
    return differences**2
