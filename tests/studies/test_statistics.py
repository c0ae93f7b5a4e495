from __future__ import annotations

from math import comb

import pytest
from scipy.optimize import brentq
from scipy.stats import binom

from musiczoo.studies.statistics import binomial, holm, krippendorff_alpha, majority


@pytest.mark.parametrize(("wins", "losses"), [(58, 22), (22, 58), (5, 5), (7, 0), (1, 0), (3, 9)])
def test_binomial_is_the_sum_of_what_is_no_likelier(wins: int, losses: int) -> None:
    total = wins + losses
    by_hand = (
        sum(comb(total, k) for k in range(total + 1) if abs(k - total / 2) >= abs(wins - total / 2))
        / 2**total
    )
    test = binomial(wins, losses)
    assert test.p_value == pytest.approx(by_hand)
    assert test.share == wins / total
    # Clopper and Pearson: the shares at which what was seen or more (less) has a probability of 2.5
    # %.
    assert test.low is not None
    assert test.high is not None
    if wins:
        assert test.low == pytest.approx(
            brentq(lambda p: binom.sf(wins - 1, total, p) - 0.025, 1e-9, 1 - 1e-9), abs=1e-6
        )
    if losses:
        assert test.high == pytest.approx(
            brentq(lambda p: binom.cdf(wins, total, p) - 0.025, 1e-9, 1 - 1e-9), abs=1e-6
        )
    assert (test.low > 0.5 or test.high < 0.5) == (test.p_value < 0.05)


def test_nothing_to_test() -> None:
    assert binomial(0, 0).p_value == 1.0
    assert binomial(0, 0).share is None
    assert holm([]) == []


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, each at least the one before.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(
    ("votes", "winner"),
    [
        ("xxy", "x"),
        ("xyy", "y"),
        ("xy", None),
        ("xxnny", None),
        ("nnx", "n"),
        ("", None),
        ("x", "x"),
        ("xynn", "n"),
    ],
)
def test_majority(votes: str, winner: str | None) -> None:
    assert majority(votes) == winner


def test_alpha_of_krippendorffs_worked_example() -> None:
    # Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C/E: four observers,
    # twelve units, missing values.
    table = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    units = {str(unit): [row[unit] for row in table if row[unit] is not None] for unit in range(12)}
    assert krippendorff_alpha(units, "nominal") == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(units, "ordinal") == pytest.approx(0.815, abs=5e-4)
    assert krippendorff_alpha(units, "interval") == pytest.approx(0.849, abs=5e-4)


def test_alpha_at_its_ends() -> None:
    assert krippendorff_alpha({"1": ["a", "a"], "2": ["b", "b"]}, "nominal") == pytest.approx(1.0)
    assert krippendorff_alpha({"1": ["a", "b"], "2": ["b", "a"]}, "nominal") == pytest.approx(-0.5)
    assert krippendorff_alpha({"1": ["a", "a"], "2": ["a", "a"]}, "nominal") is None
    assert krippendorff_alpha({"1": ["a"], "2": ["b"]}, "nominal") is None
    assert krippendorff_alpha({}, "interval") is None
