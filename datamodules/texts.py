"""Texts for language models."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from musiczoo.datamodules.base import CorpusDataModule
from musiczoo.datamodules.resumable import Draw
from musiczoo.datamodules.splits import split_by_cluster
from musiczoo.music.errors import MusicZooError

_log = logging.getLogger(__name__)


class TextItems:
    """Texts as ids, by draw.

    Args:
        texts: The texts.
        representation: Turns them into ids.
    """

    def __init__(self, texts: Sequence[str], representation: Any) -> None:
        self.texts = texts
        self.representation = representation
        self.names = [str(number) for number in range(len(texts))]

    @property
    def lengths(self) -> list[int]:
        """Characters."""
        return [len(text) for text in self.texts]

    def __getitem__(self, draw: Draw) -> Tensor:
        ids: Tensor = self.representation.encode(self.texts[draw.index])
        return ids


class TextDataModule(CorpusDataModule):
    r"""Texts, each with both of its ends; equal texts are in one split.

    Args:
        texts: The texts; empty ones are left out and counted.
        representation: Of the model; None for that of the module that the trainer fits.
        settings: ``test_fraction`` and those of :class:`musiczoo.datamodules.base.DataSettings`.

    Example:
        >>> from musiczoo.representations.text_tokens import TextTokens
        >>> data = TextDataModule(["one", "two"], TextTokens.bytes(), val_fraction=0.0)
        >>> next(iter(data.train_dataloader()))["ids"].shape
        torch.Size([2, 5])
    """

    def __init__(self, texts: Sequence[str], representation: Any = None, **settings: Any) -> None:
        super().__init__(representation, **settings)
        self.texts = [text for text in texts if text.strip()]
        self.empty = len(texts) - len(self.texts)

    def setup(self, stage: str | None = None) -> None:
        """Splits the texts; the stage changes nothing."""
        if self._splits is not None:
            return
        if self.empty:
            _log.warning("%d empty texts are left out.", self.empty)
        if not self.texts:
            raise MusicZooError("There is no text to train on.", remedy="Give texts.")
        self._splits = split_by_cluster(
            self.texts, validation=self.val_fraction, test=self.test_fraction, seed=self.split_seed
        )

    def items(self, indices: Sequence[int], *, training: bool) -> TextItems:
        """Texts as the items of the loaders."""
        self.setup()
        return TextItems([self.texts[index] for index in indices], self._representation())

    def provenance(self) -> dict[str, Any]:
        """What a checkpoint records of the data, as plain JSON values."""
        return {"corpus": ["texts"], "texts": self._sizes(), "conditioning": {}}
