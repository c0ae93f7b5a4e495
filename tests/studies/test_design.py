from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musiczoo.studies.design import deal, halved, pairs_of

ITEMS = [f"item{number}" for number in range(11)]
PEOPLE = [f"P{number}" for number in range(7)]


@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 6)), max_size=40), st.integers(0, 1000))
def test_halves_differ_by_one_at_most_at_every_vertex(
    edges: set[tuple[int, int]], seed: int
) -> None:
    ordered = sorted(edges)
    halves = halved(ordered, random.Random(seed))
    assert len(halves) == len(ordered)
    for side in (0, 1):
        balance: Counter[int] = Counter()
        for edge, half in zip(ordered, halves, strict=True):
            balance[edge[side]] += 1 if half else -1
        assert all(abs(value) <= 1 for value in balance.values())


@pytest.mark.parametrize(
    ("systems", "items_each"), [(("x", "y"), None), (("x", "y"), 4), (("x", "y", "z"), 5)]
)
def test_sides_and_judgements_are_balanced(
    systems: tuple[str, ...], items_each: int | None
) -> None:
    trials = deal("ab", ITEMS, systems, PEOPLE, random.Random(3), items_each=items_each)
    for pair in pairs_of(systems):
        by_item: Counter[str] = Counter()
        for participant, hand in trials.items():
            mine = [trial for trial in hand if set(trial.systems) == set(pair)]
            assert len({trial.item for trial in mine}) == len(mine) == (items_each or len(ITEMS))
            first = sum(trial.systems == pair for trial in mine)
            assert abs(2 * first - len(mine)) <= 1, participant
            for trial in mine:
                by_item[trial.item] += 1 if trial.systems == pair else -1
        assert all(abs(value) <= 1 for value in by_item.values())
    judged = Counter(trial.item for hand in trials.values() for trial in hand)
    assert max(judged.values()) - min(judged.values()) <= len(pairs_of(systems))
    assert len({trial.id for hand in trials.values() for trial in hand}) == sum(
        map(len, trials.values())
    )


def test_every_participant_rates_all_systems_of_an_item_in_an_order_of_their_own() -> None:
    trials = deal("rating", ITEMS, ("x", "y"), PEOPLE, random.Random(0), items_each=6)
    orders = set()
    for hand in trials.values():
        assert Counter(trial.item for trial in hand) == dict.fromkeys(
            {trial.item for trial in hand}, 2
        )
        assert {trial.systems for trial in hand} == {("x",), ("y",)}
        orders.add(tuple((trial.item, trial.systems) for trial in hand))
    assert len(orders) == len(PEOPLE)


def test_the_seed_decides() -> None:
    first, again, other = (
        deal("ab", ITEMS, ("x", "y"), PEOPLE, random.Random(seed)) for seed in (5, 5, 6)
    )
    assert first == again != other


def test_against_one_system() -> None:
    assert pairs_of(("a", "b", "c")) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert pairs_of(("a", "b", "c"), "b") == [("a", "b"), ("b", "c")]
