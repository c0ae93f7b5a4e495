"""Rendered passages of real pieces beside degraded ones, as log-mel spectrograms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from musiczoo.datamodules.base import CorpusDataModule
from musiczoo.datamodules.graded_passages import (
    Graded,
    GradedItems,
    collate_graded,
    only_the_real,
)
from musiczoo.datamodules.scores import ScoreDataModule
from musiczoo.datamodules.works import repeated
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.degradation.passages import Passages
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.log_mel import LogMel

__all__ = [
    "DegradedPassagesDataModule",
    "DegradedTakesDataModule",
    "Graded",
    "GradedItems",
    "collate_graded",
    "only_the_real",
]


class DegradedPassagesDataModule(CorpusDataModule):
    r"""Passages of pieces with worse versions of each, for an audio scorer.

    A training item is a real passage, the same passage with one degradation in two strengths, one
    with another degradation, and one that is degraded twice, silent or noise. A validation item has
    each kind once. Near-duplicates stay in one split.

    Args:
        corpus: Name of a built-in corpus, a folder or file, or several of these, or tunes or works
            themselves.
        representation: Of the model; None for the ``representation`` of the module that the
            trainer fits.
        takes: How passages are drawn.
        number: How many passages of a work there are; the epochs go through them in turn.
        repeats: How often each epoch has the works of a corpus, by its name, each time with other
            passages.
        soundfont: For rendering: a path or a name; None for the default.
        exclude: Corpora, folders, tunes or works that must stay unseen, with their near-duplicates.
        folder: Keeps what was rendered, some 100 kB a passage; None renders it again each time.
        settings: ``test_fraction`` (the part of the clusters for testing; 0 by default), and those
            of :class:`musiczoo.datamodules.base.DataSettings`. A batch holds five clips of each of
            its works. Rendering needs more time than training a small net on the clips, so worker
            processes help.

    Raises:
        MusicZooError: A number below 1.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> tunes = [read_abc(f"L:1/4\nK:C\n{bars}|\n") for bars in ("CDEF|G4", "eccc|B4")]
        >>> data = DegradedPassagesDataModule(tunes, LogMel(16), val_fraction=0, progress=False)
        >>> len(data.items(data.splits.train, training=True))
        2
    """

    def __init__(
        self,
        corpus: str | Path | Sequence[Any] = "bach-chorales",
        representation: LogMel | None = None,
        *,
        takes: Passages | None = None,
        number: int = 2,
        repeats: Mapping[str, int] | None = None,
        soundfont: str | None = None,
        exclude: str | Path | Sequence[Any] = (),
        folder: str | Path | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(representation, **settings)
        if number < 1:
            raise MusicZooError(
                f"A work cannot have {number} passages.", where="number", remedy="Give 1 or more."
            )
        self.takes = takes or Passages()
        self.number = number
        self.soundfont = soundfont
        self.folder = Path(folder) if folder is not None else None
        # It knows how works are found, split and recorded.
        self._scores = ScoreDataModule(
            corpus,
            keys="original",
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            split_seed=self.split_seed,
            exclude=exclude,
            repeats=repeats,
            cache=self.cache,
            progress=self.progress,
        )

    def prepare_data(self) -> None:
        """Read the corpora into the cache, in one process of each machine."""
        self._scores.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Load the works and split them; the stage changes nothing."""
        self._scores.setup(stage)
        self._splits = self._scores.splits

    @property
    def works(self) -> list[Work]:
        """The pieces."""
        self.setup()
        return self._scores.works

    def provenance(self) -> dict[str, Any]:
        """What a checkpoint records of the data that it was trained on, as plain JSON values."""
        of_notation = ("keys", "conditioning", "batch_size")
        record = self._scores.provenance()
        return {
            **{name: value for name, value in record.items() if name not in of_notation},
            "batch_size": self.batch_size,
            "takes": asdict(self.takes),
            "number": self.number,
            "soundfont": Path(self.soundfont).name if self.soundfont else "default",
        }

    def items(self, indices: Sequence[int], *, training: bool) -> GradedItems:
        """Works of :attr:`works` as graded passages, as the loaders give them.

        Args:
            indices: Of the works.
            training: As the training loader gives them, with repeats; otherwise as the validation
                loader does.
        """
        if training:
            indices = repeated(indices, self.works, self._scores.repeats)
        return GradedItems(
            [self.works[index] for index in indices],
            self._representation(),
            self.takes,
            number=self.number if training else 1,
            every_kind=not training,
            soundfont=self.soundfont,
            seed=self.seed if training else self.split_seed,
            folder=self.folder,
        )

    def _blank(self) -> Callable[[Any], Any]:
        return only_the_real

    def _collate(self) -> Callable[[Sequence[Any]], Any]:
        return collate_graded

    def _representation(self) -> LogMel:
        representation = super()._representation()
        if not isinstance(representation, LogMel):
            raise MusicZooError(
                "It is not known how to turn sound into tensors.",
                where="representation",
                remedy="Give representation=model.representation.",
            )
        return representation


DegradedTakesDataModule = DegradedPassagesDataModule  # the name until 0.1
