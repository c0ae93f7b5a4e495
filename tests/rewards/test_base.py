"""Rewards of the user's: what they give, and what becomes of what they do not give."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from musiczoo.models.base.generative import Generated
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards import FunctionReward, Reward, Scores, ScoresError, as_reward, checked_scores


def pieces(*texts: str) -> list[Generated]:
    nothing = torch.zeros(0, 4)
    return [Generated(None, text, nothing, nothing, nothing.bool(), "end") for text in texts]


def length(some: Sequence[Generated]) -> torch.Tensor:
    return torch.tensor([len(piece.text) for piece in some])


def test_a_function_is_a_reward():
    reward = as_reward(length)
    assert isinstance(reward, FunctionReward)
    assert reward.name == "length"
    assert as_reward(reward) is reward
    assert FunctionReward(length, "short").name == "short"
    found = reward(pieces("a", "bcd"))
    assert found.dtype == torch.float64
    assert found.tolist() == [1.0, 3.0]
    assert reward.score(pieces("a", "bcd")).reasons == (None, None)
    assert reward(pieces()).tolist() == []


def test_numbers_that_are_none():
    found = FunctionReward(lambda some: [math.nan, 1.0, math.inf], "odd").score(
        pieces("a", "b", "c")
    )
    assert found.values.isnan().tolist() == [True, False, True]
    assert found.reasons == ("odd gave nan", None, "odd gave inf")


@pytest.mark.parametrize("error", [ValueError("two words: here"), MusicZooError("two words: here")])
def test_a_piece_that_it_raises_for_costs_no_other_its_score(error):
    calls = []

    def picky(some: Sequence[Generated]) -> list[float]:
        calls.append(len(some))
        if any(piece.text == "b" for piece in some):
            raise error
        return [1.0] * len(some)

    found = FunctionReward(picky).score(pieces("a", "b", "c"))
    assert found.values.isnan().tolist() == [False, True, False]
    assert found.reasons == (None, f"picky raised {type(error).__name__}: two words: here", None)
    assert calls == [3, 1, 1, 1]


@pytest.mark.parametrize("given", [[], [1.0], [1.0, 2.0, 3.0]])
def test_another_number_of_scores_is_an_error(given):
    with pytest.raises(
        ScoresError,
        match=rf"The reward <lambda> gave {len(given)} scores for 2 pieces\. It must give one number",
    ):
        FunctionReward(lambda some: given).score(pieces("a", "b"))


def test_what_is_no_list_of_numbers_is_told_of_each_piece():
    assert (
        FunctionReward(lambda some: [None] * len(some))
        .score(pieces("a"))
        .reasons[0]
        .startswith("<lambda> raised TypeError")
    )
    assert (
        FunctionReward(lambda some: 5, "five")
        .score(pieces("a", "b"))
        .reasons[1]
        .startswith("five raised TypeError")
    )


class Picky(Reward):
    name = "picky"

    def __init__(self, scores: Scores | None = None) -> None:
        self.given = scores

    def score(self, some: Sequence[Generated]) -> Scores:
        if self.given is not None:
            return self.given
        if any(piece.text == "b" for piece in some):
            raise RuntimeError("no b")
        return Scores(
            torch.ones(len(some)), (None,) * len(some), {"nearest": torch.full((len(some),), 0.5)}
        )


def test_other_rewards_are_checked_alike():
    found = checked_scores(Picky(), pieces("a", "b", "c"))
    assert found.values.isnan().tolist() == [False, True, False]
    assert found.reasons[1] == "picky raised RuntimeError: no b"
    assert found.details["nearest"].isnan().tolist() == [False, True, False]
    unexplained = checked_scores(
        Picky(Scores(torch.tensor([1.0, math.nan, math.nan]), (None, None, "known"))),
        pieces("a", "b", "c"),
    )
    assert unexplained.reasons == (None, "picky gave nan", "known")
    for values, reasons, details in (
        (torch.ones(2), (None,) * 3, {}),
        (torch.ones(3), (None,) * 2, {}),
        (torch.ones(3, 1), (None,) * 3, {}),
        (torch.ones(3), (None,) * 3, {"nearest": torch.ones(2)}),
    ):
        with pytest.raises(ScoresError, match="picky gave"):
            checked_scores(Picky(Scores(values, reasons, details)), pieces("a", "b", "c"))
