"""Labels that condition generation, checked against those that a checkpoint was trained with.

A model generates under any labels, also under misspelt ones, and nothing in its output shows
the difference. So a label that the checkpoint never saw is refused unless it is meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unidecode import unidecode

from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels


@dataclass(frozen=True, slots=True)
class Prompt:
    """Labels that a checkpoint was trained with (NotaGen's prompt, section 3.3).

    Attributes:
        period: Such as ``"Baroque"``.
        composer: As listed on IMSLP, or the collection for folk tunes.
        instrumentation: Such as ``"Choral"``, or the rhythm for folk tunes.
        count: Training works with these labels.
    """

    period: str
    composer: str
    instrumentation: str
    count: int


def merged_prompts(known: Sequence[Prompt], found: Sequence[Sequence[Any]]) -> tuple[Prompt, ...]:
    """Prompts known and found, each triple of labels once.

    Args:
        known: Prompts.
        found: Rows of period, composer, instrumentation and count.

    Returns:
        The prompts; of a triple in both, the larger count.
    """
    counts = {(one.period, one.composer, one.instrumentation): one.count for one in known}
    for period, composer, instrumentation, count in found:
        labels = (str(period), str(composer), str(instrumentation))
        counts[labels] = max(int(count), counts.get(labels, 0))
    return tuple(Prompt(*labels, count) for labels, count in counts.items())


_FIELDS = ("period", "composer", "instrumentation")
_SHOWN = 3


def checked_labels(labels: Labels | Prompt, known: Sequence[Prompt], new: bool = False) -> Labels:
    """The labels as training writes them: in ASCII, without outer white space.

    Args:
        labels: Period, composer and instrumentation.
        known: The labels that the checkpoint was trained with; empty when they are not known, and
            then any will do.
        new: Allow labels, and combinations of them, that the checkpoint was not trained with.

    Raises:
        MusicZooError: A label is empty or starts with ``%``; or it, or the combination, is not
            among the known ones, with the nearest.
    """
    asked = _folded(labels)
    for name in _FIELDS:
        if not getattr(asked, name) or getattr(asked, name).startswith("%"):
            raise MusicZooError(
                f"The {name} {getattr(labels, name)!r} is no label.",
                remedy="Give text that does not start with %.",
            )
    if new or not known:
        return asked
    # A corpus may know its composers by other letters than models are asked for them.
    known = [_folded_prompt(prompt) for prompt in known]
    for name in _FIELDS:
        choices = list(
            dict.fromkeys(
                getattr(prompt, name) for prompt in sorted(known, key=lambda prompt: -prompt.count)
            )
        )
        if getattr(asked, name) not in choices:
            raise MusicZooError(
                f"The model was not trained with the {name} {getattr(asked, name)!r}.",
                remedy=(
                    f"Did you mean {_listed(_nearest(getattr(asked, name), choices))}?"
                    f" {_ON_PURPOSE}"
                ),
            )
    combinations = {
        Labels(prompt.period, prompt.composer, prompt.instrumentation): prompt.count
        for prompt in known
    }
    if asked not in combinations:
        # Those that share most come first, among equals the more frequent ones.
        near = sorted(
            combinations, key=lambda other: (-_shared(asked, other), -combinations[other])
        )[:_SHOWN]
        raise MusicZooError(
            f"The model was not trained with {_joined(asked)} together.",
            remedy=f"Did you mean {_listed([_joined(other) for other in near])}? {_ON_PURPOSE}",
        )
    return asked


def completed_labels(
    given: Mapping[str, str], known: Sequence[Prompt], new: bool = False
) -> Labels:
    """Labels of which some are missing, completed and checked (:func:`checked_labels`).

    Args:
        given: One label or more by name. The missing ones are those that go with them most often
            in the training data.
        known: As for :func:`checked_labels`.
        new: As for :func:`checked_labels`.

    Raises:
        MusicZooError: A label is missing and no labels are known; see also :func:`checked_labels`.
    """
    labels = dict(given)
    if len(given) < len(_FIELDS):
        if not known:
            raise MusicZooError(
                "A prompt has all three labels or no label.",
                remedy="Give --period, --composer and --instrumentation.",
            )
        fitting = [
            prompt
            for prompt in known
            if all(getattr(prompt, name) == value for name, value in given.items())
        ]
        likeliest = max(fitting or known, key=lambda prompt: prompt.count)
        labels = {name: getattr(likeliest, name) for name in _FIELDS} | labels
    return checked_labels(Labels(**labels), known, new)


def _folded(labels: Labels | Prompt) -> Labels:
    return Labels(*(" ".join(unidecode(getattr(labels, name)).split()) for name in _FIELDS))


def _folded_prompt(prompt: Prompt) -> Prompt:
    folded = _folded(prompt)
    return Prompt(folded.period, folded.composer, folded.instrumentation, prompt.count)


_ON_PURPOSE = "To use new labels on purpose, pass new_labels=True (--new-labels)."


def _nearest(word: str, choices: Sequence[str]) -> list[str]:
    folded = {choice.lower(): choice for choice in reversed(choices)}
    near = difflib.get_close_matches(word.lower(), folded, n=_SHOWN, cutoff=0.5)
    # A surname alone is how people write composers.
    within = [choice for lower, choice in folded.items() if word.lower() in lower]
    return list(
        dict.fromkeys(
            [*(folded[found] for found in near), *within, *([] if near or within else choices)]
        )
    )[:_SHOWN]


def _shared(one: Labels, other: Labels) -> int:
    # The composer matters most.
    return (
        2 * (one.composer == other.composer)
        + (one.period == other.period)
        + (one.instrumentation == other.instrumentation)
    )


def _joined(labels: Labels) -> str:
    return " / ".join((labels.period, labels.composer, labels.instrumentation))


def _listed(words: Sequence[str]) -> str:
    return " or ".join(repr(word) for word in words)
