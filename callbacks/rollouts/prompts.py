"""What the pieces of a rollout step begin with."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from musiczoo.models.prompts import Prompt
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels


@runtime_checkable
class PromptSource(Protocol):
    """Draws prompts.

    Attributes:
        name: For reports, and to tell one run from another.
    """

    name: str

    def draw(self, count: int, rng: random.Random) -> list[Any]:
        """Prompts as ``generate`` of the module takes them.

        The same for the same random numbers.
        """
        ...


class FixedPrompts:
    """A list of prompts of which each step takes some at random: every one once before any comes again.

    Args:
        prompts: As ``generate`` of the module takes them.
        name: For reports.

    Raises:
        MusicZooError: An empty list.
    """

    def __init__(self, prompts: Sequence[Any], name: str = "fixed") -> None:
        self.prompts = list(prompts)
        self.name = name
        if not self.prompts:
            raise MusicZooError(
                "There are no prompts.",
                where="prompts",
                remedy='Give at least one; the empty text "" starts from nothing.',
            )

    def draw(self, count: int, rng: random.Random) -> list[Any]:
        """So many of the prompts in random order.

        More than there are only where more are asked for.
        """
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


def prompt_text(prompt: Any, vocabulary: Sequence[str] | None) -> str:
    """A prompt for people to read.

    Args:
        prompt: As ``generate`` takes it: text, labels or token ids.
        vocabulary: The tokens by id, where the representation has some.
    """
    if isinstance(prompt, Tensor):
        ids = prompt.flatten().tolist()
        return " ".join(
            vocabulary[index] if vocabulary and 0 <= index < len(vocabulary) else str(index)
            for index in ids
        )
    if isinstance(prompt, Labels | Prompt):
        return " / ".join((prompt.period, prompt.composer, prompt.instrumentation))
    return str(prompt)
