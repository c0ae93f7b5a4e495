import pytest

from musiczoo.music.abc import interleaved_lines, is_rest_bar, kept_voice_bars, read_abc
from tests.music.abc.random_tunes import random_tune


def lines_of(tune):
    return [*(item.text for item in tune.header), *interleaved_lines(tune, omit_rests=True)]


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("z8", True),
        ("x4 z4", True),
        ("Z", True),
        ("z4&x4", True),
        ("", True),
        ("!fermata!z8", False),
        ("[K:D]z8", False),
        ('"^A"z8', False),
        ("A8", False),
    ],
)
def test_rest_bars_by_the_published_rule(text, rest):
    assert is_rest_bar(text) is rest


def test_rest_bars_are_left_out_and_a_bar_of_rests_survives():
    tune = read_abc("L:1/8\nM:4/4\nK:C\nV:1\nV:2\nV:1\nA8|z8|z8|c8|]\nV:2\nZ|B8|Z|d8|]\n")
    assert interleaved_lines(tune, omit_rests=True) == [
        "[V:1]A8|",
        "[V:2]B8|",
        "[V:1]z8|",
        "[V:1]c8|][V:2]d8|]",
    ]
    again = read_abc("\n".join(lines_of(tune)))
    assert [[bar.text for bar in voice.bars] for voice in again.voices] == [
        ["A8", "z8", "z8", "c8"],
        ["z8", "B8", "z8", "d8"],
    ]


def test_what_the_line_does_not_tell_is_kept():
    tune = read_abc(
        "L:1/8\nM:4/4\nK:C\nV:1\nV:2\nV:3\nV:1\nA8|A8|A8|]\nV:2\nz6|z8:|z8|]\nV:3\nz8|z8|z8|]\n"
    )
    # Another length, another bar-line; voice 3 after them differs in turn from what the line then
    # says.
    assert kept_voice_bars(tune) == [[True, True, False], [True, True, True], [True, False, False]]


def test_silent_voices_come_back_from_the_header():
    tune = read_abc("L:1/8\nM:4/4\nK:C\nV:1\nV:2\nV:1\nA8|B8|]\nV:2\nz8|z8|]\nV:3\nC8|D8|]\n")
    assert not any("[V:2]" in line for line in interleaved_lines(tune, omit_rests=True))
    assert read_abc("\n".join(lines_of(tune))).voices == tune.voices


def test_voices_that_never_sound_together_stay_apart():
    tune = read_abc("L:1/8\nM:4/4\nK:C\nV:1\nV:2\nV:1\nA8|z8|]\nV:2\nz8|B8|]\n")
    assert interleaved_lines(tune, omit_rests=True) == ["[V:1]A8|[V:2]z8|", "[V:2]B8|]"]
    assert read_abc("\n".join(lines_of(tune))).voices == tune.voices


def test_unit_changes_are_followed():
    tune = read_abc(
        "L:1/8\nM:4/4\nK:C\nV:1\nV:2\nV:1\n[L:1/16]A16|B16|z16|]\nV:2\n[L:1/4]C4|z4|D4|]\n"
    )
    again = read_abc("\n".join(lines_of(tune)))
    assert [[bar.text for bar in voice.bars] for voice in again.voices] == [
        ["[L:1/16]A16", "B16", "z16"],
        ["[L:1/4]C4", "z4", "D4"],
    ]


@pytest.mark.parametrize("seed", range(100, 180))
def test_restoring_is_the_inverse_of_leaving_out(seed):
    tune = random_tune(seed, voices=2 + seed % 4)
    again = read_abc("\n".join(lines_of(tune)))
    assert [voice.id for voice in again.voices] == [voice.id for voice in tune.voices]
    assert again.notes(graces=True) == tune.notes(graces=True)
    for ours, theirs in zip(again.parsed, tune.parsed, strict=True):
        assert [(span.duration, span.left, span.right) for span in ours.bars] == [
            (span.duration, span.left, span.right) for span in theirs.bars
        ]
    assert interleaved_lines(again, omit_rests=True) == interleaved_lines(tune, omit_rests=True)
