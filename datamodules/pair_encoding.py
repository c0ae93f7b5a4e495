"""Both sides of preference pairs as tensors, each cropped once where it is too long."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from musiczoo.datamodules.paired_pieces import PreferencePair, SkippedPair
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.base import Representation

_WHOLE = 1 << 24


class SideEncoder:
    """Encodes the sides of pairs; what is left out and why is in :attr:`skipped`.

    A side that is longer than the limit is cropped by the id of its pair, independently of the
    other side.

    Args:
        representation: Of the model.
        max_length: Longest side in steps of the representation; None for its own limit.
        seed: Of the crops.
    """

    def __init__(
        self, representation: Representation[Tune], max_length: int | None, seed: int
    ) -> None:
        self.representation = representation
        self.limit = max_length or representation.max_length
        self.seed = seed
        self.skipped: list[SkippedPair] = []
        # Pieces that are paired with many others are encoded once, unless each pair has its own
        # part of them.
        self._whole: dict[int, Tensor] = {}

    def encode(
        self, pairs: Sequence[PreferencePair], indices: Iterable[int]
    ) -> dict[int, tuple[Tensor, Tensor]]:
        """Chosen and rejected side, first axis time, of each pair that can be encoded, by index."""
        sides: dict[int, tuple[Tensor, Tensor]] = {}
        for index in sorted(indices):
            pair = pairs[index]
            try:
                chosen = self._side(pair.chosen, f"{pair.id}:chosen")
                rejected = self._side(pair.rejected, f"{pair.id}:rejected")
                if torch.equal(chosen, rejected):
                    raise MusicZooError("both sides are the same in the part that fits the context")
                sides[index] = (chosen, rejected)
            except MusicZooError as error:
                self.skipped.append(SkippedPair(pair.id, error.message))
        return sides

    def _side(self, tune: Tune, name: str) -> Tensor:
        if self.limit is not None:
            if id(tune) not in self._whole:
                self._whole[id(tune)] = self.representation.encode(tune, max_length=_WHOLE)
            if len(self._whole[id(tune)]) <= self.limit:
                return self._whole[id(tune)]
        return self.representation.encode(
            tune, max_length=self.limit, rng=random.Random(f"{self.seed}:{name}")
        )
