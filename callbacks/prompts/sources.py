"""Sources of prompts: what the pieces of a rollout step, or of a preference round, begin with."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from musiczoo.callbacks.prompts.records import prompt_text
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels

__all__ = ["FixedPrompts", "PromptSource", "as_prompt_source", "prompt_text"]


@runtime_checkable
class PromptSource(Protocol):
    """Draws prompts.

    A source whose prompts can be listed has them as ``prompts`` too; preference rounds sample for
    all of them unless they are given a number of prompts.

    Attributes:
        name: For reports, and to distinguish runs.
    """

    name: str

    def draw(self, count: int, rng: random.Random) -> list[Any]:
        """Prompts as ``generate`` of the module takes them.

        Args:
            count: How many.
            rng: Decides which; equal random numbers give equal prompts.
        """
        ...


class FixedPrompts:
    """A list of prompts, of which some are drawn at random, all once before any comes again.

    Args:
        prompts: As ``generate`` of the module takes them. A mapping of ``period``, ``composer`` and
            ``instrumentation``, as YAML has it, is read as labels.
        name: For reports.

    Raises:
        MusicZooError: An empty list, or a mapping of other names.

    Example:
        >>> FixedPrompts(["a", "b", "c"]).draw(4, random.Random(0))
        ['b', 'c', 'a', 'b']
    """

    def __init__(self, prompts: Sequence[Any], name: str = "fixed") -> None:
        self.prompts = [_read(prompt) for prompt in prompts]
        self.name = name
        if not self.prompts:
            raise MusicZooError(
                "There are no prompts.",
                where="prompts",
                remedy='Give at least one; the empty text "" starts from nothing.',
            )

    def draw(self, count: int, rng: random.Random) -> list[Any]:
        """``count`` of the prompts in random order; some repeat where there are fewer."""
        drawn: list[Any] = []
        while len(drawn) < count:
            drawn += rng.sample(self.prompts, min(count - len(drawn), len(self.prompts)))
        return drawn


def as_prompt_source(prompts: PromptSource | Sequence[Any]) -> PromptSource:
    """A source as it is, or a list of prompts as :class:`FixedPrompts`.

    Raises:
        MusicZooError: An empty list, or one text where a list is meant.
    """
    if isinstance(prompts, PromptSource):
        return prompts
    if isinstance(prompts, str | Tensor):
        raise MusicZooError(
            "One prompt is no list of prompts.", where="prompts", remedy="Write [prompt]."
        )
    return FixedPrompts(prompts)


def _read(prompt: Any) -> Any:
    """A prompt as it is, or labels where it is a mapping."""
    if not isinstance(prompt, Mapping):
        return prompt
    names = [field.name for field in fields(Labels)]
    if {*prompt} != {*names}:
        raise MusicZooError(
            f"A prompt of {', '.join(map(str, prompt)) or 'no names'} is no labels.",
            where="prompts",
            remedy=f"Give {', '.join(names)}.",
        )
    return Labels(**prompt)
