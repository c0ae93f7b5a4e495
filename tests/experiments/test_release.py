"""The figures of a release."""

from __future__ import annotations

import math

from experiments._release import rounded, sources
from musiczoo.hub.card import Figure


def test_figures_are_rounded_and_those_that_are_not_finite_are_left_out() -> None:
    rows = [Figure("bits", 0.123456, "works", "how"), Figure("rate", math.nan, "works", "how")]
    assert rounded(rows) == [Figure("bits", 0.1235, "works", "how")]


def test_sources_carry_their_licences() -> None:
    [source] = sources(["bach-chorales"])
    assert source.name == "bach-chorales"
    assert source.licence
