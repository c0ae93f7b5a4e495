"""MusicXML out of tunes, judged by music21 and by our own reader."""

from __future__ import annotations

import importlib.util
import warnings
from fractions import Fraction
from pathlib import Path

import pytest
from lxml import etree

from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.musicxml.from_abc import parse_bar_line, parse_chord_symbol
from musiczoo.music.musicxml.note_types import note_values
from musiczoo.music.musicxml.reader import read_musicxml
from musiczoo.music.musicxml.score_layout import Clef, parse_clef, part_layout
from musiczoo.music.musicxml.writer import write_musicxml

CORPUS = Path(importlib.util.find_spec("music21").submodule_search_locations[0]) / "corpus"

RICH = """X:1
T:Rich & <rare>
C:Nobody
%%score [ (1 2) | { 3 | 4 } ]
L:1/8
Q:"Allegro" 1/4=96
M:4/4
K:G
V:1 treble nm="Violin" snm="Vl."
V:2 treble
V:3 treble nm="Piano"
V:4 bass
V:1
|: "G"!f!G2 (3abc !<(!d2!<)! e>f | "^dolce"(g4 f2) {ab}a2- |1 a4 z4 :|2 [G4B2d4] [GBd]2 ^c2 |] [M:3/4][K:D] !fermata!d6 | A5/2B5/2c |]
V:2
|: D8 | z8 |1 x8 :|2 D4 D4 |] F6 | F6 |]
V:3
|: c/d/e/f/ g>a b2 ^c'2 & E8 | z8 |1 z8 :|2 e8 |] z6 | [K:bass] .A2 TA2 uA2|]
V:4
|: G,8 | Z |1 G,8 :|2 G,8 |] D,6 | (5:4:5A,A,A,A,A, A,2 |]
"""

ONE = "X:1\nL:1/4\nM:4/4\nK:C\n"


def sounding(tune: Tune) -> list[tuple[Fraction, int, Fraction]]:
    return sorted((note.onset, note.pitch, note.duration) for note in tune.notes())


def by_music21(document: str) -> list[tuple[Fraction, int, Fraction]]:
    import music21

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score = music21.converter.parse(document, format="musicxml")
    found = []
    for part in score.parts:
        for note in part.stripTies().flatten().notes:
            if not isinstance(note, music21.harmony.ChordSymbol) and not note.duration.isGrace:
                found += [
                    (Fraction(note.offset), pitch.midi, Fraction(note.quarterLength))
                    for pitch in note.pitches
                ]
    return sorted(found)


def parsed(document: str) -> etree._Element:
    return etree.fromstring(document.encode())


@pytest.mark.parametrize(
    "text",
    [
        RICH,
        ONE + "A5/4B5/4c3/2 | A2/3A2/3A2/3 d/5e/5f/5g/5a/5 z | (3A2B2c2 | [A4c2]z & z3 E |",
        ONE + "A-|A-A z2 | [Ac]-[Ac] A-c | z4 | x4 | A>B c<d |",
        "X:1\nL:1/8\nM:6/8\nK:Eb\nA3 (2BB | (4cdef | {/c}B2 z (7BcdefgaA/A/ |\n",
    ],
)
def test_music21_reads_the_same_notes(text: str) -> None:
    tune = read_abc(text)
    expected = [(onset, pitch, duration) for onset, pitch, duration in sounding(tune)]
    assert by_music21(write_musicxml(tune)) == expected


@pytest.mark.parametrize(
    "name",
    [
        "bach/bwv66.6.mxl",
        "bach/bwv269.mxl",
        "haydn/opus1no1/movement3.mxl",
        "monteverdi/madrigal.3.1.mxl",
    ],
)
def test_round_trip_keeps_every_note(name: str) -> None:
    tune = read_musicxml(CORPUS / name)
    assert len(tune.notes()) > 100
    assert sounding(read_musicxml(write_musicxml(tune).encode())) == sounding(tune)


