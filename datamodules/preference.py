"""Preference pairs for training: from files, by degradation, or from memory, with the reference policy's view of them."""

from __future__ import annotations

import contextlib
import logging
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy
from torch import Tensor

from musiczoo.datamodules.pair_splits import draw_pairs, split_lists, split_pairs
from musiczoo.datamodules.pairs import EncodedPair, pair_loader, piece_digest
from musiczoo.datamodules.preference_pairs import (
    Found,
    PreferencePair,
    SkippedPair,
    pairs_by_degradation,
    pairs_in_memory,
)
from musiczoo.datamodules.references import ReferenceFiles
from musiczoo.datamodules.resumable import ResumableLoader
from musiczoo.datamodules.scores import ScoreDataModule
from musiczoo.datamodules.splits import Splits
from musiczoo.music.abc import Tune
from musiczoo.music.corpora.cache import cache_folder
from musiczoo.music.degradation.notation import Degradation
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.base import Representation

_log = logging.getLogger(__name__)
_WHOLE = 1 << 24
Part = Literal["train", "validation"]


class PreferenceDataModule(lightning.LightningDataModule):
    """Pairs of a better and a worse piece, for objectives such as DPO and DPOP.

    The reference policy is the module that the trainer fits, as it is when the fit starts. Its
    log-probabilities of all sides are computed once, in eval mode, shared over the ranks, and kept
    in ``folder`` with the pieces they belong to, so that a resumed run takes those of its beginning
    and not those of weights that have been trained since. A piece that is longer than the context
    is cropped once, by the id of its pair and independently of the other side; NotaGen's trainer
    crops anew at every step, which stored log-probabilities do not allow.

    Pairs with an empty side, equal sides, or a side that cannot be read are left out and told of in
    :attr:`skipped`.

    Args:
        pairs: A file of pairs or several (:mod:`musiczoo.datamodules.preference_pairs`), or pairs
            themselves: ``(chosen, rejected)`` as tunes, ABC texts or paths, or
            :class:`PreferencePair`.
        representation: Of the model; None takes the ``representation`` of the module that the
            trainer fits.
        corpus: Instead of ``pairs``: works to be chosen over worse versions of themselves; as in
            :class:`ScoreDataModule`.
        degradation: What is done to the works of ``corpus``; None takes all operations of
            :mod:`musiczoo.music.degradation.notation`.
        batch_size: Pairs of a batch in each process.
        max_length: Longest side in steps of the representation; None for its own limit.
        prompts: Put period, composer and instrumentation before both sides where they are known.
        val_fraction: Part of the groups of pairs for validation; 0 for none.
        split_seed: Chooses another division.
        seed: Of order, degradations and crops.
        num_workers: Worker processes of each loader.
        max_pairs: Most pairs drawn of lists in which any two pieces make a pair (NotaGen's N is
            10,000).
        exclude: Works that must stay unseen, with their near-duplicates; for ``corpus``.
        folder: Where log-probabilities are kept; ``references`` in the cache folder when None. A
            run that is resumed needs the same.
        cache: Folder of the corpus cache.
        progress: Show progress bars.

    Attributes:
        pairs: All pairs that can be used; :meth:`setup` makes them.
        skipped: Pairs and pieces that cannot, and why.

    Raises:
        MusicZooError: Neither or both of ``pairs`` and ``corpus``; in :meth:`setup`, a file that
            cannot be read, or no pair that can be used.
    """

    def __init__(
        self,
        pairs: str | Path | Sequence[Any] | None = None,
        representation: Representation[Tune] | None = None,
        *,
        corpus: str | Path | Sequence[Any] | None = None,
        degradation: Degradation | None = None,
        batch_size: int = 8,
        max_length: int | None = None,
        prompts: bool = True,
        val_fraction: float = 0.1,
        split_seed: int = 0,
        seed: int = 0,
        num_workers: int = 0,
        max_pairs: int = 10_000,
        exclude: str | Path | Sequence[Any] = (),
        folder: str | Path | None = None,
        cache: str | Path | None = None,
        progress: bool = True,
    ) -> None:
        super().__init__()
        if (pairs is None) == (corpus is None):
            raise MusicZooError(
                "Preference pairs come from pairs= or by degradation of corpus=, and from one of"
                " them only.",
                where="pairs, corpus",
                remedy="Give one of the two.",
            )
        if max_pairs < 1 or batch_size < 1:
            raise MusicZooError(
                "There is nothing to train on.",
                where="max_pairs, batch_size",
                remedy="Give 1 or more.",
            )
        self.source: Any = pairs
        self.representation = representation
        self.degradation = degradation or Degradation()
        self.batch_size = batch_size
        self.max_length = max_length
        self.prompts = prompts
        self.val_fraction = val_fraction
        self.split_seed = split_seed
        self.seed = seed
        self.num_workers = num_workers
        self.max_pairs = max_pairs
        self.folder = folder
        self.cache = cache
        self.progress = progress
        self.pairs: list[PreferencePair] = []
        self.skipped: list[SkippedPair] = []
        self._works = (
            None
            if corpus is None
            else ScoreDataModule(
                corpus,
                val_fraction=val_fraction,
                split_seed=split_seed,
                exclude=exclude,
                cache=cache,
                progress=progress,
            )
        )
        self._splits: Splits | None = None
        self._sides: dict[int, tuple[Tensor, Tensor]] | None = None
        self._references: dict[str, float] | None = None
        self._fingerprint: str | None = None
        self._resumed: str | None = None

    def prepare_data(self) -> None:
        """Reads the corpora into the cache, in one process of each machine."""
        if self._works is not None:
            self._works.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Makes the pairs and splits them. A new fit has a new reference."""
        if stage in ("fit", None):
            self._references = self._fingerprint = self._resumed = None
        if self._splits is not None:
            return
        found, self._splits = self._of_works() if self._works is not None else self._of_pairs()
        self.pairs, self.skipped = found.pairs, found.skipped
        if found.ignored:
            _log.warning("Columns that mean nothing here: %s", ", ".join(sorted(found.ignored)))
        if self.skipped:
            _log.warning(
                "%d pairs or pieces are left out, such as %s: %s",
                len(self.skipped),
                *self.skipped[0],
            )
        if not self.pairs or not self._splits.train:
            self._splits = None
            reasons = Counter(reason for _, reason in self.skipped).most_common(3)
            raise MusicZooError(
                "There are no pairs to train on.",
                where="pairs",
                remedy=(
                    "Left out:"
                    f" {'; '.join(f'{times} x {reason}' for reason, times in reasons) or 'none, the source is empty'}."
                ),
            )
        if self.val_fraction > 0 and not self._splits.validation:
            _log.warning("The pairs hang together, so that none can be set apart for validation.")
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
        sources = [self.source] if isinstance(self.source, str | Path) else list(self.source)
        found = pairs_in_memory(sources, prompts=self.prompts)
        found.pairs[:] = _with_own_ids(found.pairs)
        splits = split_pairs(found.pairs, validation=self.val_fraction, seed=self.split_seed)
        divided = [
            split_lists(lists, validation=self.val_fraction, seed=self.split_seed)
            for lists in found.lists
        ]
        most_held_out = max(1, round(self.max_pairs * self.val_fraction))
        for indices, part, most in (
            (splits.train, 0, self.max_pairs),
            (splits.validation, 1, most_held_out),
        ):
            drawn = draw_pairs([lists[part] for lists in divided], most, self.seed)
            indices += range(len(found.pairs), len(found.pairs) + len(drawn))
            found.pairs += drawn
        return found, splits

    @property
    def splits(self) -> Splits:
        """Indices into :attr:`pairs` of each split; :meth:`setup` makes them."""
        if self._splits is None:
            self.setup()
        assert self._splits is not None
        return self._splits

    def provenance(self) -> dict[str, Any]:
        """What a checkpoint should tell of the data it was trained on, as plain JSON values.

        Folders by their last part alone.
        """
        counts = (
            Counter(self.pairs[index].labels for index in self.splits.train)
            if self.prompts
            else Counter()
        )
        known = sorted(
            ((astuple(labels), times) for labels, times in counts.items() if labels is not None),
            key=lambda row: (-row[1], row[0]),
        )
        own: dict[str, Any]
        if self._works is not None:
            own = {
                "corpus": sorted({work.source for work in self._works.works}),
                "exclude": self._works.provenance()["exclude"],
                "degradation": {
                    **asdict(self.degradation),
                    "operations": list(self.degradation.operations),
                },
            }
        else:
            sources = [self.source] if isinstance(self.source, str | Path) else self.source
            own = {
                "preferences": sorted(
                    {
                        Path(item).name if isinstance(item, str | Path) else "pairs in memory"
                        for item in sources
                    }
                )
            }
        return {
            **own,
            "pairs": {
                "train": len(self.splits.train),
                "validation": len(self.splits.validation),
                "skipped": len(self.skipped),
            },
            "reference": self._fingerprint,
            "batch_size": self.batch_size,
            "val_fraction": self.val_fraction,
            "split_seed": self.split_seed,
            "seed": self.seed,
            "prompts": [[*labels, times] for labels, times in known],
        }

    def state_dict(self) -> dict[str, Any]:
        """Which stored log-probabilities the run trains with."""
        return {"references": self._fingerprint}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From now on the stored log-probabilities of that run are taken, and never computed anew."""
        self._resumed = state_dict.get("references")
        self._references = None

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
        """Takes a module as it is now for the reference.

        The trainer's own is taken without this; a loop without a trainer needs it.

        Args:
            module: A module with ``log_probs``; under several processes all of them must call this.

        Raises:
            MusicZooError: The log-probabilities cannot be kept.
        """
        plugin = self.trainer.precision_plugin if self.trainer else None
        strategy = self.trainer.strategy if self.trainer else None
        with plugin.forward_context() if plugin else contextlib.nullcontext():
            self._fingerprint, self._references = self._files().of_module(
                module,
                self._representation().collate,
                # As many sequences as a training step has, which fit the memory.
                batch_size=2 * self.batch_size,
                precision=str(plugin.precision) if plugin else "32-true",
                is_whole=not isinstance(strategy, FSDPStrategy | ModelParallelStrategy),
                progress=self.progress,
            )

    def _known_references(self) -> dict[str, float]:
        if self._references is None:
            if self._resumed is not None:
                self._references = self._files().of_run(self._resumed)
                self._fingerprint = self._resumed
            else:
                module = self.trainer.lightning_module if self.trainer else None
                if module is None:
                    raise MusicZooError(
                        "It is not known which module is the reference.",
                        where="reference",
                        remedy="Call use_reference(module) first.",
                    )
                if self.trainer is not None and self.trainer.state.fn != "fit":
                    _log.warning("No fit has been seen: the module is compared with itself.")
                self.use_reference(module)
        assert self._references is not None
        return self._references

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
        representation = self._representation()
        limit = self.max_length or getattr(representation, "max_length", None)
        # Pieces that are paired with many others are encoded once, unless each pair has its own
        # part of them.
        whole: dict[int, Tensor] = {}

        def side(tune: Tune, name: str) -> Tensor:
            if limit is not None:
                if id(tune) not in whole:
                    whole[id(tune)] = representation.encode(tune, max_length=_WHOLE)
                if len(whole[id(tune)]) <= limit:
                    return whole[id(tune)]
            return representation.encode(
                tune, max_length=limit, rng=random.Random(f"{self.seed}:{name}")
            )

        sides: dict[int, tuple[Tensor, Tensor]] = {}
        for index in sorted((*splits.train, *splits.validation)):
            pair = self.pairs[index]
            try:
                chosen, rejected = (
                    side(pair.chosen, f"{pair.id}:chosen"),
                    side(pair.rejected, f"{pair.id}:rejected"),
                )
                if torch.equal(chosen, rejected):
                    raise MusicZooError("both sides are the same in the part that fits the context")
                sides[index] = (chosen, rejected)
            except MusicZooError as error:
                self.skipped.append(SkippedPair(pair.id, error.message))
        if not any(index in sides for index in splits.train):
            raise MusicZooError(
                "None of the pairs can be encoded.",
                where="pairs",
                remedy=f"The last reason: {self.skipped[-1].reason}.",
            )
        if lost := len(splits.train) + len(splits.validation) - len(sides):
            _log.warning("%d pairs cannot be encoded, such as %s: %s", lost, *self.skipped[-1])
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

    def _representation(self) -> Representation[Tune]:
        representation = self.representation
        if representation is None and self.trainer is not None:
            representation = getattr(self.trainer.lightning_module, "representation", None)
        if representation is None:
            raise MusicZooError(
                "It is not known how to turn pieces into tensors.",
                where="representation",
                remedy="Give representation=model.representation.",
            )
        return representation

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer else 1


def _with_own_ids(pairs: Sequence[PreferencePair]) -> list[PreferencePair]:
    """The pairs with an id of their own each, by which they are cropped and split: what stands a second time gets a number."""
    times: Counter[str] = Counter()
    named = []
    for pair in pairs:
        times[pair.id] += 1
        named.append(
            pair if times[pair.id] == 1 else replace(pair, id=f"{pair.id}:{times[pair.id]}")
        )
    return named
