"""Which pieces of a prompt become examples."""

from __future__ import annotations

import math

import pytest

from musiczoo.callbacks.preference.selection import select
from musiczoo.music.errors import MusicZooError


def nobody(place: int) -> str | None:
    return None


def test_best_and_worst_tenth():
    scores = [float((7 * place) % 100) for place in range(100)]
    found = select(scores, nobody)
    assert [scores[place] for place in found.chosen] == [99.0 - rank for rank in range(10)]
    assert [scores[place] for place in found.rejected] == [9.0 - rank for rank in range(10)]
    assert found.refused == {}


def test_the_walk_goes_on_past_refused_pieces():
    asked: list[int] = []

    def odd(place: int) -> str | None:
        asked.append(place)
        return "odd" if place % 2 else None

    found = select([10.0 - place for place in range(10)], odd, 0.3)
    assert found.chosen == [0, 2, 4]
    assert found.rejected == [7, 8, 9]
    assert found.refused == {1: "odd", 3: "odd"}
    assert asked == [0, 1, 2, 3, 4]


def test_the_walk_never_comes_to_the_rejected():
    found = select([4.0, 3.0, 2.0, 1.0], lambda place: "bad" if place < 2 else None, 0.5)
    assert (found.chosen, found.rejected, found.refused) == ([], [2, 3], {0: "bad", 1: "bad"})


def test_pieces_without_a_score_are_no_part_of_the_ranking():
    found = select([math.nan, 1.0, math.nan, 3.0, 2.0], nobody, 0.34)
    assert (found.chosen, found.rejected) == ([3], [1])
    # Equal scores keep the order of the pieces.
    assert select([1.0] * 4, nobody, 0.5).chosen == [0, 1]


@pytest.mark.parametrize(("scores", "rejected"), [([], []), ([math.nan] * 3, []), ([1.0], [0])])
def test_too_few_to_choose_from(scores, rejected):
    found = select(scores, nobody)
    assert (found.chosen, found.rejected) == ([], rejected)


def test_at_least_one_of_each():
    assert select([1.0, 2.0], nobody, 0.1).chosen == [1]
    assert select([1.0, 2.0], nobody, 0.1).rejected == [0]


@pytest.mark.parametrize("fraction", [0.0, -0.1, 0.51, math.nan])
def test_fractions_without_room(fraction):
    with pytest.raises(MusicZooError, match="cannot be chosen and rejected"):
        select([1.0, 2.0], nobody, fraction)