@pytest.mark.slow
def test_round_trip_of_all_chorales() -> None:
    differing = []
    for path in sorted((CORPUS / "bach").glob("*.mxl")):
        tune = read_musicxml(path)
        if sounding(read_musicxml(write_musicxml(tune).encode())) != sounding(tune):
            differing.append(path.name)
    assert differing == []


def test_rich_tune_round_trip() -> None:
    tune = read_abc(RICH)
    again = read_musicxml(write_musicxml(tune).encode())
    assert sounding(again) == sounding(tune)
    assert sorted((n.onset, n.pitch) for n in again.notes(expand_repeats=True)) == sorted(
        (n.onset, n.pitch) for n in tune.notes(expand_repeats=True)
    )


@pytest.mark.parametrize("denominator", range(1, 25))
def test_every_duration_can_be_written(denominator: int) -> None:
    for numerator in range(1, 5 * denominator):
        duration = Fraction(numerator, denominator)
        for actual, normal in ((1, 1), (3, 2), (7, 4)):
            values = note_values(duration, actual, normal)
            assert sum(value.duration for value in values) == duration
            for value in values:
                shown = {
                    "whole": 4,
                    "half": 2,
                    "quarter": 1,
                    "eighth": Fraction(1, 2),
                    "16th": Fraction(1, 4),
                    "32nd": Fraction(1, 8),
                }.get(value.type)
                if shown is not None:
                    assert (
                        value.duration
                        == shown * (2 - Fraction(1, 2**value.dots)) * value.normal / value.actual
                    )


def test_measures_are_full_and_ticks_are_exact() -> None:
    root = parsed(write_musicxml(read_abc(ONE + "(3A2B2c2 | A2/3A2/3A2/3 B5/4 c3/4 | z4 |")))
    divisions = int(root.findtext(".//divisions"))
    for measure in root.iter("measure"):
        assert sum(int(note.findtext("duration")) for note in measure.iter("note")) == 4 * divisions


def test_layout_of_parts_staves_and_groups() -> None:
    tune = read_abc(RICH)
    parts, groups = part_layout(tune)
    assert [part.staves for part in parts] == [(("1", "2"),), (("3",), ("4",))]
    assert [(group.first, group.last, group.symbol, group.joined_barlines) for group in groups] == [
        (0, 1, "bracket", True)
    ]
    root = parsed(write_musicxml(tune))
    assert [part.findtext("part-name") for part in root.iter("score-part")] == ["Violin", "Piano"]
    assert root.findtext(".//work-title") == "Rich & <rare>"
    assert root.findtext(".//staves") == "2"
    assert {note.findtext("staff") for note in root.findall("part")[1].iter("note")} == {"1", "2"}
    assert {note.findtext("voice") for note in root.findall("part")[0].iter("note")} == {
        "1",
        "2",
        "3",
    }  # 3 holds the shorter chord note


def test_marks_attributes_and_bar_lines() -> None:
    root = parsed(write_musicxml(read_abc(RICH)))
    first = root.find("part")
    for path in (
        ".//dynamics/f",
        ".//wedge[@type='crescendo']",
        ".//wedge[@type='stop']",
        ".//fermata",
        ".//grace",
        ".//slur[@type='start']",
        ".//slur[@type='stop']",
        ".//time-modification",
        ".//tuplet[@type='start']",
        ".//harmony/root",
        ".//repeat[@direction='forward']",
        ".//repeat[@direction='backward']",
        ".//ending[@number='1'][@type='start']",
        ".//ending[@number='2'][@type='discontinue']",
    ):
        assert first.find(path) is not None, path
    assert [key.text for key in first.iterfind(".//key/fifths")] == ["1", "2"]
    assert [
        (time.findtext("beats"), time.findtext("beat-type")) for time in first.iter("time")
    ] == [("4", "4"), ("3", "4")]
    assert first.find(".//sound[@tempo]").get("tempo") == "96"
    assert [clef.findtext("sign") for clef in root.findall("part")[1].iter("clef")] == [
        "G",
        "F",
        "F",
    ]
    assert [
        root.find(f".//{mark}") is not None for mark in ("staccato", "trill-mark", "up-bow")
    ] == [True] * 3


