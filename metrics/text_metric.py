"""What all metrics of texts share: pairs of prediction and reference, and a record of the program.

A figure such as "METEOR 0.4" can be compared with another one only where both come from the same
program with the same settings: two common programs of METEOR give 0.77 and 0.40 for one text. So
each metric here carries a :class:`MetricRecord`.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from musiczoo.music.errors import MusicZooError

INSTALL_EVAL = 'Install it: pip install "musiczoo[eval]".'


@dataclass(frozen=True, slots=True)
class MetricRecord:
    """What computed a figure.

    Attributes:
        name: Of the metric, as a table prints it.
        library: The Python package that computes it.
        version: Of that package.
        variant: Which of the metric's variants it is.
        settings: Further settings that change the figure.

    Example:
        >>> record = MetricRecord("METEOR (exact, stem)", "nltk", "3.9", "exact, stem")
        >>> record.key
        'meteor_exact_stem'
        >>> str(record)
        'METEOR (exact, stem): nltk 3.9, exact, stem'
    """

    name: str
    library: str
    version: str
    variant: str
    settings: str = ""

    @property
    def key(self) -> str:
        """The name in small letters, digits and underscores, for logs and JSON."""
        return re.sub(r"[^a-z0-9]+", "_", self.name.lower()).strip("_")

    def __str__(self) -> str:
        parts = (f"{self.library} {self.version}", self.variant, self.settings)
        return f"{self.name}: {', '.join(part for part in parts if part)}"


def missing_library(metric: str, library: str) -> MusicZooError:
    """The error for a metric whose library is not installed.

    >>> print(missing_library("BLEU", "sacrebleu"))
    BLEU needs the package sacrebleu. Install it: pip install "musiczoo[eval]".
    """
    return MusicZooError(f"{metric} needs the package {library}.", remedy=INSTALL_EVAL)


class TextMetric(Metric):
    """A metric of predicted texts, each beside one reference.

    Args:
        settings: Of :class:`torchmetrics.Metric`.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    @property
    @abstractmethod
    def record(self) -> MetricRecord:
        """The program and the settings that compute the figure."""

    def update(self, predictions: Sequence[str], references: Sequence[str]) -> None:
        """Adds texts.

        Args:
            predictions: The generated texts. An empty one is a wrong answer and counts.
            references: The text that each should be.

        Raises:
            MusicZooError: Another number of references than predictions, one string in place of a
                list, something that is no text, or a reference without a text.
        """
        _check_pairs(predictions, references)
        if predictions:
            self._add(list(predictions), list(references))

    @abstractmethod
    def _add(self, predictions: list[str], references: list[str]) -> None:
        """Adds at least one pair to the states."""


class MeanTextMetric(TextMetric):
    """A metric of texts that is the mean of a score of each pair.

    Args:
        settings: Of :class:`torchmetrics.Metric`.
    """

    total: Tensor
    texts: Tensor

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("texts", torch.tensor(0), dist_reduce_fx="sum")

    def compute(self) -> Tensor:
        """Scalar, 0 to 1; NaN before the first text."""
        return self.total / self.texts

    def _add(self, predictions: list[str], references: list[str]) -> None:
        for score in self._scores(predictions, references):
            self.total += score
            self.texts += 1

    @abstractmethod
    def _scores(self, predictions: list[str], references: list[str]) -> Iterable[float]:
        """The score of each pair, 0 to 1."""


def _check_pairs(predictions: Sequence[str], references: Sequence[str]) -> None:
    for where, texts in (("predictions", predictions), ("references", references)):
        if isinstance(texts, str):
            raise MusicZooError(
                "One string is no list of texts.", where=where, remedy="Give [text]."
            )
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise MusicZooError(
                    f"Number {place} is {type(text).__name__}, not a text.",
                    where=where,
                    remedy="Give one string for each text.",
                )
    if len(predictions) != len(references):
        raise MusicZooError(
            f"{len(predictions)} predictions with {len(references)} references.",
            where="references",
            remedy="Give one for each prediction.",
        )
    for place, text in enumerate(references):
        if not text.strip():
            raise MusicZooError(
                f"Number {place} is empty.",
                where="references",
                remedy="Leave out this pair; there is nothing to compare its prediction with.",
            )
