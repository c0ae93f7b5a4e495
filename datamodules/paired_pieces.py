"""Preference pairs as pieces of music: a better piece and a worse one under the same prompt."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from musiczoo.music.abc import Tune
from musiczoo.music.abc.cleaning import clean, with_prompt
from musiczoo.music.degradation.notation import Operation
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels

SIDES = ("chosen", "rejected")


@dataclass(frozen=True)
class PreferencePair:
    """Two pieces of which one is better.

    Attributes:
        chosen: The better piece.
        rejected: The worse piece.
        id: Unique and lasting: crops follow from it.
        group: Pairs of one group stay in one split; ``""`` leaves it to the likeness of the pieces.
        labels: The prompt of both sides, where it is known.
        operations: What was done to the chosen piece to get the rejected one, where the pair was
            made by degradation.
    """

    chosen: Tune
    rejected: Tune
    id: str
    group: str = ""
    labels: Labels | None = None
    operations: tuple[Operation, ...] = ()


class SkippedPair(NamedTuple):
    """A pair, or a piece of pairs, that cannot be used, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class PieceLists:
    """Chosen and rejected pieces of which any two make a pair; each with its name."""

    chosen: tuple[tuple[str, Tune], ...]
    rejected: tuple[tuple[str, Tune], ...]

    def pairs(self, most: int, rng: random.Random) -> Iterator[PreferencePair]:
        """All pairs, or at most ``most`` of them drawn at random, each once."""
        total = len(self.chosen) * len(self.rejected)
        for place in range(total) if total <= most else sorted(rng.sample(range(total), most)):
            (name, chosen), (other, rejected) = (
                self.chosen[place // len(self.rejected)],
                self.rejected[place % len(self.rejected)],
            )
            yield PreferencePair(chosen, rejected, f"{name} > {other}")


@dataclass
class Found:
    """What a source holds.

    Attributes:
        pairs: Pairs, cleaned, with their prompts.
        lists: Pieces that are not yet paired.
        skipped: Pairs and pieces that cannot be used.
        ignored: Columns of files that have no meaning here.
    """

    pairs: list[PreferencePair] = field(default_factory=list)
    lists: list[PieceLists] = field(default_factory=list)
    skipped: list[SkippedPair] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)


def ready(pair: PreferencePair, prompts: bool) -> PreferencePair:
    """The pair with both sides cleaned and, where asked, the prompt before them.

    Args:
        pair: The pair.
        prompts: Put the labels before both sides, where they are known. Prompt lines that are in
            the pieces stay either way.

    Raises:
        MusicZooError: A side without notes, or both sides the same.
    """
    chosen, rejected = clean(pair.chosen), clean(pair.rejected)
    for name, side in zip(SIDES, (chosen, rejected), strict=True):
        if not side.notes():
            raise MusicZooError(f"the {name} side has no notes")
    if prompts and pair.labels is not None:
        labels = (pair.labels.period, pair.labels.composer, pair.labels.instrumentation)
        chosen, rejected = with_prompt(chosen, *labels), with_prompt(rejected, *labels)
    if chosen == rejected:
        raise MusicZooError("both sides are the same piece")
    return PreferencePair(chosen, rejected, pair.id, pair.group, pair.labels, pair.operations)


def named_once(pairs: Sequence[PreferencePair]) -> list[PreferencePair]:
    """The pairs, each with an id of its own; an id that occurs again gets a number.

    Crops and splits follow from the ids.
    """
    times: Counter[str] = Counter()
    named = []
    for pair in pairs:
        times[pair.id] += 1
        named.append(
            pair if times[pair.id] == 1 else replace(pair, id=f"{pair.id}:{times[pair.id]}")
        )
    return named