def test_beams_follow_the_white_space_of_the_text() -> None:
    root = parsed(
        write_musicxml(read_abc("X:1\nL:1/8\nM:4/4\nK:C\nAB cdef z2 | A/B/c A2 A2 A2 |\n"))
    )
    beams = [[beam.text for beam in note.findall("beam")] for note in root.iter("note")]
    assert beams[:6] == [["begin"], ["end"], ["begin"], ["continue"], ["continue"], ["end"]]
    assert beams[7:10] == [["begin", "begin"], ["continue", "end"], ["end"]]


def test_pickup_transposition_octave_clef_and_meter_symbol() -> None:
    tune = read_abc(
        'X:1\nL:1/4\nM:C|\nK:D\nV:1 treble-8 nm="Clarinet" transpose=-2\nA | A4 | A3 |]\n'
    )
    root = parsed(write_musicxml(tune))
    measures = root.findall(".//measure")
    assert (measures[0].get("implicit"), [measure.get("number") for measure in measures]) == (
        "yes",
        ["0", "1", "2"],
    )
    assert (
        root.findtext(".//clef-octave-change"),
        root.findtext(".//transpose/chromatic"),
        root.find(".//time").get("symbol"),
    ) == (
        "-1",
        "-2",
        "cut",
    )
    assert root.findtext(".//pitch/octave") == "4"
    assert sounding(read_musicxml(write_musicxml(tune).encode())) == sounding(tune)


def test_a_tie_that_leads_nowhere_is_not_written() -> None:
    root = parsed(write_musicxml(read_abc(ONE + "A- B c- | z2 c2 |")))
    assert root.find(".//tie") is None


def test_text_that_xml_forbids_is_left_out() -> None:
    assert (
        parsed(
            write_musicxml(read_abc('X:1\nT:a\x07b\nL:1/4\nM:4/4\nK:C\nV:1 nm="x\x01y"\nABcd |\n'))
        ).findtext(".//work-title")
        == "ab"
    )


def test_unequal_voices_and_empty_tunes_are_written() -> None:
    tune = read_abc("X:1\nL:1/4\nM:4/4\nK:C\nV:1\nV:2\nV:1\nA4 | A4 | A2 |\nV:2\nA4 |\n")
    root = parsed(write_musicxml(tune))
    assert [len(part.findall("measure")) for part in root.iter("part")] == [3, 3]
    assert parsed(write_musicxml(Tune((), ()))).tag == "score-partwise"


@pytest.mark.parametrize(
    ("text", "clef"),
    [
        ("bass", Clef("F", 4)),
        ("clef=treble-8 nm=x", Clef("G", 2, -1)),
        ("clef=C4", Clef("C", 4)),
        ("G", None),
        ("alto", Clef("C", 3)),
        ('nm="bass"', None),
    ],
)
def test_clefs(text: str, clef: Clef | None) -> None:
    assert parse_clef(text) == clef


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("|", ("", False, False, "")),
        (":|2", ("", True, False, "2")),
        ("|1,3", ("", False, False, "1,3")),
        ("::", ("", True, True, "")),
        ("|:", ("", False, True, "")),
        ("|]", ("light-heavy", False, False, "")),
        ("||", ("light-light", False, False, "")),
        (":|]1-3", ("", True, False, "1,2,3")),
    ],
)
def test_bar_lines(text: str, expected: tuple[str, bool, bool, str]) -> None:
    line = parse_bar_line(text)
    assert (line.style, line.repeat_end, line.repeat_start, line.volta) == expected


def test_chord_symbols() -> None:
    symbol = parse_chord_symbol("F#m7/C#")
    assert symbol is not None
    assert (symbol.root, symbol.kind, symbol.bass) == (("F", 1), "minor-seventh", ("C", 1))
    assert parse_chord_symbol("Fine") is None
    assert parse_chord_symbol("Bbmaj7").kind == "major-seventh"
