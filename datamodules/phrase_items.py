"""Pairs of phrases as items: one negative a pair for training, groups of candidates to rank."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from musiczoo.datamodules.phrases import PhrasePair, pair_notes
from musiczoo.datamodules.resumable import Draw
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.octuple import window_ids
from musiczoo.representations.pirhdy import PairTask

NO, YES = 0, 1
LABELS = ("no", "yes")


@dataclass(frozen=True)
class PairSettings:
    """What decides about the items of pairs.

    Attributes:
        task: Of the pairs.
        plain: Whether all programs are 0.
        seed: Of the negatives of training.
        split_seed: Of those of the groups.
        group_size: Candidates of a group.
        max_groups: Most groups; None for all.
    """

    task: PairTask
    plain: bool
    seed: int
    split_seed: int
    group_size: int
    max_groups: int | None


class _Pool:
    """The pairs of one meter, those of a cluster of pieces side by side.

    A negative is the second phrase of a pair of another cluster.
    """

    def __init__(
        self, pairs: Sequence[PhrasePair], cluster_of: Callable[[PhrasePair], str]
    ) -> None:
        self.pairs = sorted(pairs, key=lambda pair: (cluster_of(pair), pair.name))
        self.owners = [cluster_of(pair) for pair in self.pairs]

    def others(self, cluster: str) -> int:
        """The number of pairs of other clusters."""
        own = bisect_right(self.owners, cluster) - bisect_left(self.owners, cluster)
        return len(self.pairs) - own

    def draw(self, cluster: str, count: int, rng: random.Random) -> list[PhrasePair]:
        """Different pairs of other clusters; ``count`` of them, or all where there are fewer."""
        begin, end = bisect_left(self.owners, cluster), bisect_right(self.owners, cluster)
        others = len(self.pairs) - (end - begin)
        places = rng.sample(range(others), min(count, others))
        return [self.pairs[place + (end - begin) * (place >= begin)] for place in places]


class _Pairs:
    """What training and evaluation share: pairs that have negatives, and how pairs become ids."""

    def __init__(
        self, pairs: Sequence[PhrasePair], clusters: Sequence[str], settings: PairSettings
    ) -> None:
        self.settings = settings
        self.clusters = clusters
        by_meter: dict[int, list[PhrasePair]] = {}
        for pair in pairs:
            by_meter.setdefault(pair.meter, []).append(pair)
        self.pools = {
            meter: _Pool(some, self.cluster_of) for meter, some in sorted(by_meter.items())
        }
        self.pairs = [
            pair
            for pool in self.pools.values()
            for pair in pool.pairs
            if pool.others(self.cluster_of(pair))
        ]
        self.alone = len(pairs) - len(self.pairs)
        if not self.pairs:
            raise MusicZooError(
                "No phrase has a negative: another piece with a phrase of the same meter.",
                where="corpus",
                remedy="Give more pieces, or larger val_fraction and test_fraction.",
            )

    def cluster_of(self, pair: PhrasePair) -> str:
        """The cluster of near-duplicates that the pair's piece is in."""
        return self.clusters[pair.piece]

    def negatives(self, pair: PhrasePair, count: int, rng: random.Random) -> list[PhrasePair]:
        """Pairs whose second phrases do not belong to the first one of this pair."""
        return self.pools[pair.meter].draw(self.cluster_of(pair), count, rng)

    def ids(self, first: PhrasePair, second: PhrasePair) -> Tensor:
        """(rows, 8): the query of one pair and the candidate of another."""
        task, plain = self.settings.task, self.settings.plain
        return window_ids(pair_notes(first.first, second.second, task, plain=plain))


class PairItems(_Pairs):
    """Each pair and one negative, another one in each epoch.

    Args:
        pairs: Of one split.
        clusters: For each piece the name of its cluster of near-duplicates.
        settings: Of the data module.

    Raises:
        MusicZooError: No pair has a negative.
    """

    def __init__(
        self, pairs: Sequence[PhrasePair], clusters: Sequence[str], settings: PairSettings
    ) -> None:
        super().__init__(pairs, clusters, settings)
        self.names = [f"{pair.name}{sign}" for pair in self.pairs for sign in "+-"]
        self.lengths = [len(pair.first) + len(pair.second) + 2 for pair in self.pairs for _ in "+-"]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        """``ids`` (rows, 8) and ``labels``, a scalar."""
        pair = self.pairs[draw.index // 2]
        second, label = pair, YES
        if draw.index % 2:
            rng = random.Random(f"{self.settings.seed}:{draw.epoch}:{pair.name}")
            (second,), label = self.negatives(pair, 1, rng), NO
        return {"ids": self.ids(pair, second), "labels": torch.tensor(label)}


class _Candidate(NamedTuple):
    """A candidate of the query of a group."""

    group: int
    query: PhrasePair
    answer: PhrasePair


class CandidateGroups(_Pairs):
    """The candidates of groups: one right one and negatives, the same each time.

    Args:
        pairs: Of one split.
        clusters: For each piece the name of its cluster of near-duplicates.
        settings: Of the data module.

    Raises:
        MusicZooError: No pair has a negative.
    """

    def __init__(
        self, pairs: Sequence[PhrasePair], clusters: Sequence[str], settings: PairSettings
    ) -> None:
        super().__init__(pairs, clusters, settings)
        # Which negatives belong to a query follows from its name, so that runs with different
        # seeds are measured on the same groups.
        queries = self.pairs
        if settings.max_groups is not None and len(queries) > settings.max_groups:
            rng = random.Random(f"{settings.split_seed}:groups")
            queries = rng.sample(queries, settings.max_groups)
        self.candidates: list[_Candidate] = []
        self.sizes: list[int] = []
        for group, query in enumerate(queries):
            rng = random.Random(f"{settings.split_seed}:{query.name}")
            answers = [query, *self.negatives(query, settings.group_size - 1, rng)]
            self.sizes.append(len(answers))
            self.candidates += [_Candidate(group, query, answer) for answer in answers]
        self.names = [f"{one.query.name}>{one.answer.name}" for one in self.candidates]
        self.lengths = [
            len(one.query.first) + len(one.answer.second) + 2 for one in self.candidates
        ]

    def __len__(self) -> int:
        return len(self.candidates)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        """``ids`` (rows, 8), and the scalars ``labels`` and ``groups``."""
        one = self.candidates[draw.index]
        return {
            "ids": self.ids(one.query, one.answer),
            "labels": torch.tensor(YES if one.answer is one.query else NO),
            "groups": torch.tensor(one.group),
        }
