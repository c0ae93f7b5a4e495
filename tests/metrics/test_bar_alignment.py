from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch

from musiczoo.metrics import BarAlignment, BarAlignmentError, bar_alignment
from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.errors import MusicZooError

HEADER = "M:4/4\nL:1/8\nK:C\nV:1\nV:2\nV:3\n"


def generated(body: str, *, stop: str = "end", header: str = HEADER) -> Generated:
    none = torch.zeros(0)
    text = header + body
    try:
        piece = read_abc(text)
    except MusicZooError:
        piece = None
    return Generated(piece, text, none, none, none, stop)  # type: ignore[arg-type]


# Lengths worked out by hand in eighths.
@pytest.mark.parametrize(
    ("line", "is_aligned"),
    [
        ("[V:1]C8|[V:2]C4 E4|[V:3]z8|", True),
        ("[V:1]C8|[V:2]C4 E3|[V:3]z8|", False),  # 8 7 8
        ("[V:1]C8|[V:3]z8|", True),  # a voice left out is not present
        ("[V:1](3CDE F6|[V:2]C8|", True),  # 2 + 6
        ("[V:1](3CDE F5|[V:2]C8|", False),
        ("[V:1](5:4:5CDEFG C4|[V:2]C8|", True),  # 4 + 4
        ("[V:1]C2>D2 C4|[V:2]C8|", True),  # 3 + 1 + 4
        ("[V:1]C3>D1 C4|[V:2]C8|", False),  # 4.5 + 0.5 + 4
        ("[V:1]C>D C>>D C4|[V:2]C8|", True),
        ("[V:1]C4 {cd}E4|[V:2]C8|", True),  # grace notes take none
        ('[V:1]!trill!C4 "^slow"E4|[V:2]"C7"C8|', True),
        ("[V:1][C2E2G2]4|[V:2]C8|", True),  # 2 x 4
        ("[V:1]C4 & E8|[V:2]C8|", True),  # the longest layer
        ("[V:1]C4-C4|[V:2](C4E4)|", True),
        ("[V:1][M:3/4]C6|[V:2][M:3/4]C6|", True),
        ("[V:1]C/0 C8|[V:2]C8|", False),  # a length that divides by zero cannot be read
        ("[V:1]C4|E4|[V:2]C8|", False),  # two bars against one
        ("[V:1]C4|E4|[V:2]C4|E4|", False),  # a line is one bar
        ("[V:1]|[V:2]C8|", False),  # no bar against one
        ("C8|[V:2]C8|[V:3]C8|", False),  # music of no voice
    ],
)
def test_one_bar_by_hand(line, is_aligned):
    first = "[r:0/1][V:1]C8|[V:2]C8|[V:3]C8|\n"
    found = bar_alignment(generated(f"{first}[r:1/0]{line}\n"))
    assert found.bars == 2
    assert found.misaligned == (() if is_aligned else (1,))
    assert found.aligned is is_aligned


def test_unit_and_meter_changes_are_kept_by_each_voice():
    body = "[V:1][L:1/4]C4|[V:2]C8|\n[V:1]C4|[V:2]C8|\n[V:1]C8|[V:2]C8|\n"
    assert bar_alignment(generated(body)).misaligned == (2,)


def test_single_voices_are_left_out():
    assert bar_alignment(read_abc("M:4/4\nL:1/8\nK:C\nC8|C7|\n")).bars == 0
    assert (
        bar_alignment(generated("[V:1]C8|\n[V:1]C7|\n", header="M:4/4\nL:1/8\nK:C\nV:1\n")).bars
        == 0
    )
    # Of a piece of several voices, lines with one voice have nothing to compare.
    assert bar_alignment(generated("[V:1]C8|\n[V:1]C8|[V:2]C8|\n[V:2]C7|\n")).bars == 1
    # But a lone voice must not have two bars where the line is one.
    assert bar_alignment(generated("[V:1]C4|C4|\n[V:1]C8|[V:2]C8|\n")).misaligned == (0,)


@pytest.mark.parametrize("stop", ["max_length", "cancelled"])
def test_the_last_line_of_a_piece_cut_off_is_left_out(stop):
    body = "[r:0/1][V:1]C8|[V:2]C8|\n[r:1/0][V:1]C8|[V:2]C"
    assert bar_alignment(generated(body)).misaligned == (1,)
    cut = bar_alignment(generated(body, stop=stop))
    assert cut.bars == 1
    assert cut.aligned


def test_rests_that_reading_restores_do_not_even_out_an_error():
    # Read as a tune, the missing third voice takes the length of the majority; the text has two
    # voices that differ.
    result = generated("[V:1]C8|[V:2]C7|\n[V:1]C8|[V:2]C8|[V:3]C8|\n")
    assert bar_alignment(result) == BarAlignment(2, (0,))


def test_tunes_of_unequal_voices():
    tune = read_abc("M:4/4\nL:1/8\nK:C\nV:1\nC8|C8|C8|\nV:2\nC8|C8|\n")
    assert bar_alignment(tune).misaligned == (2,)


def test_durations_equal_music21s():
    import music21

    body = "[V:1](3CDE F>G A/B/c/d/|[V:2]C3/2D/ E2|[V:3][CE]3 z|\n[V:1]C4|[V:2](5:4:5CDEFG|[V:3]C2>D2|\n"
    header = "M:4/4\nL:1/4\nK:C\nV:1\nV:2\nV:3\n"
    expected = []
    for line in body.splitlines():
        lengths = []
        for code in line.replace("[V:", "\n").splitlines()[1:]:
            voice = music21.converter.parse(
                f"X:1\nM:4/4\nL:1/4\nK:C\n{code.split(']', 1)[1]}\n", format="abc"
            )
            lengths.append(
                sum(
                    (
                        Fraction(note.quarterLength).limit_denominator(64)
                        for note in voice.flatten().notesAndRests
                    ),
                    Fraction(0),
                )
            )
        expected.append(len(set(lengths)) > 1)
    found = bar_alignment(generated(body, header=header))
    assert [index in found.misaligned for index in range(2)] == expected == [True, False]


def tunes() -> list[Tune]:
    bodies = [
        "V:1\nC8|C8|\nV:2\nC8|C7|\n",
        "V:1\nC8|\nV:2\nC8|\n",
        "C8|C7|\n",
        "V:1\nC8|C8|C8|C6|\nV:2\nC8|C8|C8|C8|\n",
    ]
    return [read_abc(f"M:4/4\nL:1/8\nK:C\n{body}") for body in bodies]


@pytest.mark.filterwarnings("ignore:The ``compute``")
def test_metric_is_a_micro_average_in_percent():
    metric = BarAlignmentError()
    assert math.isnan(metric.compute())
    metric.reset()
    for tune in tunes():
        metric.update([tune])
    assert float(metric.compute()) == pytest.approx(100 * 2 / 7)
    assert (int(metric.pieces), int(metric.aligned_pieces)) == (3, 1)
    together = BarAlignmentError()
    together.update(tunes())
    assert float(together.compute()) == float(metric.compute())
    metric.reset()
    metric.update(tunes()[:1])
    assert float(metric.compute()) == 50
