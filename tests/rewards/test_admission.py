"""The rules by which a generated piece may be an example (NotaGen's code)."""

from __future__ import annotations

import pytest
import torch

from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards import FunctionReward, Reward, Scores
from musiczoo.rewards.admission import (
    Aligned,
    GroupedStaves,
    NoCopies,
    misalignment,
    ungrouped_staves,
)


def piece(*voices: str, header: str = "") -> Tune:
    body = "\n".join(f"V:{number}\n{bars}" for number, bars in enumerate(voices, 1))
    return read_abc(f"X:1\nM:4/4\nL:1/4\n{header}K:C\n{body}\n")


@pytest.mark.parametrize(
    "voices",
    [
        ("CDEF|C4|",),
        ("CDEF|C4|]", "C2D2|C4|]"),
        ("|:C4|C4:|", "|:C2C2|z4:|", "|:(3CDE C2|c4:|"),
        ("CDE|C4|", "C3|C4|"),
    ],
)
def test_aligned(voices):
    # A bar of another length than the metre's is no fault where all voices have it.
    assert misalignment(piece(*voices)) is None


@pytest.mark.parametrize(
    ("voices", "reason"),
    [
        (("CDEF|C4|", "C4|"), "voice 2 has 1 bars, voice 1 has 2"),
        (
            ("CDEF|C4|", "C4|C4|", "C3|C4|"),
            "bar 1 of voice 3 has another length than that of voice 1",
        ),
        (("C4|C4|", "C4|C7/2|"), "bar 2 of voice 2 has another length"),
        (("C4|C4|", "C4|C4||"), "bar 2 of voice 2 has other bar-lines"),
        (("|:C4|C4:|", "C4|C4:|"), "bar 1 of voice 2 has other bar-lines"),
    ],
)
def test_misaligned(voices, reason):
    assert reason in str(misalignment(piece(*voices)))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("Piano", "", "Violin"), None),
        (("Violin", "Violin", "Cello"), None),
        (("Violin", "Cello", "Violin"), "the staves of Violin do not stand together"),
        (("Piano", "", "Cello", "", "Piano"), "the staves of Piano do not stand together"),
        (("", ""), None),
    ],
)
def test_grouped_staves(names, found):
    header = "".join(
        f"V:{number} treble{f' nm={chr(34)}{name}{chr(34)}' if name else ''}\n"
        for number, name in enumerate(names, 1)
    )
    assert ungrouped_staves(piece(*["C4|"] * len(names), header=header)) == found


def result(tune: Tune | None) -> Generated:
    none = torch.zeros(0)
    return Generated(tune, "", none, none, none.bool(), "end")


class Similar(Reward):
    name = "similar"

    def score(self, pieces):
        return Scores(torch.zeros(len(pieces)), (None,) * len(pieces))

    def copy_threshold(self) -> float:
        return 0.8


def test_rules_of_notation_admit_what_is_no_notation():
    apart = piece("CDEF|C4|", "C4|")
    assert Aligned().refusal(result(apart), {}) == f"misaligned: {misalignment(apart)}"
    assert Aligned().refusal(result(None), {}) is None
    assert GroupedStaves().refusal(result(apart), {}) is None
    assert GroupedStaves().refusal(result(None), {}) is None


def test_copies():
    rule = NoCopies(0.9)
    rule.check(Similar())
    rule.prepare(Similar())
    assert rule.record() == {"copy_threshold": 0.9}
    assert rule.refusal(result(None), {"nearest": 0.9}) is None
    assert rule.refusal(result(None), {"nearest": float("nan")}) is None
    reason = "too near to a real work: similarity 0.9500"
    assert rule.refusal(result(None), {"nearest": 0.95}) == reason
    with pytest.raises(MusicZooError, match="reward similar does not give the similarity"):
        rule.refusal(result(None), {})
    with pytest.raises(MusicZooError, match="A function gives no similarity"):
        rule.check(FunctionReward(lambda pieces: [0.0] * len(pieces)))
    with pytest.raises(MusicZooError, match="plagiarism='often' has no meaning"):
        NoCopies("often")


def test_the_threshold_of_copies_is_the_reward_s_where_it_has_one():
    rule = NoCopies()
    rule.check(FunctionReward(len))
    rule.prepare(Similar())
    assert rule.threshold == 0.8
    rule.prepare(FunctionReward(len))
    assert rule.record() == {"copy_threshold": None}
    assert rule.refusal(result(None), {}) is None
