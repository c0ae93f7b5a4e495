from pathlib import Path

import pytest

from musiczoo.music.abc import Bar, Field, Tune, Voice, interleaved_lines, read_abc, write_abc
from musiczoo.music.errors import MusicZooError
from tests.music.abc.random_tunes import random_tune


def test_the_published_form_of_the_fixture_comes_back_letter_by_letter():
    text = Path("tests/fixtures/bar_stream/piece.abc").read_text()
    tune = read_abc(text)
    written = [*(item.text for item in tune.header), *interleaved_lines(tune, omit_rests=True), ""]
    assert "\n".join(written) == text


def test_standard_form():
    tune = read_abc(
        "X:3\nL:1/8\nK:G\nV:1\nV:2 bass\nV:1\n|:A|1B:|2c|d|e|]\nV:2\n|:C|1D:|2E|F|G|]\n"
    )
    assert (
        write_abc(tune)
        == "X:3\nL:1/8\nK:G\nV:1\nV:2 bass\nV:1\n|: A |1 B :|2 c | d |\ne |]\nV:2\n|: C |1 D :|2 E | F |\nG |]\n"
    )


def test_fields_come_before_the_opening_bar_line():
    tune = Tune(
        (Field("L", "1/8"), Field("K", "C")), (Voice("1", (Bar("[K:bass][M:3/4]A6", ":|", "|:"),)),)
    )
    assert interleaved_lines(tune) == ["[V:1][K:bass][M:3/4]|:A6:|"]
    assert read_abc(write_abc(tune, interleaved=True)).voices == tune.voices


def test_unequal_voices_are_refused_with_their_counts():
    tune = read_abc("K:C\nV:1\nV:2\nV:1\nA|B|\nV:2\nC|\n")
    with pytest.raises(MusicZooError, match="voice 1: 2, voice 2: 1"):
        interleaved_lines(tune)


def test_a_missing_bar_line_is_refused():
    tune = Tune((Field("K", "C"),), (Voice("1", (Bar("A", ""), Bar("B", "|"))),))
    with pytest.raises(MusicZooError, match="bar-line is missing"):
        write_abc(tune)


@pytest.mark.parametrize("seed", range(60))
def test_random_tunes_come_back(seed):
    tune = random_tune(seed)
    notes = tune.notes(graces=True)
    standard = read_abc(write_abc(tune))
    assert standard.voices == tune.voices
    assert standard.notes(graces=True) == notes
    assert write_abc(read_abc(write_abc(tune))) == write_abc(tune)
    interleaved = read_abc(write_abc(tune, interleaved=True))
    assert interleaved.voices == tune.voices
    assert interleaved.header == tune.header or len(tune.voices) == 1
    assert interleaved.notes(graces=True) == notes
