"""Who judges what, in which order and on which side: drawn at random, balanced, from one seed."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations

KINDS = ("ab", "rating", "captions")
RATINGS = tuple(range(1, 11))
SIDES = ("A", "B")
NO_PREFERENCE = "none"
INSTALL_STUDY = "Install it: pip install 'musiczoo[study]'."


@dataclass(frozen=True, slots=True)
class Aspect:
    """One question about a trial.

    Attributes:
        name: Its name in the analysis.
        question: The words that the participant reads.
    """

    name: str
    question: str


#: What is asked when the maker of a study asks nothing of their own, in the papers' words.
DEFAULT_ASPECTS: dict[str, tuple[Aspect, ...]] = {
    # NotaGen (Wang et al. 2025), section 4.1: "select the piece they found more musically
    # appealing, or indicate no preference".
    "ab": (Aspect("musicality", "Which piece do you find more musically appealing?"),),
    # SMART (Jonason et al. 2025), section 4.3.
    "rating": (Aspect("enjoyment", "How much do you enjoy this audio? Rate from 1 to 10."),),
    # MIDI-LLaMA, section 4.4: "which caption better reflected (i) music understanding accuracy,
    # (ii) text fluency, (iii) creativity, and (iv) musical emotion understanding, and then
    # indicated their overall preference".
    "captions": (
        Aspect(
            "music understanding accuracy",
            "Which caption is better in music understanding accuracy?",
        ),
        Aspect("text fluency", "Which caption is better in text fluency?"),
        Aspect("creativity", "Which caption is better in creativity?"),
        Aspect(
            "musical emotion understanding",
            "Which caption is better in musical emotion understanding?",
        ),
        Aspect("overall preference", "Which caption do you prefer overall?"),
    ),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What a participant judges at once.

    Attributes:
        id: Drawn at random, so that it reveals nothing.
        item: The piece, prompt or clip.
        systems: The system rated, or those on the sides A and B.
    """

    id: str
    item: str
    systems: tuple[str, ...]


def pairs_of(systems: Sequence[str], against: str | None = None) -> list[tuple[str, str]]:
    """The pairs of systems to compare: each with each, or each with the one named ``against``."""
    return [pair for pair in combinations(systems, 2) if against is None or against in pair]


def deal(
    kind: str,
    items: Sequence[str],
    systems: Sequence[str],
    participants: Sequence[str],
    rng: random.Random,
    *,
    items_each: int | None = None,
    against: str | None = None,
) -> dict[str, list[Trial]]:
    """Give every participant their trials.

    Each item is judged by the same number of participants, give or take one. In comparisons each
    participant finds the first system of a pair on side A as often as on side B, give or take one,
    and so do the participants together for each item and pair.

    Args:
        kind: One of :data:`KINDS`. In a rating every system's piece is a trial, otherwise every
            pair of systems.
        items: Names of the items; each exists for every system.
        systems: Names of the systems.
        participants: Names of the participants.
        rng: The source of randomness.
        items_each: Items that one participant judges; all when None.
        against: Compare only pairs with this system.

    Returns:
        The trials of each participant in the order of the sheet.
    """
    groups = [(system,) for system in systems] if kind == "rating" else pairs_of(systems, against)
    hands = _hands(
        items, participants, len(items) if items_each is None else min(items_each, len(items)), rng
    )
    wanted = [
        (participant, item, group)
        for participant in participants
        for item in hands[participant]
        for group in groups
    ]
    if kind == "rating":
        swapped = [False] * len(wanted)
    else:
        swapped = halved(
            [((participant, group), (item, group)) for participant, item, group in wanted], rng
        )
    names = _names(len(wanted), rng)
    trials: dict[str, list[Trial]] = {participant: [] for participant in participants}
    for (participant, item, group), swap, name in zip(wanted, swapped, names, strict=True):
        trials[participant].append(Trial(name, item, group[::-1] if swap else group))
    for hand in trials.values():
        rng.shuffle(hand)
    return trials


def _hands(
    items: Sequence[str], participants: Sequence[str], each: int, rng: random.Random
) -> dict[str, list[str]]:
    """The items of each participant: always those that were judged least so far.

    So the numbers of judgements differ by one at most.
    """
    used = dict.fromkeys(items, 0)
    hands = {}
    for participant in rng.sample(list(participants), len(participants)):
        order = rng.sample(list(items), len(items))
        order.sort(key=used.__getitem__)
        hands[participant] = order[:each]
        for item in order[:each]:
            used[item] += 1
    return hands


def _names(count: int, rng: random.Random) -> list[str]:
    names: dict[str, None] = {}
    while len(names) < count:
        names[f"{rng.getrandbits(48):012x}"] = None
    return list(names)


def halved(edges: Sequence[tuple[Hashable, Hashable]], rng: random.Random) -> list[bool]:
    """Split the edges of a bipartite graph in two halves that differ by one at most at each vertex.

    Vertices of odd degree get an edge to an extra vertex of the other side, so that the graph falls
    into closed walks. These are of even length, and taking their edges in turns halves every vertex
    exactly (an Euler split).

    Args:
        edges: Pairs of a left and a right vertex.
        rng: Draws the walks and what they start with.

    Returns:
        For each edge whether it is in the second half.
    """
    ends: list[tuple[tuple[int, Hashable], tuple[int, Hashable]]] = [
        ((0, left), (1, right)) for left, right in edges
    ]
    degree: dict[tuple[int, Hashable], int] = defaultdict(int)
    for left, right in ends:
        degree[left] += 1
        degree[right] += 1
    extra = ((2, "left"), (3, "right"))
    odd = [vertex for vertex, count in degree.items() if count % 2]
    ends += [(vertex, extra[1]) if vertex[0] == 0 else (extra[0], vertex) for vertex in odd]
    if sum(vertex[0] == 0 for vertex in odd) % 2:
        ends.append(extra)
    at: dict[tuple[int, Hashable], list[int]] = defaultdict(list)
    for number in rng.sample(range(len(ends)), len(ends)):
        for vertex in ends[number]:
            at[vertex].append(number)
    half: list[bool | None] = [None] * len(ends)
    for start in list(at):
        turn, vertex = rng.random() < 0.5, start
        while at[vertex]:
            number = at[vertex].pop()
            if half[number] is not None:
                continue
            half[number], turn = turn, not turn
            vertex = ends[number][1] if ends[number][0] == vertex else ends[number][0]
    return [bool(value) for value in half[: len(edges)]]
