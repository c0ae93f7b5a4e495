"""Training and validation pairs, split so that no piece, nor one like it, is in both."""

from __future__ import annotations

import random
from collections.abc import Sequence

from musiczoo.datamodules.paired_pieces import Found, PieceLists, PreferencePair, named_once
from musiczoo.datamodules.splits import Splits, split_by_cluster
from musiczoo.music.abc import Tune
from musiczoo.music.near_duplicates import (
    Shingles,
    clusters,
    first_connected,
    shingles,
    skyline,
)


def split_found(found: Found, *, validation: float, most: int, seed: int, draw_seed: int) -> Splits:
    """Divides what a source of pairs holds; pairs drawn of its lists are added to ``found.pairs``.

    Args:
        found: Pairs, which get an id of their own each, and lists of pieces.
        validation: Part of the groups of pairs for validation; 0 for none.
        most: Most pairs drawn of all lists to train on; for validation, that part of them.
        seed: Chooses another division.
        draw_seed: Of the pairs that are drawn.

    Returns:
        Indices of ``found.pairs`` of each split; none for testing.

    Raises:
        MusicZooError: All pairs are connected, so that no pair can be held out.
    """
    found.pairs[:] = named_once(found.pairs)
    splits = split_pairs(found.pairs, validation=validation, seed=seed)
    divided = [split_lists(lists, validation=validation, seed=seed) for lists in found.lists]
    for indices, part, limit in (
        (splits.train, 0, most),
        (splits.validation, 1, max(1, round(most * validation))),
    ):
        drawn = draw_pairs([lists[part] for lists in divided], limit, draw_seed)
        indices += range(len(found.pairs), len(found.pairs) + len(drawn))
        found.pairs += drawn
    return splits


def split_pairs(pairs: Sequence[PreferencePair], *, validation: float, seed: int) -> Splits:
    """Divides pairs.

    Pairs of one ``group`` stay together. Of the others, those stay together that share a piece or a
    near-duplicate of one, on either side.

    Args:
        pairs: The pairs.
        validation: Part of the groups for validation; 0 for none.
        seed: Chooses another division.

    Returns:
        Indices of the pairs of each split; none for testing.

    Raises:
        MusicZooError: All pairs are connected, so that no pair can be held out.
    """
    if not pairs or validation == 0:
        return Splits(list(range(len(pairs))), [], [])
    return split_by_cluster(_groups(pairs), validation=validation, seed=seed)


def split_lists(
    lists: PieceLists, *, validation: float, seed: int
) -> tuple[PieceLists, PieceLists]:
    """Divides pieces that are paired with one another, before they are.

    Returns:
        Pieces for training and for validation, the latter empty where one side holds no two
        different pieces.
    """
    nothing = PieceLists((), ())
    if validation == 0 or not lists.chosen or not lists.rejected:
        return lists, nothing
    pieces = [*lists.chosen, *lists.rejected]
    first = clusters([_shingles(tune) for _, tune in pieces])
    names = [pieces[index][0] for index in first]
    chosen, rejected = names[: len(lists.chosen)], names[len(lists.chosen) :]
    # A rejected piece that is like a chosen one goes where that goes.
    free = [name for name in rejected if name not in chosen]
    if len(set(chosen)) < 2 or len(set(free)) < 2:
        return lists, nothing
    held_out: set[str] = set()
    for side in (chosen, free):
        held_out |= {
            side[index]
            for index in split_by_cluster(side, validation=validation, seed=seed).validation
        }
    parts = []
    for wanted in (False, True):
        sides = [
            tuple(
                piece for piece, name in zip(side, own, strict=True) if (name in held_out) == wanted
            )
            for side, own in ((lists.chosen, chosen), (lists.rejected, rejected))
        ]
        parts.append(PieceLists(sides[0], sides[1]))
    return parts[0], parts[1]


def draw_pairs(lists: Sequence[PieceLists], most: int, seed: int) -> list[PreferencePair]:
    """Pairs of all lists, drawn at random without repetition.

    Args:
        lists: Pieces that are paired with one another.
        most: Pairs of all lists together at most, but one of each list at least.
        seed: Of the draws.
    """
    share = max(1, most // max(1, len(lists)))
    return [
        pair
        for number, some in enumerate(lists)
        for pair in some.pairs(share, random.Random(f"{seed}:{number}"))
    ]


def _groups(pairs: Sequence[PreferencePair]) -> list[str]:
    """The group of each pair: as it is named, or the first pair that it is connected with."""
    own = [index for index, pair in enumerate(pairs) if not pair.group]
    first = clusters(
        [_shingles(tune) for index in own for tune in (pairs[index].chosen, pairs[index].rejected)]
    )
    # Sides of one pair, and near-duplicates among the sides of all.
    connected = first_connected(
        len(first),
        [*enumerate(first), *((2 * number, 2 * number + 1) for number in range(len(own)))],
    )
    groups = [f"group {pair.group}" for pair in pairs]
    for number, index in enumerate(own):
        groups[index] = f"pair {pairs[own[connected[2 * number] // 2]].id}"
    return groups


def _shingles(tune: Tune) -> Shingles:
    return shingles(skyline(tune.notes()))
