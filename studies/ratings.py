"""The linear mixed-effects model ``rating ~ system`` of SMART's listening study.

SMART (Jonason et al. 2025, section 4.3 and table 5) fits ``rating ~ system + (system | id)`` by
REML with R's lme4: a fixed effect of the system, a random intercept and slope by participant. Here
statsmodels fits it, and where that does not converge, something simpler.

Its p-values and intervals are Wald's, which with a dozen participants come out too small; ours are
of Student's t. With the slopes of n participants there are n - 1 degrees of freedom: so does
Satterthwaite's method count for balanced data, and the paper's p agrees (1.221 with standard error
0.310 and 14 participants: 0.002). Wald's values are given as well (the paper's intervals are
Wald's).
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from musiczoo.music.errors import MusicZooError
from musiczoo.studies.design import INSTALL_STUDY

SLOPES = "random intercept and slope by participant (REML)"
INTERCEPTS = "random intercept by participant (REML)"
MEANS = "participants' mean differences (paired t)"
# No optimiser always finds the maximum. The first two report when they have not; of the others the
# likeliest result is used.
_OPTIMISERS = (("bfgs",), ("cg",), ("lbfgs", "powell", "nm"))
#: A variance between participants below this share of the residual's counts as zero.
_BOUNDARY = 1e-3


@dataclass(frozen=True, slots=True)
class Effect:
    """By how much a system is rated above the baseline.

    Attributes:
        system: The system.
        estimate: Difference of ratings.
        standard_error: Of the estimate.
        degrees: Degrees of freedom of its t.
        low: Lower end of the 95 % interval (t).
        high: Upper end.
        p_value: Two-sided, of t.
        wald_low: Lower end of Wald's interval.
        wald_high: Upper end.
        wald_p_value: Wald's p-value.
    """

    system: str
    estimate: float
    standard_error: float
    degrees: int
    low: float
    high: float
    p_value: float
    wald_low: float
    wald_high: float
    wald_p_value: float


@dataclass(frozen=True)
class RatingModel:
    """A fitted model and its results.

    Attributes:
        model: Which model; :data:`SLOPES`, or a simpler one.
        baseline: The system that the others are compared with.
        intercept: Its rating; None in :data:`MEANS`.
        effects: One for each other system.
        deviations: Standard deviations of the participants' intercepts and slopes and of the
            residual, those that the model has.
        observations: Number of ratings.
        participants: Number of participants.
        notes: Why no fuller model was used, and remarks on the fit.
    """

    model: str
    baseline: str
    intercept: float | None
    effects: tuple[Effect, ...]
    deviations: dict[str, float]
    observations: int
    participants: int
    notes: tuple[str, ...]


def fit_ratings(
    ratings: Sequence[tuple[str, str, float]], systems: Sequence[str]
) -> RatingModel | None:
    """Fit ``rating ~ system``, by participant.

    Args:
        ratings: Participant, system and rating of each observation.
        systems: The systems; the first is the baseline.

    Returns:
        The fullest model that converged, or None when there are fewer than two participants or a
        system has no rating.

    Raises:
        MusicZooError: statsmodels is not installed.
    """
    try:
        from statsmodels.regression.mixed_linear_model import MixedLM
    except ImportError as error:
        raise MusicZooError(
            "Mixed-effects models are fitted by statsmodels, which is not installed.",
            remedy=INSTALL_STUDY,
        ) from error
    people = sorted({participant for participant, _, _ in ratings})
    if len(people) < 2 or {system for _, system, _ in ratings} != set(systems) or len(systems) < 2:
        return None
    scores = np.array([rating for _, _, rating in ratings], dtype=float)
    groups = np.array([people.index(participant) for participant, _, _ in ratings])
    fixed = np.array(
        [[1.0, *(float(system == other) for other in systems[1:])] for _, system, _ in ratings]
    )
    notes: list[str] = []
    counts = (len(scores), len(people))
    if np.ptp(scores) == 0:
        notes.append("All ratings are equal: no model was fitted.")
        return RatingModel(MEANS, systems[0], float(scores[0]), (), {}, *counts, tuple(notes))
    within = len(scores) - len(people) - (len(systems) - 1)
    repeated = max(Counter((person, system) for person, system, _ in ratings).values()) > 1
    if not repeated:
        notes.append(
            "No slopes by participant: nobody rated a system more than once, so that slopes"
            " cannot be separated from the residual."
        )
    choices = [(SLOPES, fixed, len(people) - 1)] if repeated else []
    for name, random, degrees in (*choices, (INTERCEPTS, fixed[:, :1], within)):
        fit, why = _fit(MixedLM(scores, fixed, groups=groups, exog_re=random))
        if fit is None:
            notes.append(f"The model with {name} did not converge ({why}).")
        elif degrees < 1:
            notes.append(f"Too few ratings for {name}.")
        else:
            return _fitted(name, fit, systems, degrees, counts, notes)
    return _of_means(ratings, systems, people, notes)


def _fitted(
    name: str,
    fit: Any,
    systems: Sequence[str],
    degrees: int,
    counts: tuple[int, int],
    notes: list[str],
) -> RatingModel:
    """The result of a fit of statsmodels with that number of ratings and participants."""
    covariance = np.atleast_2d(fit.cov_re)
    variances = np.diag(covariance)
    if np.linalg.eigvalsh(covariance).min() < _BOUNDARY * fit.scale:
        notes.append(
            "On the boundary: a variance between participants is estimated as zero, or a"
            " correlation as one."
        )
    terms = ["intercept", *(f"slope of {system}" for system in systems[1:])][: len(variances)]
    deviations = {
        term: math.sqrt(max(0.0, float(value)))
        for term, value in zip(terms, variances, strict=True)
    }
    deviations["residual"] = math.sqrt(float(fit.scale))
    effects = tuple(
        _effect(system, float(fit.fe_params[number]), float(fit.bse_fe[number]), degrees)
        for number, system in enumerate(systems[1:], 1)
    )
    intercept = float(fit.fe_params[0])
    return RatingModel(name, systems[0], intercept, effects, deviations, *counts, tuple(notes))


def _fit(model: Any) -> tuple[Any, str]:
    """The likeliest fit of the optimisers that converged, or None and the reasons."""
    reasons: list[str] = []
    for optimisers in _OPTIMISERS:
        fits = []
        for optimiser in optimisers:
            with warnings.catch_warnings():
                # What the optimisers warn of is judged below by the result itself.
                warnings.simplefilter("ignore")
                try:
                    fit = model.fit(reml=True, method=optimiser)
                except (np.linalg.LinAlgError, ValueError) as error:
                    reasons.append(str(error))
                    continue
                errors = np.asarray(fit.bse_fe)
            if (
                fit.converged
                and np.isfinite(fit.llf)
                and np.isfinite(errors).all()
                and (errors > 0).all()
                and fit.scale > 0
            ):
                fits.append(fit)
            else:
                reasons.append(
                    "standard errors are not finite"
                    if fit.converged
                    else f"{optimiser} stopped before the maximum"
                )
        if fits:
            return max(fits, key=lambda fit: float(fit.llf)), ""
    return None, "; ".join(dict.fromkeys(reasons))


def _of_means(
    ratings: Sequence[tuple[str, str, float]],
    systems: Sequence[str],
    people: Sequence[str],
    notes: list[str],
) -> RatingModel:
    means = {
        (person, system): np.mean(values)
        for person in people
        for system in systems
        if (values := [rating for name, of, rating in ratings if (name, of) == (person, system)])
    }
    effects = []
    for system in systems[1:]:
        differences = [
            means[person, system] - means[person, systems[0]]
            for person in people
            if {(person, system), (person, systems[0])} <= set(means)
        ]
        error = (
            float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
            if len(differences) > 1
            else 0.0
        )
        if error > 0:
            effects.append(
                _effect(system, float(np.mean(differences)), error, len(differences) - 1)
            )
        else:
            notes.append(
                f"Too few participants with different ratings of {systems[0]} and {system} for a"
                " test."
            )
    notes.append("The participants' mean differences were tested instead.")
    return RatingModel(
        MEANS, systems[0], None, tuple(effects), {}, len(ratings), len(people), tuple(notes)
    )


def _effect(system: str, estimate: float, error: float, degrees: int) -> Effect:
    from scipy.stats import norm, t

    half, wald = float(t.ppf(0.975, degrees)) * error, float(norm.ppf(0.975)) * error
    return Effect(
        system=system,
        estimate=estimate,
        standard_error=error,
        degrees=degrees,
        low=estimate - half,
        high=estimate + half,
        p_value=float(2 * t.sf(abs(estimate / error), degrees)),
        wald_low=estimate - wald,
        wald_high=estimate + wald,
        wald_p_value=float(2 * norm.sf(abs(estimate / error))),
    )
