"""The settings of rollout steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from musiczoo.callbacks.run_folder import plain_text
from musiczoo.models.objectives.policy import Scale
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError

_UNCUT = Sampling(top_k=0, top_p=1.0, min_p=0.0, temperature=1.0)


@dataclass(frozen=True)
class RolloutSettings:
    """The settings of all steps of a fit.

    Args:
        groups: Prompts a step, over all processes.
        group_size: Completions a prompt.
        max_new_tokens: Longest completion, for modules whose ``generate`` counts in tokens.
        max_length: Longest piece in the units of the module's ``generate``, prompt included, for
            those that count otherwise.
        sampling: How tokens are drawn; None stands for the full softmax at temperature 1. With a
            cut the policy that samples is another than the one that is trained.
        scale: What advantages are divided by: the deviation of the ``"group"``, of the ``"batch"``,
            or nothing (``"none"``).
        iterations: Optimiser steps a rollout step; with more than one the ratio of policies
            matters.
        reward_timeout: Seconds that the reward may take for a step; None for any time.
        seed: Of prompts and sampling.
        generation: Further options of the module's ``generate``, such as ``{"guard": "grammar"}``.

    Raises:
        MusicZooError: A number out of range.
    """

    groups: int = 8
    group_size: int = 8
    max_new_tokens: int | None = 256
    max_length: int | None = None
    sampling: Sampling | None = None
    scale: Scale = "group"
    iterations: int = 1
    reward_timeout: float | None = 120.0
    seed: int = 0
    generation: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if min(self.groups, self.iterations) < 1:
            raise MusicZooError(
                "GroupRollouts needs one step, group, iteration and completion of a batch at least."
            )
        if self.group_size < 2:
            raise MusicZooError(
                "A completion is compared with the others of its prompt, and there are none.",
                where="group_size",
                remedy="Give 2 or more; 8 is common.",
            )
        if self.reward_timeout is not None and self.reward_timeout <= 0:
            raise MusicZooError(
                "A reward needs time.",
                where="reward_timeout",
                remedy="Give seconds, or None for any time.",
            )
        if self.drawing.temperature == 0:
            raise MusicZooError(
                "Without randomness all completions of a prompt are the same.",
                where="sampling",
                remedy="Give a temperature above 0.",
            )
        # A copy that is a plain mapping, whatever was given.
        object.__setattr__(self, "generation", dict(self.generation or {}))

    @property
    def drawing(self) -> Sampling:
        """How tokens are drawn."""
        return self.sampling or _UNCUT

    @property
    def options(self) -> dict[str, Any]:
        """Further options of ``generate``."""
        return dict(self.generation or {})

    def to_dict(self) -> dict[str, Any]:
        """What decides the rollouts, as plain JSON values, the same in another process."""
        # How long one waits for a reward decides nothing.
        plain = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name != "reward_timeout"
        }
        plain["sampling"] = asdict(self.drawing)
        plain["generation"] = {name: plain_text(value) for name, value in self.options.items()}
        return plain

    def numbers(self) -> dict[str, int | None]:
        """The sizes, lengths and seed, for the provenance of a model."""
        names = ("groups", "group_size", "max_new_tokens", "max_length", "seed", "iterations")
        return {name: getattr(self, name) for name in names}
