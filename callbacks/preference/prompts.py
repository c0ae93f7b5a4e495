"""Which prompts a preference round writes for, and the real works of each."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from musiczoo.datamodules.works import works_by_prompt as works_by_prompt
from musiczoo.models.prompts import Prompt
from musiczoo.models.prompts import checked_labels
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels

_log = logging.getLogger(__name__)


def round_prompts(
    asked: Sequence[Labels] | None,
    works: Mapping[Labels, Sequence[Work]],
    min_works: int,
    known: Sequence[Prompt],
) -> list[Labels]:
    """The prompts of all rounds, as models are asked for them, each once.

    Args:
        asked: Those that the user named; None takes all with more than ``min_works`` works that the
            model knows.
        works: Of :func:`works_by_prompt`.
        min_works: A prompt needs more.
        known: What the model was trained with; empty when that is not known, and then any will do.

    Raises:
        MusicZooError: A named prompt that the model does not know, or no prompt at all.
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
