"""Symbolic features as a reward."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from musiczoo.metrics import FEATURE_NAMES, midi_features
from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards import SymbolicFeatures
from tests.metrics.test_midi_features import generated, score


def test_weights_and_ranges():
    piece = score((0, 480, 60), (480, 480, 64), (1440, 480, 67))
    numbers = midi_features(piece).numbers()
    assert (numbers["notes"], numbers["pitch_range"], numbers["empty_beat_rate"]) == (
        3.0,
        7.0,
        0.25,
    )
    asked: list[tuple[dict[str, Any], float]] = [
        ({"notes": 1.0}, 3.0),
        ({"notes": -2}, -3.0),
        ({"notes": 1.0, "empty_beat_rate": -3.0}, (3.0 - 0.75) / 4),
        ({"pitch_range": (7, 12)}, 1.0),
        ({"pitch_range": (0, 7)}, 1.0),
        ({"pitch_range": (9, 13)}, math.exp(-2 / 4)),
        ({"notes": (1, 2)}, math.exp(-1 / 1)),
        ({"notes": (4, 4)}, math.exp(-1 / 4)),
        ({"empty_beat_rate": (0, 0)}, math.exp(-0.25)),
    ]
    for features, wanted in asked:
        assert SymbolicFeatures(features)([generated(piece)]).tolist() == pytest.approx([wanted]), (
            features
        )
    weighted = SymbolicFeatures({"pitch_range": (7, 12), "notes": 1.0}, {"pitch_range": 3.0})
    assert weighted([generated(piece)]).tolist() == pytest.approx([(3 * 1.0 + 3.0) / 4])


def test_nearer_is_better_however_far():
    reward = SymbolicFeatures({"pitch_range": (12, 24)})
    worths = [
        float(reward([generated(score((0, 480, 30), (0, 480, 30 + span)))]))
        for span in (1, 5, 12, 24, 40, 90)
    ]
    assert worths[0] < worths[1] < worths[2] == worths[3] == 1.0
    assert worths[3] > worths[4] > worths[5] > 0.0


def test_details_hold_all_features_and_reasons_what_lacks():
    pieces = [
        generated(read_abc("L:1/4\nK:C\nCE|\n")),
        Generated(None, "", *[torch.zeros(0)] * 3, "end", MusicZooError("no key")),
        generated(score(drums=((0, 480, 36),))),
        generated(score()),
        generated(read_abc("L:1/4\nK:C\nC/0|\n")),
    ]
    found = SymbolicFeatures({"scale_consistency": 1.0}, name="scales").score(pieces)
    assert found.values.isnan().tolist() == [False, True, True, True, True]
    assert found.reasons[:4] == (
        None,
        "the piece cannot be read: no key",
        *["the piece has no scale_consistency"] * 2,
    )
    assert str(found.reasons[4]).startswith("the piece cannot be read: ")
    assert set(found.details) == set(FEATURE_NAMES)
    assert found.details["notes"].tolist()[:1] == [2.0]
    assert found.details["notes"][1].isnan()
    assert found.details["notes"].tolist()[2:4] == [1.0, 0.0]
    assert SymbolicFeatures({"notes": 1.0}).score([]).reasons == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({},), "No mean can be taken"),
        (({"notes": 0.0},), "No mean can be taken"),
        (({"notes": math.nan},), "No mean can be taken"),
        (({"note": 1.0},), r"no feature 'note'\. Give notes"),
        (({"notes": 1.0}, {"pitches": 1.0}), "no feature 'pitches'"),
        (({"notes": 1.0}, {"notes": 2.0}), "notes has no range"),
        (({"notes": (3, 2)},), "3 to 2 is no range"),
        (({"notes": (3, math.inf)},), "no range"),
    ],
)
def test_wrong_arguments(arguments: Any, message: str):
    with pytest.raises(MusicZooError, match=message):
        SymbolicFeatures(*arguments)
