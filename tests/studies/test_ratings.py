from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from musiczoo.studies.ratings import INTERCEPTS, MEANS, SLOPES, fit_ratings

Rows = list[tuple[str, str, float]]


def simulated(
    seed: int,
    effect: float,
    people: int = 14,
    items: int = 15,
    slope: float = 0.867,
    systems: str = "ab",
) -> Rows:
    """Ratings with the deviations that SMART's table 5 gives: intercepts 0.911, slopes 0.867, residual 2.048."""
    rng = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        intercept, slopes = 4.075 + rng.normal(0, 0.911), rng.normal(0, slope, size=len(systems))
        for number, system in enumerate(systems):
            shift = number * effect + (slopes[number] if number else 0)
            rows += [
                (f"P{person}", system, intercept + shift + rng.normal(0, 2.048))
                for _ in range(items)
            ]
    return rows


def means(rows: Rows, system: str) -> list[float]:
    return [
        float(np.mean([r for p, s, r in rows if (p, s) == (person, system)]))
        for person in sorted({p for p, _, _ in rows})
    ]


def test_balanced_ratings_give_the_paired_t_test_of_the_participants_means() -> None:
    # Of balanced data, REML's fixed effect with random slopes is the mean difference, its standard
    # error that of the participants' differences.
    rows = simulated(seed=6, effect=1.221, people=10, items=8)
    model = fit_ratings(rows, "ab")
    assert model is not None
    assert model.model == SLOPES
    assert not model.notes
    assert (model.observations, model.participants) == (160, 10)
    expected = ttest_rel(means(rows, "b"), means(rows, "a"))
    [effect] = model.effects
    assert effect.estimate == pytest.approx(
        np.mean(means(rows, "b")) - np.mean(means(rows, "a")), abs=1e-6
    )
    assert effect.p_value == pytest.approx(expected.pvalue, rel=2e-3)
    interval = expected.confidence_interval(0.95)
    assert (effect.low, effect.high) == pytest.approx((interval.low, interval.high), abs=2e-3)
    assert effect.wald_low > effect.low
    assert model.intercept == pytest.approx(np.mean(means(rows, "a")), abs=1e-6)
    assert model.deviations["residual"] == pytest.approx(2.048, rel=0.2)
    assert {"intercept", "slope of b", "residual"} == set(model.deviations)


def test_the_papers_own_numbers() -> None:
    # SMART, table 5: estimate 1.221, standard error 0.310, 14 participants: 95 % CI 0.613 to 1.828,
    # p 0.002.
    from musiczoo.studies.ratings import _effect

    effect = _effect("SMART", 1.221, 0.310, 13)
    assert round(effect.p_value, 3) == 0.002
    assert (effect.wald_low, effect.wald_high) == pytest.approx((0.613, 1.828), abs=1e-3)


@pytest.mark.filterwarnings("ignore:.*:statsmodels.tools.sm_exceptions.ConvergenceWarning")
def test_the_formula_interface_gives_the_same_fit() -> None:
    pandas = pytest.importorskip("pandas")
    from statsmodels.formula.api import mixedlm

    rows = [
        row
        for number, row in enumerate(simulated(seed=3, effect=0.8, people=8, items=6))
        if number % 7
    ]  # not balanced
    table = pandas.DataFrame(rows, columns=["id", "system", "rating"])
    expected = mixedlm("rating ~ system", table, groups="id", re_formula="~system").fit(
        reml=True, method="bfgs"
    )
    model = fit_ratings(rows, "ab")
    assert model is not None
    assert model.model == SLOPES
    assert model.effects[0].estimate == pytest.approx(expected.params["system[T.b]"], abs=2e-3)
    assert model.effects[0].standard_error == pytest.approx(expected.bse["system[T.b]"], rel=1e-2)


@pytest.mark.slow
def test_three_systems_have_two_effects() -> None:
    rows = simulated(seed=5, effect=1.5, people=6, items=4, systems="abc")
    model = fit_ratings(rows, "abc")
    assert model is not None
    assert [effect.system for effect in model.effects] == ["b", "c"]
    for effect in model.effects:
        assert effect.estimate == pytest.approx(
            np.mean(means(rows, effect.system)) - np.mean(means(rows, "a")), abs=1e-3
        )


def test_a_simpler_model_is_used_and_said_where_slopes_cannot_be_told() -> None:
    rows = simulated(seed=1, effect=1.0, people=20, items=1)
    model = fit_ratings(rows, "ab")
    assert model is not None
    assert model.model == INTERCEPTS
    assert "nobody rated a system more than once" in model.notes[0]
    # Of one rating each, this is the paired t test too.
    assert model.effects[0].p_value == pytest.approx(
        ttest_rel(means(rows, "b"), means(rows, "a")).pvalue, rel=1e-3
    )


def test_means_are_tested_where_nothing_converges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "musiczoo.studies.ratings._fit", lambda model: (None, "the optimiser stopped")
    )
    rows = simulated(seed=4, effect=1.0, people=6, items=3)
    model = fit_ratings(rows, "ab")
    assert model is not None
    assert model.model == MEANS
    assert [note.startswith("The model with random") for note in model.notes] == [True, True, False]
    assert model.effects[0].p_value == pytest.approx(
        ttest_rel(means(rows, "b"), means(rows, "a")).pvalue
    )


def test_too_little_for_a_model() -> None:
    assert fit_ratings([("P1", "a", 3), ("P1", "b", 4)], "ab") is None
    assert fit_ratings([("P1", "a", 3), ("P2", "a", 4)], "ab") is None
    model = fit_ratings([(person, system, 5.0) for person in ("P1", "P2") for system in "ab"], "ab")
    assert model is not None
    assert model.effects == ()
    assert model.notes == ("All ratings are equal: no model was fitted.",)


@pytest.mark.slow
def test_intervals_hold_what_they_promise() -> None:
    covered = 0
    for seed in range(60):
        model = fit_ratings(simulated(seed, effect=1.0, people=10, items=6), "ab")
        assert model is not None
        covered += model.effects[0].low <= 1.0 <= model.effects[0].high
    assert (
        covered >= 53
    )  # 57 expected; 52 or fewer of 60 have a probability of 1 % at 95 % coverage
