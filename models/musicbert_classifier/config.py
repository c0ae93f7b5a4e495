"""Sizes and labels of MusicBERT's downstream tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from musiczoo.models.musicbert.config import MusicBertConfig
from musiczoo.music.errors import MusicZooError


@dataclass(frozen=True)
class MusicBertClassifierConfig(MusicBertConfig):
    """Sizes and labels.

    Attributes:
        labels: Their names, in the order of the outputs; empty until data has stated them.
        several: Whether a piece may have several labels or none (sigmoid), or has one (softmax).
        head_dropout: Dropout of the head; published 0.
    """

    dropouts: ClassVar[tuple[str, ...]] = ("dropout", "head_dropout")

    labels: tuple[str, ...] = ()
    several: bool = False
    head_dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "labels", tuple(self.labels))
        if len(set(self.labels)) != len(self.labels):
            raise MusicZooError(
                "Two labels have the same name.", where="labels", remedy="Give each once."
            )

    @property
    def label_count(self) -> int:
        """Outputs of the head; one where the labels are not known yet."""
        return max(1, len(self.labels))
