"""What a model can do, as protocols. Callers ask for these, never for a model's class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor

from musiczoo.models.base.objective import Batch
from musiczoo.models.prompts import Prompt

Writes = Literal["notation", "performance", "text", "labels"]
PromptKind = Literal["labels", "text", "tokens", "features", "questions"]


@runtime_checkable
class TakesLabels(Protocol):
    """Generates under labels (period, composer, instrumentation).

    Attributes:
        prompts: The labels that the weights were trained with; empty when they are not known.
    """

    prompts: tuple[Prompt, ...]


@runtime_checkable
class Continues(Protocol):
    """Continues a user's piece."""

    def continue_pieces(self, scores: Sequence[Any], bars: int | None = None) -> Sequence[Any]:
        """One result a score, in order."""
        ...


@runtime_checkable
class Encodes(Protocol):
    """Gives one vector a piece."""

    def features(self, pieces: Sequence[Any]) -> Tensor:
        """(n, dim) float32, un-normalised; a row does not depend on the other pieces."""
        ...


@runtime_checkable
class Distributes(Protocol):
    """Gives the probabilities of all choices, not of the targets alone."""

    def log_distribution(self, batch: Batch, temperature: float = 1.0) -> Tensor:
        """(batch, targets, choices) float32 log-probabilities, 0 where no target is scored."""
        ...


@runtime_checkable
class Answers(Protocol):
    """Answers questions about pieces."""

    def answer(self, pieces: Sequence[Any], questions: Sequence[str], **options: Any) -> list[str]:
        """One answer a pair of piece and question, in order; options are those of generation."""
        ...


@runtime_checkable
class Classifies(Protocol):
    """Gives the probabilities of labels.

    Attributes:
        labels: The labels, in the order of the columns.
    """

    labels: tuple[str, ...]

    def classify(self, pieces: Sequence[Any]) -> Tensor:
        """(n, labels) probabilities."""
        ...
