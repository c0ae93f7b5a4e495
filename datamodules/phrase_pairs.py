"""Pairs of phrases that belong together, and others: melody completion and accompaniments."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from musiczoo.datamodules.base import CorpusDataModule, SplitItems
from musiczoo.datamodules.phrase_items import LABELS, CandidateGroups, PairItems, PairSettings
from musiczoo.datamodules.phrases import PhrasePair, pairs_of, read_pieces
from musiczoo.datamodules.splits import split_by_cluster
from musiczoo.datamodules.tokenising import reason_of
from musiczoo.datamodules.works import listed, source_names
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.piano_stream import ALL_AS_PIANO, fingerprint, reduced
from musiczoo.music.near_duplicates import clusters
from musiczoo.representations.octuple import OctupleMidi
from musiczoo.representations.pirhdy import PairTask

_log = logging.getLogger(__name__)


class PhrasePairsDataModule(CorpusDataModule):
    r"""Pairs of four-bar phrases for MusicBERT's melody completion and accompaniment suggestion.

    The tasks are those of PiRhDy (Liang et al. 2020, arXiv 2010.08091) and MusicBERT (Zeng et al.
    2021, arXiv 2106.05630): does this phrase follow that one, do these voices belong to that
    melody? Training has one negative for each pair, drawn again in each epoch. Validation and test
    have groups of ``group_size`` candidates, one of them right, for
    :func:`musiczoo.metrics.rank_candidates`.

    Deviations: negatives have the meter of the query (PiRhDy writes all in 4/4) and come from
    another cluster of near-duplicates of the same split; programs, velocities and tempos are alike
    everywhere; a group of the accompaniment has one right candidate, PiRhDy's has several. Figures
    are therefore not comparable with the papers'; :mod:`musiczoo.representations.pirhdy` reads
    their own rows.

    Args:
        corpus: A folder or file, the name of a corpus, or several of these; or symusic scores,
            tunes or works themselves.
        representation: An ``OctupleMidi``; None for that of the module that the trainer fits.
        task: ``"next"`` or ``"accompaniment"``.
        group_size: Candidates of a group.
        max_groups: Groups of validation and of test at most; None for all pairs.
        min_notes: Phrases with fewer notes are left out.
        test_fraction: Part of the clusters for testing; 0 for none.
        settings: Of :class:`musiczoo.datamodules.base.DataSettings`.

    Attributes:
        labels: ``("no", "yes")``, of the classifier.
        several: False: a pair has one label.
        pairs: All pairs, in the order of the pieces; :meth:`setup` makes them.
        pieces: The names of the pieces that have pairs.
        clusters: For each piece the name of its cluster of near-duplicates.
        left_out: Why others are not used, by name.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> from musiczoo.representations.octuple import OctupleMidi
        >>> bars = ("CDEF|G4|", "eccc|B4|", "A2dA|f4|")
        >>> tunes = [read_abc(f"L:1/4\nK:C\nM:4/4\n{some * 4}\n") for some in bars]
        >>> data = PhrasePairsDataModule(
        ...     tunes, OctupleMidi(), val_fraction=0, test_fraction=0, batch_size=6
        ... )
        >>> batch = next(iter(data.train_dataloader()))
        >>> sorted(batch["labels"].tolist())
        [0, 0, 0, 1, 1, 1]
    """

    labels = LABELS
    several = False

    def __init__(
        self,
        corpus: str | Path | Sequence[Any] = "bach-chorales",
        representation: OctupleMidi | None = None,
        *,
        task: PairTask = "next",
        group_size: int = 50,
        max_groups: int | None = 200,
        min_notes: int = 3,
        test_fraction: float = 0.1,
        **settings: Any,
    ) -> None:
        super().__init__(representation, test_fraction=test_fraction, **settings)
        if task not in ("next", "accompaniment"):
            raise MusicZooError(
                f"There is no task {task!r}.", where="task", remedy="Give next or accompaniment."
            )
        if group_size < 2:
            raise MusicZooError(
                f"A group of {group_size} has no negative.",
                where="group_size",
                remedy="Give 2 or more.",
            )
        self.corpus = corpus
        self.task: PairTask = task
        self.group_size = group_size
        self.max_groups = max_groups
        self.min_notes = min_notes
        self.pairs: list[PhrasePair] = []
        self.pieces: list[str] = []
        self.clusters: list[str] = []
        self.left_out: dict[str, str] = {}
        self._items: dict[tuple[int, ...], CandidateGroups] = {}

    @property
    def representation_in_use(self) -> OctupleMidi:
        """The representation that was given, or that of the model.

        Raises:
            MusicZooError: It is none of octuples.
        """
        found = self._representation()
        if not isinstance(found, OctupleMidi):
            raise MusicZooError(
                "Pairs of phrases are made of octuples.",
                where="representation",
                remedy="Give OctupleMidi(), or fit a MusicBertClassifier.",
            )
        return found

    def setup(self, stage: str | None = None) -> None:
        """Read the pieces, cut them in phrases and split them; the stage changes nothing."""
        if self._splits is not None:
            return
        # Half of the rows of a pair, without the two ends, is for each phrase.
        most = (self.representation_in_use.max_length - 2) // 2
        prints = []
        found: dict[str, Any] = {}
        for name, score in read_pieces(
            listed(self.corpus), self.left_out, cache=self.cache, progress=self.progress
        ):
            found.setdefault(name, score)
        for name, score in sorted(found.items(), key=lambda one: one[0]):
            try:
                rows = [*pairs_of(score, self.task, min_notes=self.min_notes, max_notes=most)]
                if not rows:
                    raise MusicZooError("It has no pair of phrases.")
                shingles = fingerprint(reduced(score, ALL_AS_PIANO))
            except Exception as error:
                # As for corpora: a defect of a reader costs one piece, not the run.
                self.left_out[name] = reason_of(error)
                continue
            place = len(self.pieces)
            self.pieces.append(name)
            prints.append(shingles)
            self.pairs += [PhrasePair(f"{name}@{row[0]}", place, *row[1:]) for row in rows]
        self._report()
        self.clusters = [self.pieces[first] for first in clusters(prints)]
        rest = self.val_fraction * (1 - self.test_fraction)
        self._splits = split_by_cluster(
            self.clusters, validation=rest, test=self.test_fraction, seed=self.split_seed
        )

    def _report(self) -> None:
        kinds = Counter(reason.partition(" (")[0] for reason in self.left_out.values())
        reasons = "; ".join(f"{count} x {kind}" for kind, count in kinds.most_common(5))
        if not self.pairs:
            raise MusicZooError(
                "The corpus holds no pair of phrases.",
                where="corpus",
                remedy=f"Left out: {reasons}." if reasons else "Give pieces of eight bars or more.",
            )
        if kinds:
            _log.warning("%d pieces and files are left out: %s", len(self.left_out), reasons)

    def items(self, indices: Sequence[int], *, training: bool) -> SplitItems:
        """The pairs of pieces of :attr:`pieces` as the items of the loaders."""
        self.setup()
        settings = PairSettings(
            self.task,
            self.representation_in_use.plain,
            self.seed,
            self.split_seed,
            self.group_size,
            self.max_groups,
        )
        key, wanted = tuple(indices), set(indices)
        pairs = [pair for pair in self.pairs if pair.piece in wanted]
        if training:
            return PairItems(pairs, self.clusters, settings)
        if key not in self._items:
            self._items[key] = groups = CandidateGroups(pairs, self.clusters, settings)
            small = [size for size in groups.sizes if size < self.group_size]
            if small or groups.alone:
                _log.warning(
                    "%d of %d groups have fewer than %d candidates (the smallest %d), and %d pairs"
                    " have no group: there are too few phrases of their meter",
                    len(small),
                    len(groups.sizes),
                    self.group_size,
                    min(groups.sizes),
                    groups.alone,
                )
        return self._items[key]

    def provenance(self) -> dict[str, Any]:
        """What a checkpoint records of the data, as plain JSON values."""
        self.setup()
        return {
            "corpus": source_names(self.corpus)[:20],
            "works": self._sizes(),
            "pairs": len(self.pairs),
            "left_out": len(self.left_out),
            "task": self.task,
            "batch_size": self.batch_size,
            "conditioning": {},
        }

    def _collate(self) -> Callable[[Sequence[Any]], Any]:
        return _Collate(self.representation_in_use)

    def _blank(self) -> Callable[[Any], Any]:
        return _without_target


class _Collate:
    """Makes a batch of items: octuples, and the scalars one behind the other."""

    def __init__(self, representation: OctupleMidi) -> None:
        self.representation = representation

    def __call__(self, items: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        batch = self.representation.collate([item["ids"] for item in items])
        others = [name for name in items[0] if name != "ids"]
        return batch | {name: torch.stack([item[name] for item in items]) for name in others}


def _without_target(item: dict[str, Tensor]) -> dict[str, Tensor]:
    """The blank of an item: a pair that no loss and no ranking counts."""
    return item | {"labels": torch.full_like(item["labels"], -100)}
