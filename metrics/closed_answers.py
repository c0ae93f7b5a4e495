"""Accuracy of answers to closed questions, beside that of the most frequent answer.

A closed question has few possible answers ("Is the piece in a major key?", "Which meter?"). Where
four training answers of five are "4/4", a model that never reads the music is right in 80 % of the
cases. So each accuracy stands beside that of the answer that is the most frequent one in training.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from musiczoo.music.errors import MusicZooError


def normalised_answer(text: str) -> str:
    """An answer as it is compared: without outer white space, case and one final full stop.

    Nothing else is changed: "3/4" and "three four" are two answers, and so are "C# minor" and
    "C sharp minor".

    >>> normalised_answer("  Yes. ")
    'yes'
    """
    return text.strip().removesuffix(".").strip().casefold()


def majority_answers(answers: Sequence[str], tags: Sequence[str]) -> dict[str, str]:
    """The most frequent answer for each tag, normalised.

    Args:
        answers: Of the training set. Never those of the test set, whose most frequent answer a
            model cannot know.
        tags: The question of each, or its kind.

    Returns:
        By tag, in alphabetical order; of equally frequent answers the first in the alphabet.

    Raises:
        MusicZooError: No answers, another number of tags, or an empty answer.

    Example:
        >>> majority_answers(["Yes.", "no", "yes", "3/4"], ["major", "major", "major", "meter"])
        {'major': 'yes', 'meter': '3/4'}
    """
    if len(answers) != len(tags) or not answers:
        raise MusicZooError(
            f"{len(answers)} training answers with {len(tags)} tags.",
            where="tags",
            remedy="Give one for each of some answers.",
        )
    counts: dict[str, Counter[str]] = {tag: Counter() for tag in sorted(set(tags))}
    for place, (answer, tag) in enumerate(zip(answers, tags, strict=True)):
        if not (plain := normalised_answer(answer)):
            raise MusicZooError(
                f"Training answer {place} is empty.", where="answers", remedy="Leave it out."
            )
        counts[tag][plain] += 1
    return {
        tag: min(found.items(), key=lambda row: (-row[1], row[0]))[0]
        for tag, found in counts.items()
    }


@dataclass(frozen=True, slots=True)
class TagAccuracy:
    """The answers to one question.

    Attributes:
        questions: Number of answers that were judged.
        right: Number of right ones.
        majority_right: Number of references that are the most frequent training answer.
        majority_answer: That answer, normalised.
    """

    questions: int
    right: int
    majority_right: int
    majority_answer: str

    @property
    def accuracy(self) -> float:
        """Right answers in percent; NaN without questions."""
        return 100.0 * self.right / self.questions if self.questions else float("nan")

    @property
    def majority(self) -> float:
        """Percent that are right when the most frequent training answer is given always."""
        return 100.0 * self.majority_right / self.questions if self.questions else float("nan")


class ClosedAnswers(Metric):
    """Closed questions that were answered right, beside the majority answer, in percent.

    An answer is right when it equals the reference after :func:`normalised_answer`. :meth:`by_tag`
    gives each question's own figures and counts.

    Args:
        majority: The most frequent training answer by tag, from :func:`majority_answers`.
        settings: Of :class:`torchmetrics.Metric`.

    Raises:
        MusicZooError: There are no tags.

    Example:
        >>> metric = ClosedAnswers(majority_answers(["yes", "yes", "no"], ["major"] * 3))
        >>> metric.update(["Yes.", "no", "maybe"], ["yes", "no", "no"], ["major"] * 3)
        >>> {name: round(value.item(), 4) for name, value in metric.compute().items()}
        {'accuracy': 66.6667, 'majority': 33.3333, 'questions': 3}
        >>> metric.by_tag()["major"]
        TagAccuracy(questions=3, right=2, majority_right=1, majority_answer='yes')
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    counts: Tensor

    def __init__(self, majority: Mapping[str, str], **settings: Any) -> None:
        super().__init__(**settings)
        if not majority:
            raise MusicZooError(
                "There is no training answer.",
                where="majority",
                remedy="Give majority_answers(answers, tags) of the training set.",
            )
        self.majority = {tag: normalised_answer(answer) for tag, answer in majority.items()}
        self.tags = tuple(self.majority)
        self.places = {tag: place for place, tag in enumerate(self.tags)}
        # (tags, 3): questions, right, right by the majority answer
        self.add_state(
            "counts", torch.zeros(len(self.tags), 3, dtype=torch.int64), dist_reduce_fx="sum"
        )

    def update(
        self, predictions: Sequence[str], references: Sequence[str], tags: Sequence[str]
    ) -> None:
        """Adds answers.

        Args:
            predictions: The generated answers; an empty one is wrong.
            references: The right ones.
            tags: The question of each, or its kind.

        Raises:
            MusicZooError: Unequal lengths, an empty reference, or a tag without training answers.
        """
        if not len(predictions) == len(references) == len(tags):
            raise MusicZooError(
                f"{len(predictions)} answers with {len(references)} references and"
                f" {len(tags)} tags.",
                where="references",
                remedy="Give one of each for every question.",
            )
        if unknown := [tag for tag in tags if tag not in self.places]:
            near = difflib.get_close_matches(unknown[0], self.tags, n=2) or self.tags[:3]
            raise MusicZooError(
                f"There is no training answer for {unknown[0]!r}.",
                where="tags",
                remedy=f"There are some for {', '.join(near)}.",
            )
        added = torch.zeros_like(self.counts)
        for place, (given, right, tag) in enumerate(
            zip(predictions, references, tags, strict=True)
        ):
            if not (expected := normalised_answer(right)):
                raise MusicZooError(
                    f"Number {place} is empty.", where="references", remedy="Leave it out."
                )
            added[self.places[tag]] += torch.tensor(
                [1, normalised_answer(given) == expected, self.majority[tag] == expected],
                device=added.device,
            )
        self.counts += added

    def compute(self) -> dict[str, Tensor]:
        """Scalars over all questions: ``accuracy`` and ``majority``, percent, and ``questions``.

        NaN before the first question.
        """
        self._by_tag = {
            tag: TagAccuracy(asked, right_ones, by_majority, self.majority[tag])
            for tag, (asked, right_ones, by_majority) in zip(
                self.tags, self.counts.tolist(), strict=True
            )
            if asked
        }
        questions, right, majority_right = self.counts.sum(dim=0)
        return {
            "accuracy": 100.0 * right.double() / questions,
            "majority": 100.0 * majority_right.double() / questions,
            "questions": questions,
        }

    def by_tag(self) -> dict[str, TagAccuracy]:
        """The figures and counts of each tag that was asked, over all processes."""
        self.compute()
        return self._by_tag
