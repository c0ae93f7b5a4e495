"""Velocities from dynamic marks, with values worked out by hand from the table."""

from __future__ import annotations

import pytest

from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.abc.dynamics import LEVELS
from musiczoo.music.midi.from_tune import to_score
from musiczoo.music.musicxml.reader import read_musicxml
from musiczoo.music.musicxml.writer import write_musicxml


def velocities(tune: Tune, **options: bool) -> list[list[int]]:
    return [
        [note.velocity for note in sorted(track.notes, key=lambda note: note.start)]
        for track in to_score(tune, **options).tracks
    ]


def tune(body: str, header: str = "") -> Tune:
    return read_abc(f"X:1\nL:1/4\nM:4/4\n{header}K:C\n{body}\n")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("ABcd | efga |]", [80] * 8),
        ("!pp!AB!f!cd | e!mp!fga |]", [33, 33, 96, 96, 96, 64, 64, 64]),
        ("A!ppp!B!fff!c!ffff!d |]", [80, 16, 126, 127]),
        ("+p+A B +ff+c d |]", [49, 49, 112, 112]),
        ("!p!AB!sfz!cd |]", [49, 49, 81, 49]),
        ("!ff!A!sfz!Bcd |]", [112, 127, 112, 112]),
        ("!mf!A!fp!Bcd |]", [80, 96, 49, 49]),
        ("!p!z!f!z AB |]", [96, 96]),  # marks on rests hold
        ("!p!!crescendo(!ABcd | !crescendo)!!f!efga |]", [49, 61, 72, 84, 96, 96, 96, 96]),
        ("!p!!<(!ABcd | !<)!efga |]", [49, 53, 57, 61, 65, 65, 65, 65]),  # to nowhere: sixteen up
        ("!f!!diminuendo(!ABcd | !diminuendo)!e!mp!fga |]", [96, 88, 80, 72, 64, 64, 64, 64]),
        (
            "!f!!>(!ABcd | !>)!efg!ff!a |]",
            [96, 92, 88, 84, 80, 80, 80, 112],
        ),  # a diminuendo does not lead up to ff
        ("!p!!<(!AB!f!cd |]", [49, 72, 96, 96]),  # a hairpin without an end ends at the next mark
    ],
)
def test_marks(body: str, expected: list[int]) -> None:
    assert velocities(tune(body)) == [expected]


def test_repeats_play_bars_as_they_are_marked() -> None:
    piece = tune("|: !p!A4 | B4 :| !f!c4 |]")
    assert velocities(piece) == [[49, 49, 49, 49, 96]]
    assert velocities(piece, expand_repeats=False) == [[49, 49, 96]]
    assert velocities(tune("|: A4 |1 !f!B4 :|2 !pp!c4 |]")) == [[80, 96, 80, 33]]


def test_voices_share_the_marks_of_their_staff_and_brace() -> None:
    header = "%%score {(1 2) 3} 4\nV:1\nV:2\nV:3 bass\nV:4\n"
    body = "V:1\n!p!A4 | B4 |\nV:2\nF4 | F4 |\nV:3\nC,4 | !ff!C,4 |\nV:4\nc4 | c4 |"
    assert velocities(tune(body, header)) == [[49, 49], [49, 49], [80, 112], [80, 80]]
    assert velocities(tune(body.replace("!ff!", ""), header)) == [
        [49, 49],
        [49, 49],
        [49, 49],
        [80, 80],
    ]


def test_marks_come_through_musicxml() -> None:
    piece = tune("!pp!AB!f!cd | !<(!efg!<)!a |]")
    again = read_musicxml(write_musicxml(piece).encode(), path="piece.musicxml")
    assert velocities(again) == velocities(piece)
    assert len(set(velocities(again)[0])) > 3


def test_levels_rise() -> None:
    assert sorted(LEVELS.values()) == list(LEVELS.values())
    assert LEVELS["mf"] == 80
