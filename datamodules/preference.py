"""Preference pairs for training, with the log-probabilities that a reference policy gives them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from musiczoo.datamodules.base import SplitDataModule
from musiczoo.datamodules.pair_encoding import SideEncoder
from musiczoo.datamodules.pair_references import PairReferences, fitted_module
from musiczoo.datamodules.pair_splits import split_found
from musiczoo.datamodules.paired_pieces import Found, PreferencePair, SkippedPair
from musiczoo.datamodules.pairs import EncodedPair, pair_loader, piece_digest
from musiczoo.datamodules.preference_pairs import pairs_by_degradation, pairs_in_memory
from musiczoo.datamodules.references import ReferenceFiles
from musiczoo.datamodules.resumable import ResumableLoader
from musiczoo.datamodules.scores import ScoreDataModule
from musiczoo.datamodules.splits import Splits
from musiczoo.datamodules.works import listed, prompt_counts
from musiczoo.music.abc import Tune
from musiczoo.music.corpora.cache import cache_folder
from musiczoo.music.degradation.notation import Degradation
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.base import Representation

_log = logging.getLogger(__name__)
Part = Literal["train", "validation"]


class PreferenceDataModule(SplitDataModule):
    r"""Pairs of a better and a worse piece, for objectives such as DPO and DPOP.

    The reference policy is the module that the trainer fits, as it is when the fit starts. Its
    log-probabilities of all sides are computed once, in eval mode, shared over the ranks, and kept
    in ``folder`` with the pieces they belong to, so that a resumed run uses those of its beginning
    and not those of weights that have been trained since. A piece that is longer than the context
    is cropped once, by the id of its pair and independently of the other side; NotaGen's trainer
    crops again at every step, which stored log-probabilities do not allow.

    Pairs with an empty side, equal sides, or a side that cannot be read are left out and listed in
    :attr:`skipped`.

    Args:
        pairs: A file of pairs or several (:mod:`musiczoo.datamodules.preference_pairs`), or pairs
            themselves: ``(chosen, rejected)`` as tunes, ABC texts or paths, or
            :class:`PreferencePair`.
        representation: Of the model; None for the ``representation`` of the module that the
            trainer fits.
        corpus: Instead of ``pairs``: works that are preferred to worse versions of themselves; as
            in :class:`ScoreDataModule`.
        degradation: What is done to the works of ``corpus``; None for all operations of
            :mod:`musiczoo.music.degradation.notation`.
        max_length: Longest side in steps of the representation; None for its own limit.
        prompts: Put period, composer and instrumentation before both sides where they are known.
        max_pairs: Most pairs drawn of lists in which any two pieces make a pair (NotaGen's N is
            10,000).
        exclude: Works that must stay unseen, with their near-duplicates; for ``corpus``.
        folder: Where log-probabilities are kept; ``references`` in the cache folder when None. A
            run that is resumed needs the same.
        settings: Of :class:`musiczoo.datamodules.base.DataSettings`. A batch is of pairs, and what
            is split are groups of pairs; the seed also decides degradations and crops.

    Attributes:
        pairs: All pairs that can be used; :meth:`setup` makes them.
        skipped: Pairs and pieces that cannot, and why.

    Raises:
        MusicZooError: Neither or both of ``pairs`` and ``corpus``; in :meth:`setup`, a file that
            cannot be read, or no pair that can be used.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> better = [read_abc(f"L:1/4\nK:C\n{bars}|\n") for bars in ("CDEF|G4", "eccc|B4")]
        >>> worse = [read_abc(f"L:1/4\nK:C\n{bars}|\n") for bars in ("CCCC|C4", "A2dA|f4")]
        >>> data = PreferenceDataModule(list(zip(better, worse)), val_fraction=0)
        >>> data.setup()
        >>> [pair.id for pair in data.pairs]
        ['pairs[0]', 'pairs[1]']
    """

    def __init__(
        self,
        pairs: str | Path | Sequence[Any] | None = None,
        representation: Representation[Tune] | None = None,
        *,
        corpus: str | Path | Sequence[Any] | None = None,
        degradation: Degradation | None = None,
        max_length: int | None = None,
        prompts: bool = True,
        max_pairs: int = 10_000,
        exclude: str | Path | Sequence[Any] = (),
        folder: str | Path | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(representation, **settings)
        if (pairs is None) == (corpus is None):
            raise MusicZooError(
                "Preference pairs come from pairs= or by degradation of corpus=, and from one of"
                " them only.",
                where="pairs, corpus",
                remedy="Give one of the two.",
            )
        if max_pairs < 1 or self.batch_size < 1:
            raise MusicZooError(
                "There is nothing to train on.",
                where="max_pairs, batch_size",
                remedy="Give 1 or more.",
            )
        self.source: Any = pairs
        self.degradation = degradation or Degradation()
        self.max_length = max_length
        self.prompts = prompts
        self.max_pairs = max_pairs
        self.folder = folder
        self.pairs: list[PreferencePair] = []
        self.skipped: list[SkippedPair] = []
        self._works = None if corpus is None else self._scores(corpus, exclude)
        self._sides: dict[int, tuple[Tensor, Tensor]] | None = None
        self._references = PairReferences()

    def _scores(
        self, corpus: str | Path | Sequence[Any], exclude: str | Path | Sequence[Any]
    ) -> ScoreDataModule:
        return ScoreDataModule(
            corpus,
            val_fraction=self.val_fraction,
            split_seed=self.split_seed,
            exclude=exclude,
            cache=self.cache,
            progress=self.progress,
        )

    def prepare_data(self) -> None:
        """Read the corpora into the cache, in one process of each machine."""
        if self._works is not None:
            self._works.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Make the pairs and split them; a new fit has a new reference."""
        if stage in ("fit", None):
            self._references.reset()
        if self._splits is not None:
            return
        found, self._splits = self._of_works() if self._works is not None else self._of_pairs()
        self.pairs, self.skipped = found.pairs, found.skipped
        if found.ignored:
            _log.warning("Columns that have no meaning here: %s", ", ".join(sorted(found.ignored)))
        if self.skipped:
            _log.warning(
                "%d pairs or pieces are left out, such as %s: %s",
                len(self.skipped),
                *self.skipped[0],
            )
        if not self.pairs or not self._splits.train:
            self._splits = None
            reasons = Counter(reason for _, reason in self.skipped).most_common(3)
            counted = "; ".join(f"{times} x {reason}" for reason, times in reasons)
            raise MusicZooError(
                "There are no pairs to train on.",
                where="pairs",
                remedy=f"Left out: {counted or 'nothing, the source is empty'}.",
            )
        if self.val_fraction > 0 and not self._splits.validation:
            _log.warning("All pairs are connected, so that no pair can be held out for validation.")
        _log.info(
            "%d pairs to train on, %d for validation",
            len(self._splits.train),
            len(self._splits.validation),
        )

    def _of_works(self) -> tuple[Found, Splits]:
        assert self._works is not None
        self._works.setup()
        parts = self._works.splits
        works = [self._works.works[index] for index in (*parts.train, *parts.validation)]
        found = pairs_by_degradation(works, self.degradation, prompts=self.prompts, seed=self.seed)
        held_out = {self._works.works[index].id for index in parts.validation}
        indices: tuple[list[int], list[int]] = ([], [])
        for index, pair in enumerate(found.pairs):
            indices[pair.id in held_out].append(index)
        return found, Splits(*indices, [])

    def _of_pairs(self) -> tuple[Found, Splits]:
        found = pairs_in_memory(listed(self.source), prompts=self.prompts)
        splits = split_found(
            found,
            validation=self.val_fraction,
            most=self.max_pairs,
            seed=self.split_seed,
            draw_seed=self.seed,
        )
        return found, splits

    def provenance(self) -> dict[str, Any]:
        """What a checkpoint records of the data that it was trained on, as plain JSON values."""
        splits = self.splits
        known = (self.pairs[index].labels for index in splits.train if self.prompts)
        return {
            **self._source_record(),
            "pairs": {
                "train": len(splits.train),
                "validation": len(splits.validation),
                "skipped": len(self.skipped),
            },
            "reference": self._references.fingerprint,
            "batch_size": self.batch_size,
            "val_fraction": self.val_fraction,
            "split_seed": self.split_seed,
            "seed": self.seed,
            "conditioning": {"prompts": prompt_counts(known)},
        }

    def _source_record(self) -> dict[str, Any]:
        """Where the pairs come from; folders and files by their last part alone."""
        if self._works is not None:
            return {
                "corpus": sorted({work.source for work in self._works.works}),
                "exclude": self._works.provenance()["exclude"],
                "degradation": {
                    **asdict(self.degradation),
                    "operations": list(self.degradation.operations),
                },
            }
        names = {
            Path(item).name if isinstance(item, str | Path) else "pairs in memory"
            for item in listed(self.source)
        }
        return {"preferences": sorted(names)}

    def state_dict(self) -> dict[str, Any]:
        """Which stored log-probabilities the run trains with."""
        return {"references": self._references.fingerprint}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Use the stored log-probabilities of that run from now on, and never compute others."""
        self._references.resume(state_dict.get("references"))

    def train_dataloader(self) -> ResumableLoader:
        """Training batches, in a new order each epoch.

        Raises:
            MusicZooError: No pair is left, or a resumed run's log-probabilities are gone or belong
                to other pairs.
        """
        return self._loader("train")

    def val_dataloader(self) -> ResumableLoader | list[ResumableLoader]:
        """Validation batches, the same each time; none when there are no pairs for it."""
        return self._loader("validation") if self.encoded("validation") else []

    def encoded(self, part: Part) -> list[EncodedPair]:
        """The pairs of a split as tensors, with the reference's log-probabilities.

        Raises:
            MusicZooError: As :meth:`train_dataloader`; or it is not known which module is the
                reference.
        """
        sides = self._encoded_sides()
        known = self._known_references()
        return [
            EncodedPair(
                chosen, rejected, known[piece_digest(chosen)], known[piece_digest(rejected)]
            )
            for index in getattr(self.splits, part)
            if index in sides
            for chosen, rejected in [sides[index]]
        ]

    def use_reference(self, module: torch.nn.Module) -> None:
        """Make a module, as it is now, the reference.

        With a trainer the module that it fits is the reference without this call; a loop without a
        trainer needs it.

        Args:
            module: A module with ``log_probs``; under several processes all of them must call this.

        Raises:
            MusicZooError: The log-probabilities cannot be kept.
        """
        self._references.use(
            module,
            self._files(),
            self._representation().collate,
            self.trainer,
            # As many sequences as a training step has, which fit the memory.
            batch_size=2 * self.batch_size,
            progress=self.progress,
        )

    def _known_references(self) -> dict[str, float]:
        known = self._references.known(self._files())
        if known is None:
            self.use_reference(fitted_module(self.trainer))
            known = self._references.known(self._files())
        assert known is not None
        return known

    def _files(self) -> ReferenceFiles:
        folder = (
            Path(self.folder)
            if self.folder is not None
            else (Path(self.cache) if self.cache else cache_folder()) / "references"
        )
        pieces = {
            piece_digest(piece): piece for both in self._encoded_sides().values() for piece in both
        }
        return ReferenceFiles(folder, pieces, rank=self._rank, world_size=self._world_size)

    def _encoded_sides(self) -> dict[int, tuple[Tensor, Tensor]]:
        """Both sides of each pair that can be encoded, by its index."""
        if self._sides is not None:
            return self._sides
        splits = self.splits
        encoder = SideEncoder(self._representation(), self.max_length, self.seed)
        sides = encoder.encode(self.pairs, (*splits.train, *splits.validation))
        self.skipped += encoder.skipped
        if not any(index in sides for index in splits.train):
            raise MusicZooError(
                "None of the pairs can be encoded.",
                where="pairs",
                remedy=f"The last reason: {self.skipped[-1].reason}.",
            )
        if encoder.skipped:
            _log.warning(
                "%d pairs cannot be encoded, such as %s: %s",
                len(encoder.skipped),
                *self.skipped[-1],
            )
        self._sides = sides
        return sides

    def _loader(self, part: Part) -> ResumableLoader:
        return pair_loader(
            self.encoded(part),
            self._representation().collate,
            batch_size=self.batch_size,
            seed=self.seed,
            rank=self._rank,
            world_size=self._world_size,
            shuffle=part == "train",
            num_workers=self.num_workers,
        )
