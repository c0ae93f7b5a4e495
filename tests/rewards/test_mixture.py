"""Mixtures of rewards: their arithmetic, what becomes of failing parts, and that sound is made once."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from symusic.core import NoteTick, ScoreTick, TrackTick

from musiczoo.models.base.generative import Generated
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.rendering import Clip, Rendering
from musiczoo.rewards import (
    FunctionReward,
    Mixture,
    Reward,
    Scores,
    ScoresError,
    SymbolicFeatures,
    checked_scores,
)
from musiczoo.rewards.audio import AudioReward
from tests.rewards.test_base import pieces


def constant(name: str, *values: float) -> FunctionReward:
    return FunctionReward(lambda some: list(values)[: len(some)], name)


def test_weighted_mean():
    # SMART's sum(w * r) / sum(w).
    found = Mixture([(constant("a", 1.0, 2.0), 3.0), (constant("b", 5.0, 4.0), 1.0)]).score(
        pieces("x", "y")
    )
    assert found.values.tolist() == [2.0, 2.5]
    assert found.reasons == (None, None)
    assert found.details["a"].tolist() == [1.0, 2.0]
    assert found.details["b"].tolist() == [5.0, 4.0]
    assert found.means() == {"a": 1.5, "b": 4.5}
    # A penalty takes away, and its weight counts.
    assert Mixture({constant("a", 1.0): 1.0, constant("b", 4.0): -1.0})(pieces("x")).tolist() == [
        -1.5
    ]
    assert Mixture({constant("a", 1.0): 2.0, constant("b", math.nan): 0.0})(
        pieces("x")
    ).tolist() == [1.0]
    assert Mixture({constant("a"): 1.0})(pieces()).tolist() == []


def test_a_piece_that_a_part_cannot_score():
    parts = [
        (constant("a", 1.0, 2.0, math.nan), 1.0),
        (constant("b", 5.0, math.nan, math.nan), 1.0),
        (constant("c", *[math.nan] * 3), 0.0),
    ]
    found = Mixture(parts).score(pieces("x", "y", "z"))
    assert found.values.isnan().tolist() == [False, True, True]
    assert found.reasons == (None, "b gave nan", "a gave nan; b gave nan")
    skipped = Mixture(parts, missing="skip").score(pieces("x", "y", "z"))
    assert skipped.values[:2].tolist() == [3.0, 2.0]
    assert skipped.values[2].isnan()
    assert skipped.reasons == (None, None, "a gave nan; b gave nan")


def test_a_part_that_raises_or_hangs_costs_no_other():
    def broken(some: Sequence[Generated]) -> list[float]:
        raise ValueError("two words")

    def slow(some: Sequence[Generated]) -> list[float]:
        time.sleep(3)
        return [1.0] * len(some)

    begin = time.perf_counter()
    mixture = Mixture(
        {constant("a", 2.0, 4.0): 1.0, broken: 1.0, slow: 1.0}, missing="skip", timeout=0.3
    )
    found = checked_scores(mixture, pieces("x", "y"))
    assert time.perf_counter() - begin < 2.5
    assert found.values.tolist() == [2.0, 4.0]
    assert found.details["slow"].isnan().all()
    strict = Mixture({constant("a", 2.0): 1.0, FunctionReward(broken): 1.0}).score(pieces("x"))
    assert strict.reasons == ("broken raised ValueError: two words",)
    assert set(found.seconds) == {"a", "broken", "slow", "mixture"}
    assert found.seconds["slow"] == pytest.approx(0.3, abs=0.2)
    assert found.seconds["mixture"] >= found.seconds["slow"]
    with pytest.raises(ScoresError, match="short gave 1 scores for 2 pieces"):
        Mixture({constant("short", 1.0): 1.0}).score(pieces("x", "y"))


def test_parts_on_one_scale():
    mixture = Mixture(
        [(constant("a", 1.0, 2.0, math.nan, 6.0), 1.0), (constant("b", *[0.1] * 4), 9.0)],
        scale="batch",
        missing="skip",
    )
    found = mixture.score(pieces(*"wxyz"))
    row = np.array([1.0, 2.0, 6.0])
    assert found.values[[0, 1, 3]].tolist() == pytest.approx(
        ((row - row.mean()) / row.std() / 10).tolist()
    )
    assert found.values[2] == 0.0
    assert found.details["a"][0] == 1.0


class Knowing(Reward):
    def __init__(self, name: str) -> None:
        self.name = name
        self.references: Any = None

    def prepare(self, references: Any) -> None:
        self.references = references

    def score(self, some: Sequence[Generated]) -> Scores:
        return Scores(
            torch.ones(len(some)), (None,) * len(some), {"nearest": torch.full((len(some),), 0.5)}
        )


def test_parts_within_parts():
    deep = Knowing("deep")
    outer = Mixture(
        {Mixture({deep: 1.0}, name="inner"): 1.0, constant("a", 3.0): 1.0}, name="outer"
    )
    references: dict[Any, Any] = {}
    outer.prepare(references)
    assert deep.references is references
    found = checked_scores(outer, pieces("x"))
    assert found.values.tolist() == [2.0]
    assert set(found.details) == {"inner", "inner/deep", "inner/deep/nearest", "a"}
    assert found.details["inner/deep/nearest"].tolist() == [0.5]
    assert set(found.seconds) == {"inner", "inner/deep", "a", "outer"}


class Counting:
    """A renderer that makes no sound."""

    def __init__(self, rendering: Rendering | None = None) -> None:
        self.rendering = rendering or Rendering()
        self.begun: list[Any] = []
        self.asked = 0

    def begin(self, piece: Any) -> None:
        if all(piece is not other for other in self.begun):
            self.begun.append(piece)

    def clips(self, some: Sequence[Any]) -> list[Clip]:
        self.asked += 1
        for piece in some:
            if piece is not None:
                self.begin(piece)
        return [
            Clip(None, "There is no piece.") if piece is None else Clip(np.ones((2, 9), np.float32))
            for piece in some
        ]


class Loud(AudioReward):
    def __init__(self, name: str, renderer: Any) -> None:
        super().__init__(renderer)
        self.name = name

    def score_audio(self, samples: Sequence[Any], rate: int) -> Scores:
        return Scores(torch.ones(len(samples)), (None,) * len(samples))


def note() -> ScoreTick:
    score = ScoreTick(480)
    score.tracks.append(TrackTick("", 0, False))
    score.tracks[0].notes.append(NoteTick(0, 480, 60, 64))
    return score


def test_each_piece_is_rendered_once():
    renderers = [Counting(), Counting(), Counting(Rendering(max_seconds=5.0)), Counting()]
    loud = [Loud(f"loud{number}", renderer) for number, renderer in enumerate(renderers)]
    inner = Mixture({loud[3]: 1.0}, name="inner")
    mixture = Mixture(
        [(constant("first", 1.0, 1.0), 1.0), *((part, 1.0) for part in loud[:3]), (inner, 1.0)]
    )
    assert [loud[index].renderer is renderers[0] for index in range(4)] == [True, True, False, True]
    assert mixture.renderers() == [renderers[0], renderers[2]]
    some = [
        Generated(note(), "", *[torch.zeros(0)] * 3, "end"),
        Generated(None, "", *[torch.zeros(0)] * 3, "end"),
    ]
    found = mixture.score(some)
    assert found.values[0] == 1.0
    assert found.values[1].isnan()
    assert str(found.reasons[1]).startswith(
        "loud0 gave no score, for There is no piece.; loud1 gave no score"
    )
    assert [len(renderer.begun) for renderer in renderers] == [1, 0, 1, 0]
    assert [renderer.asked for renderer in renderers] == [3, 0, 1, 0]
    assert Mixture({constant("a", 1.0): 1.0}).renderers() == []


def test_with_symbolic_features():
    mixture = Mixture({SymbolicFeatures({"notes": 1.0}): 1.0, constant("a", 3.0): 1.0})
    found = mixture.score([Generated(note(), "", *[torch.zeros(0)] * 3, "end")])
    assert found.values.tolist() == [2.0]
    assert found.details["symbolic_features/velocity_range"].tolist() == [0.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mixture({}), "No mean can be taken"),
        (lambda: Mixture({constant("a"): 0.0}), "No mean can be taken"),
        (lambda: Mixture({constant("a"): math.nan}), "No mean can be taken"),
        (lambda: Mixture({constant("a"): math.inf}), "No mean can be taken"),
        (lambda: Mixture({constant("a"): 1.0, constant("a"): 2.0}), "2 parts are called a"),
        (lambda: Mixture({constant("a"): 1.0}, missing="zero"), "no mixture with missing='zero'"),
        (lambda: Mixture({constant("a"): 1.0}, scale="group"), "scale='group'"),
    ],
)
def test_wrong_arguments(make: Any, message: str):
    with pytest.raises(MusicZooError, match=message):
        make()
