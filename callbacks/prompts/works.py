"""Labels as prompts: those of a data module's works, checked against those that a model knows."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any

from musiczoo.callbacks.prompts.sources import FixedPrompts, PromptSource
from musiczoo.datamodules.works import works_by_prompt
from musiczoo.models.prompts import Prompt, checked_labels
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels

__all__ = ["WorkPrompts", "checked_source", "real_works", "round_prompts", "works_by_prompt"]

_log = logging.getLogger(__name__)


class WorkPrompts:
    """The labels of a data module's training works, the most frequent first.

    Args:
        data: A data module with ``works`` and ``splits``, set up before the first prompt is drawn.
        min_works: Labels need more works than this.
        known: The labels that the model was trained with, others are left out; empty when they are
            not known, and then all are kept.

    Attributes:
        name: ``"works"``.
    """

    def __init__(self, data: Any, min_works: int = 10, known: Sequence[Prompt] = ()) -> None:
        self.name = "works"
        self.data = data
        self.min_works = min_works
        self.known = tuple(known)
        self._prompts: list[Labels] = []

    @property
    def prompts(self) -> list[Labels]:
        """The labels, each once.

        Raises:
            MusicZooError: No labels have enough works, or the model knows none of those that have.
        """
        if not self._prompts:
            works = works_by_prompt(self.data)
            self._prompts = round_prompts(None, works, self.min_works, self.known)
        return self._prompts

    def draw(self, count: int, rng: random.Random) -> list[Any]:
        """``count`` labels in random order, all once before any comes again."""
        return FixedPrompts(self.prompts).draw(count, rng)


def checked_source(source: PromptSource, known: Sequence[Prompt]) -> PromptSource:
    """A source whose listed labels are written as a model knows them, each once.

    Args:
        source: Any source; one that lists no prompts is returned as it is.
        known: The labels that the model was trained with; empty when they are not known.

    Raises:
        MusicZooError: Labels that the model does not know.
    """
    if not isinstance(source, FixedPrompts):
        return source
    checked = [
        checked_labels(prompt, known) if isinstance(prompt, Labels | Prompt) else prompt
        for prompt in source.prompts
    ]
    return FixedPrompts(checked, source.name)


def real_works(source: PromptSource, data: Any) -> dict[Labels, list[Work]]:
    """The training works of the prompts of a source, which rewards compare pieces with.

    Args:
        source: Where the prompts come from; of one that lists none, the works of all labels.
        data: A data module; without works, or None, there are none.
    """
    works = works_by_prompt(data)
    listed = getattr(source, "prompts", works)
    return {prompt: works[prompt] for prompt in listed if prompt in works}


def round_prompts(
    asked: Sequence[Labels] | None,
    works: Mapping[Labels, Sequence[Work]],
    min_works: int,
    known: Sequence[Prompt],
) -> list[Labels]:
    """The labels to sample for, as models are asked for them, each once.

    Args:
        asked: Those that the user named; None stands for all that have more than ``min_works``
            works and that the model knows.
        works: Of :func:`works_by_prompt`.
        min_works: Labels need more works than this.
        known: The labels that the model was trained with; empty when they are not known, and then
            any will do.

    Raises:
        MusicZooError: Named labels that the model does not know, or no labels at all.
    """
    if asked is not None:
        return list(dict.fromkeys(checked_labels(labels, known) for labels in asked))
    frequent = [labels for labels, some in works.items() if len(some) > min_works]
    prompts = [labels for labels in frequent if _is_known(labels, known)]
    if unknown := len(frequent) - len(prompts):
        _log.warning(
            "%d prompts of the data are left out: the model was not trained with them.", unknown
        )
    if not prompts:
        raise MusicZooError(
            f"No prompt that the model knows has more than {min_works} training works; of others"
            f" {len(frequent)} have.",
            where="PreferenceRounds(min_works=...)",
            remedy=(
                "Give ScoreDataModule(..., prompts=True) of a corpus with labels that the model was"
                " trained with, or name prompts=."
            ),
        )
    return prompts


def _is_known(labels: Labels, known: Sequence[Prompt]) -> bool:
    try:
        checked_labels(labels, known)
    except MusicZooError:
        return False
    return True
