"""The objective that rollouts are trained by."""

from __future__ import annotations

import logging
from typing import Any

from musiczoo.models.base.objective import Objective
from musiczoo.models.objectives import GRPO
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError

_log = logging.getLogger(__name__)


def rollout_objective(objective: Objective | None, beta: float, sampling: Sampling) -> Objective:
    """The objective; SMART's GRPO when None.

    Args:
        objective: Any, of the sampling's temperature where it has one.
        beta: Weight of the divergence from the reference, for the default.
        sampling: How the completions are drawn; cuts are warned of.

    Raises:
        MusicZooError: The objective has another temperature.
    """
    temperature = sampling.temperature
    if objective is None:
        objective = GRPO(
            beta=beta, aggregation="bnpo", bias_correction=False, temperature=temperature
        )
    trained = getattr(objective, "temperature", temperature)
    if trained != temperature:
        raise MusicZooError(
            f"The completions are sampled at temperature {temperature} and trained on at"
            f" {trained}.",
            where="objective",
            remedy="Give the objective the temperature of the sampling.",
        )
    if not sampling.uncut:
        _log.warning(
            "The rollouts are sampled with cuts, which the loss does not know:"
            " Sampling(top_k=0, top_p=1) has none."
        )
    return objective


def described(objective: Objective) -> dict[str, Any]:
    """The class of an objective and those of its settings that are plain values."""
    plain = {
        name: value
        for name, value in vars(objective).items()
        if value is None or isinstance(value, bool | int | float | str)
    }
    return {"class": type(objective).__name__, **plain}
