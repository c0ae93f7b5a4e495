"""MusicXML features one by one, against music code and notes worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from musiczoo.music.abc import Tune, interleaved_lines, read_abc, write_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.music.musicxml.reader import read_musicxml

FOUR = "<time><beats>4</beats><beat-type>4</beat-type></time>"


def note(
    pitch: str, duration: object = 4, inner: str = "", *, before: str = "", type_: str = ""
) -> str:
    """A note such as ``"C4"``, ``"F#4"``, ``"Bb3"``; ``"z"`` is a rest. ``before`` stands first (<chord/>), ``inner`` last."""
    if pitch == "z":
        body = "<rest/>"
    else:
        alter = {
            "": "",
            "#": "<alter>1</alter>",
            "b": "<alter>-1</alter>",
            "x": "<alter>2</alter>",
        }[pitch[1:-1]]
        body = f"<pitch><step>{pitch[0]}</step>{alter}<octave>{pitch[-1]}</octave></pitch>"
    length = "" if "<grace" in before else f"<duration>{duration}</duration>"
    return f"<note>{before}{body}{length}{type_}{inner}</note>"


def score(
    *parts: list[str] | str,
    attributes: str = FOUR,
    divisions: object = 4,
    part_list: str = "",
    top: str = "",
) -> bytes:
    """A score of parts, each a list of measures; the first measure of each gets the attributes."""
    entries, bodies = "", ""
    for number, part in enumerate(parts, 1):
        measures = [part] if isinstance(part, str) else part
        entries += f'<score-part id="P{number}"><part-name>Part {number}</part-name></score-part>'
        start = f"<attributes><divisions>{divisions}</divisions>{attributes}</attributes>"
        inner = "".join(
            f'<measure number="{index}">{start if index == 1 else ""}{music}</measure>'
            for index, music in enumerate(measures, 1)
        )
        bodies += f'<part id="P{number}">{inner}</part>'
    return f"<score-partwise>{top}<part-list>{part_list or entries}</part-list>{bodies}</score-partwise>".encode()


def bars(tune: Tune, voice: int = 0) -> list[str]:
    return [bar.text for bar in tune.voices[voice].bars]


def lines(tune: Tune, voice: int = 0) -> list[str]:
    return [bar.right for bar in tune.voices[voice].bars]


def heard(tune: Tune) -> list[tuple[float, int, float]]:
    return [(float(item.onset), item.pitch, float(item.duration)) for item in tune.notes()]


def one_bar(music: str, **settings: object) -> str:
    return bars(read_musicxml(score(music, **settings)))[0]  # type: ignore[arg-type]


def test_header_is_that_of_the_dialect() -> None:
    part_list = (
        '<part-group type="start" number="1"><group-symbol>bracket</group-symbol><group-barline>yes</group-barline></part-group>'
        '<score-part id="P1"><part-name>\n\tSoprano  </part-name><part-abbreviation>S.</part-abbreviation></score-part>'
        '<score-part id="P2"><part-name>Alto "x"</part-name></score-part>'
        '<part-group type="stop" number="1"/>'
    )
    top = (
        "<work><work-title>A | 100% piece</work-title></work><identification><creator type='lyricist'>N</creator>"
        "<creator type='composer'>Anna\n Bach</creator></identification>"
    )
    key = "<key><fifths>1</fifths><mode>major</mode></key>"
    tempo = (
        "<direction><direction-type><metronome><beat-unit>quarter</beat-unit><per-minute>88</per-minute></metronome></direction-type>"
        '<sound tempo="90"/></direction>'
    )
    data = score(
        [tempo + note("G4", 8)],
        [note("D4", 8)],
        attributes=key + FOUR,
        part_list=part_list,
        top=top,
    )
    tune = read_musicxml(data, path="x/y.musicxml")
    assert [item.text for item in tune.header] == [
        "X:1",
        "T:A / 100 piece",
        "C:Anna Bach",
        "%%score [ 1 | 2 ]",
        "L:1/8",
        "Q:1/4=88",
        "M:4/4",
        "K:G",
        'V:1 treble nm="Soprano" snm="S."',
        "V:2 treble nm=\"Alto 'x'\"",
    ]
    assert tune.path == "x/y.musicxml"
    assert interleaved_lines(tune)[-1] == "[V:1]G4|[V:2]D4|"


@pytest.mark.parametrize(
    ("fifths", "mode", "expected"),
    [
        (0, "major", "C"), (7, "major", "C#"), (-7, "major", "Cb"), (0, "minor", "Amin"), (3, "minor", "F#min"), (-6, "minor", "Ebmin"),
        (7, "minor", "A#min"), (0, "dorian", "Ddor"), (-2, "dorian", "Cdor"), (0, "phrygian", "Ephr"), (1, "lydian", "Clyd"),
        (0, "mixolydian", "Gmix"), (-1, "none", "F"), (2, "ionian", "D"), (4, "aeolian", "C#min"),
        (0, "locrian", "Bloc"),  # codespell:ignore
    ],
)  # fmt: skip
def test_keys(fifths: int, mode: str, expected: str) -> None:
    key = f"<key><fifths>{fifths}</fifths><mode>{mode}</mode></key>"
    tune = read_musicxml(score(note("C4", 16), attributes=key + FOUR))
    assert tune.field("K") == expected
    assert tune.parsed[0].bars[0].fifths == fifths
    assert [item.pitch for item in tune.notes()] == [60]


def test_unusual_keys_keep_the_pitches() -> None:
    for key in (
        "<key><fifths>9</fifths></key>",
        "<key><key-step>B</key-step><key-alter>-1</key-alter><key-step>F</key-step><key-alter>1</key-alter></key>",
    ):
        tune = read_musicxml(
            score(
                "".join(note(pitch) for pitch in ("Bb4", "F#4", "C4", "Fx4")), attributes=key + FOUR
            )
        )
        assert [item.pitch for item in tune.notes()] == [70, 66, 60, 67]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ('<time symbol="common"><beats>4</beats><beat-type>4</beat-type></time>', "4/4"),
        ("<time><beats>3+2</beats><beat-type>8</beat-type></time>", "5/8"),
        (
            "<time><beats>2</beats><beat-type>4</beat-type><beats>3</beats><beat-type>8</beat-type></time>",
            "7/8",
        ),
        ("<time><senza-misura/></time>", "none"),
        ("", "none"),
    ],
)
def test_meters(time: str, expected: str) -> None:
    assert read_musicxml(score(note("C4", 16), attributes=time)).field("M") == expected


@pytest.mark.parametrize(
    ("clef", "expected"),
    [
        ("<sign>G</sign><line>2</line>", "treble"),
        ("<sign>G</sign><line>2</line><clef-octave-change>-1</clef-octave-change>", "treble-8"),
        ("<sign>F</sign><line>4</line>", "bass"),
        ("<sign>F</sign><line>4</line><clef-octave-change>1</clef-octave-change>", "bass+8"),
        ("<sign>C</sign><line>3</line>", "alto"),
        ("<sign>C</sign><line>4</line>", "tenor"),
        ("<sign>C</sign>", "alto"),
        ("<sign>TAB</sign><line>5</line>", "treble"),
        ("<sign>percussion</sign>", "perc"),
    ],
)
def test_clefs_move_no_pitch(clef: str, expected: str) -> None:
    tune = read_musicxml(score(note("C4", 16), attributes=f"{FOUR}<clef>{clef}</clef>"))
    assert [item.value for item in tune.header if item.name == "V"] == [f'1 {expected} nm="Part 1"']
    assert heard(tune) == [(0, 60, 4)]


def test_lengths_and_octaves() -> None:
    assert (
        one_bar(note("C2", 4) + note("C3", 2) + note("C4", 1) + note("C5", 3) + note("C6", 6))
        == "C,,2 C, C/ c3/2 c'3"
    )


def test_divisions_change_in_a_measure_and_decimal_durations() -> None:
    music = (
        note("C4", 4)
        + "<attributes><divisions>24</divisions></attributes>"
        + note("D4", 24)
        + note("E4", "24.0")
        + note("F4", 24)
    )
    tune = read_musicxml(score(music))
    assert bars(tune) == ["C2 D2 E2 F2"]
    assert [item.onset for item in tune.notes()] == [0, 1, 2, 3]
    tune = read_musicxml(
        score(
            note("C4", "0.5")
            + note("D4", "0.5")
            + note("E4", "0.333333")
            + note("F4", "0.666667")
            + note("G4", 2),
            divisions=1,
        )
    )
    assert [item.onset for item in tune.notes()] == [0, Fraction(1, 2), 1, Fraction(4, 3), 2]


def test_accidentals_are_minimal_and_bar_persistent_by_octave() -> None:
    key = "<key><fifths>1</fifths></key>"
    first = [note(pitch, 2) for pitch in ("F#4", "F4", "F4", "F5", "F#4", "F#4", "Bb4", "B4")]
    second = [note(pitch, 4) for pitch in ("F#4", "Fx4", "F4", "Cb4")]
    tune = read_musicxml(score(["".join(first), "".join(second)], attributes=key + FOUR))
    assert bars(tune) == ["F =F F =f ^F F _B =B", "F2 ^^F2 =F2 _C2"]
    assert [item.pitch for item in tune.notes()] == [66, 65, 65, 77, 66, 66, 70, 71, 66, 67, 65, 59]


def test_key_change_in_a_measure_clears_accidentals() -> None:
    music = (
        note("F#4")
        + "<attributes><key><fifths>2</fifths></key></attributes>"
        + note("F#4")
        + note("F4", 8)
    )
    tune = read_musicxml(score(music))
    assert bars(tune) == ["^F2 [K:D] F2 =F4"]
    assert [item.pitch for item in tune.notes()] == [66, 66, 65]


def test_quarter_tones_and_triple_sharps() -> None:
    def altered(step: str, alter: str) -> str:
        return f"<note><pitch><step>{step}</step><alter>{alter}</alter><octave>4</octave></pitch><duration>4</duration></note>"

    tune = read_musicxml(
        score(altered("C", "0.4") + altered("C", "3") + altered("B", "3") + altered("C", "-3"))
    )
    assert [item.pitch for item in tune.notes()] == [60, 63, 74, 57]


def test_ties_over_the_bar_line_carry_the_accidental() -> None:
    start, stop = '<tie type="start"/>', '<tie type="stop"/>'
    music = [note("F#4", 16, start), note("F#4", 8, stop) + note("F#4", 4) + note("F4", 4)]
    tune = read_musicxml(score(music))
    assert bars(tune) == ["^F8-", "F4 ^F2 =F2"]
    assert heard(tune) == [(0, 66, 6), (6, 66, 1), (7, 65, 1)]


def test_chains_of_ties_and_ties_in_chords() -> None:
    start, stop = '<tie type="start"/>', '<tie type="stop"/>'
    first = (
        note("C4", 16, start)
        + note("E4", 16, before="<chord/>")
        + note("G#4", 16, start, before="<chord/>")
    )
    second = (
        note("C4", 16, stop + start)
        + note("F4", 16, before="<chord/>")
        + note("G#4", 16, stop, before="<chord/>")
    )
    tune = read_musicxml(score([first, second, note("C4", 16, stop)]))
    assert bars(tune) == ["[C-E^G-]8", "[C-FG]8", "C8"]
    assert heard(tune) == [(0, 60, 12), (0, 64, 4), (0, 68, 8), (4, 65, 4)]


def test_ties_that_lead_nowhere_are_left_out() -> None:
    tune = read_musicxml(
        score(
            [
                note("C4", 8, '<tie type="start"/>') + note("z", 8),
                note("C4", 16, '<notations><tied type="start"/></notations>'),
            ]
        )
    )
    assert bars(tune) == ["C4 z4", "C8"]


def test_chords_of_unequal_lengths() -> None:
    tune = read_musicxml(score(note("C4", 16) + note("E4", 8, before="<chord/>")))
    assert bars(tune) == ["[C8E4]"]
    assert heard(tune) == [(0, 60, 4), (0, 64, 2)]


def test_beams_join_notes() -> None:
    def eighth(pitch: str, state: str) -> str:
        return note(pitch, 2, f'<beam number="1">{state}</beam><beam number="2">begin</beam>')

    music = (
        eighth("C4", "begin")
        + eighth("D4", "continue")
        + eighth("E4", "end")
        + eighth("F4", "begin")
        + eighth("G4", "end")
        + note("A4", 6)
    )
    assert one_bar(music) == "CDE FG A3"


def tuplet(actual: int, normal: int, kind: str = "eighth", inner: str = "") -> str:
    ratio = f"<time-modification><actual-notes>{actual}</actual-notes><normal-notes>{normal}</normal-notes></time-modification>"
    return f"<type>{kind}</type>{ratio}{inner}"


def test_tuplets() -> None:
    triplet = tuplet(3, 2)
    music = "".join(note("C4", 4, triplet) for _ in range(6)) + note("D4", 24)
    tune = read_musicxml(score(music, divisions=12))
    assert bars(tune) == ["(3C C C (3C C C D4"]
    assert [item.onset for item in tune.notes()] == [
        0,
        Fraction(1, 3),
        Fraction(2, 3),
        1,
        Fraction(4, 3),
        Fraction(5, 3),
        2,
    ]
    music = (
        note("C4", 8, tuplet(3, 2, "quarter"))
        + note("D4", 4, triplet)
        + "".join(note("E4", 12, tuplet(5, 4, "quarter")) for _ in range(3))
    )
    assert one_bar(music, divisions=12).startswith("(3:2:2C2 D (5:4:3E5/2")


def test_tuplet_brackets_decide_groups() -> None:
    def mark(kind: str) -> str:
        return f'<notations><tuplet type="{kind}"/></notations>'

    music = note("C4", 4, tuplet(3, 2, inner=mark("start")))
    music += (
        "".join(note("C4", 4, tuplet(3, 2)) for _ in range(4))
        + note("C4", 4, tuplet(3, 2, inner=mark("stop")))
        + note("C4", 24)
    )
    assert one_bar(music, divisions=12) == "(3:2:6C C C C C C C4"


def test_rounded_triplets_are_restored() -> None:
    music = [note("C4", length, tuplet(3, 2)) for length in (33, 33, 34)] + [note("D4", 300)]
    tune = read_musicxml(score("".join(music), divisions=100))
    assert bars(tune) == ["(3C C C D6"]
    assert [item.onset for item in tune.notes()] == [0, Fraction(1, 3), Fraction(2, 3), 1]


def test_grace_notes() -> None:
    music = (
        note("D5", inner="<type>16th</type>", before='<grace slash="yes"/>') + note("C5", 8)
        + note("F#4", inner="<type>eighth</type>", before="<grace/>") + note("G4", inner="<type>eighth</type>", before="<grace/>")
        + note("B4", inner="<type>eighth</type>", before="<chord/><grace/>") + note("F#4", 8)
        + note("A4", inner="<type>eighth</type>", before="<grace/>")
    )  # fmt: skip
    tune = read_musicxml(score(music))
    assert bars(tune) == ["{/d/}c4 {^F[GB]}F4 {A}"]
    assert heard(tune) == [(0, 72, 2), (2, 66, 2)]


def test_decorations_slurs_and_dynamics() -> None:
    def with_notations(inner: str) -> str:
        return f"<notations>{inner}</notations>"

    dynamics = "<direction><direction-type><dynamics><mf/></dynamics></direction-type></direction>"
    words = '<direction placement="below"><direction-type><words>dolce  e "piano"</words></direction-type></direction>'
    wedge = '<direction><direction-type><wedge type="crescendo"/></direction-type></direction>'
    stop = '<direction><direction-type><wedge type="stop"/></direction-type></direction>'
    music = (
        dynamics + words + note("C4", 4, with_notations('<slur type="start"/><articulations><staccato/></articulations><fermata/>'))
        + wedge + note("D4", 4, with_notations('<slur type="stop"/><ornaments><trill-mark/></ornaments>'))
        + stop + note("E4", 4, with_notations("<articulations><accent/><tenuto/></articulations><arpeggiate/>"))
        + note("F4", 4, with_notations('<slur type="stop"/><technical><up-bow/><fingering>3</fingering></technical>'))
    )  # fmt: skip
    assert (
        one_bar(music)
        == "!mf!\"_dolce e 'piano'\" .!fermata!(C2 !<(! TD2) !<)! !>!!tenuto!!arpeggio!E2 u!3!F2"
    )


def test_directions_at_the_end_of_a_measure_go_to_the_next() -> None:
    direction = "<direction><direction-type><dynamics><p/></dynamics></direction-type></direction>"
    tune = read_musicxml(score([note("C4", 16) + direction, note("D4", 16) + direction]))
    assert bars(tune) == ["C8", "!p! D8"]


def test_direction_offsets() -> None:
    direction = "<direction><direction-type><dynamics><p/></dynamics></direction-type><offset>-4</offset></direction>"
    assert one_bar(note("C4", 8) + note("D4", 4) + direction + note("E4", 4)) == "C4 !p! D2 E2"


def test_chord_symbols() -> None:
    def harmony(step: str, kind: str, more: str = "", after: str = "") -> str:
        return f"<harmony><root><root-step>{step}</root-step>{more}</root><kind>{kind}</kind>{after}</harmony>"

    music = (
        harmony("G", "dominant") + note("G4")
        + harmony("F", "minor", "<root-alter>1</root-alter>", "<bass><bass-step>C</bass-step></bass>") + note("A4")
        + harmony("B", "major", "<root-alter>-1</root-alter>") + note("B4", 8)
    )  # fmt: skip
    assert one_bar(music) == '"G7"G2 "F#m/C"A2 "Bb"B4'


def test_repeats_and_voltas() -> None:
    def bar(location: str, inner: str) -> str:
        return f'<barline location="{location}">{inner}</barline>'

    forward, backward = '<repeat direction="forward"/>', '<repeat direction="backward"/>'
    music = note("C4", 16)
    measures = [
        bar("left", forward) + music,
        bar("left", '<ending number="1" type="start"/>')
        + music
        + bar("right", '<ending number="1" type="stop"/>' + backward),
        bar("left", '<ending number="2, 3" type="start"/>') + music + bar("right", backward),
        bar("left", forward) + music + bar("right", "<bar-style>light-light</bar-style>"),
        music + bar("right", backward),
        bar("left", forward) + music + bar("right", backward),
        music + bar("right", "<bar-style>light-heavy</bar-style>"),
    ]
    tune = read_musicxml(score(measures, ["".join(note("E4", 16)) for _ in measures]))
    assert lines(tune) == lines(tune, 1) == ["|1", ":|2,3", "::", "||", "::", ":|", "|]"]
    assert [voice.bars[0].left for voice in tune.voices] == ["|:", "|:"]


def test_voices_and_staves() -> None:
    def voiced(pitch: str, duration: int, voice: int, staff: int) -> str:
        return note(pitch, duration, f"<voice>{voice}</voice><staff>{staff}</staff>")

    backup = "<backup><duration>16</duration></backup>"
    first = (
        voiced("E5", 16, 1, 1) + backup
        + voiced("C5", 4, 2, 1) + "<forward><duration>4</duration></forward>" + voiced("D5", 4, 2, 1)
        + "<backup><duration>12</duration></backup>" + voiced("C3", 8, 5, 2) + voiced("C4", 8, 5, 1)
    )  # fmt: skip
    second = voiced("z", 16, 1, 1) + backup + voiced("G3", 16, 5, 2)
    attributes = f'{FOUR}<staves>2</staves><clef number="1"><sign>G</sign><line>2</line></clef><clef number="2"><sign>F</sign><line>4</line></clef>'
    tune = read_musicxml(score([first, second], attributes=attributes))
    assert tune.field("%%") == "score { ( 1 2 ) | 3 }"
    assert [item.value for item in tune.header if item.name == "V"] == [
        '1 treble nm="Part 1"',
        "2 treble",
        "3 bass",
    ]
    assert [bars(tune, index) for index in range(3)] == [
        ["e8", "z8"],
        ["c2 x2 d2 x2", "x8"],
        ["C,4 C4", "G,8"],
    ]


def test_one_voice_number_on_two_staves() -> None:
    def staffed(pitch: str, staff: int) -> str:
        return note(pitch, 16, f"<staff>{staff}</staff>")

    tune = read_musicxml(
        score(staffed("E5", 1) + "<backup><duration>16</duration></backup>" + staffed("C3", 2))
    )
    assert [bars(tune, index) for index in range(2)] == [["e8"], ["C,8"]]
    assert tune.field("%%") == "score { 1 | 2 }"


def test_overlapping_notes_of_one_voice_are_kept() -> None:
    tune = read_musicxml(
        score(note("E5", 16) + "<backup><duration>8</duration></backup>" + note("C5", 8))
    )
    assert heard(tune) == [(0, 76, 4), (2, 72, 2)]


def test_silent_voices_are_dropped_but_not_silent_parts() -> None:
    silent = (
        note("C4", 16)
        + "<backup><duration>16</duration></backup>"
        + note("z", 16, "<voice>2</voice>")
    )
    tune = read_musicxml(score([silent], [note("z", 16)]))
    assert [bars(tune, index) for index in range(len(tune.voices))] == [["C8"], ["z8"]]


def test_hidden_rests_and_gaps_are_x() -> None:
    hidden = '<note print-object="no"><rest/><duration>4</duration></note>'
    assert (
        one_bar(note("C4") + hidden + "<forward><duration>4</duration></forward>" + note("z"))
        == "C2 x2 x2 z2"
    )


def test_bars_are_equally_long_in_all_voices() -> None:
    whole = '<note><rest measure="yes"/><duration>16</duration></note>'
    measures = (
        [note("C4", 4), note("C4", 16), note("C4", 12), ""],
        [whole, whole + whole, note("D4", 4), ""],
        ["", note("z", 16), note("E4", 16), ""],
    )
    tune = read_musicxml(score(*measures))
    assert [bars(tune, index) for index in range(3)] == [
        ["C2", "C8", "C6 x2", "z8"],
        ["z2", "z8", "D2 x6", "z8"],
        ["z2", "z8", "E8", "z8"],
    ]
    for voice in tune.parsed:
        assert [span.duration for span in voice.bars] == [1, 4, 4, 4]


def test_zero_length_bars_get_a_rest() -> None:
    tune = read_musicxml(
        score(
            [
                "",
                note("C4", 0) + note("D4", 16),
                note("A4", inner="<type>eighth</type>", before="<grace/>"),
            ],
            attributes="",
        )
    )
    assert len(tune.voices[0].bars) == 3
    assert all(span.duration == 4 for span in tune.parsed[0].bars)


def test_unequal_parts_are_named() -> None:
    with pytest.raises(MusicZooError, match="P2 has 1 measures where others have 2") as caught:
        read_musicxml(score([note("C4", 16)] * 2, [note("C4", 16)]), path="a.xml")
    assert caught.value.path == "a.xml"


def test_transposing_instruments() -> None:
    transpose = "<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>"
    octave = "<transpose><chromatic>0</chromatic><octave-change>-1</octave-change></transpose>"
    tune = read_musicxml(
        score(note("D5", 16), attributes=f"<key><fifths>2</fifths></key>{FOUR}{transpose}")
    )
    assert [item.value for item in tune.header if item.name == "V"] == [
        '1 treble nm="Part 1" transpose=-2'
    ]
    assert tune.field("K") == "D"
    assert (bars(tune), heard(tune)) == (["d8"], [(0, 72, 4)])
    change = f"<attributes>{octave}</attributes>"
    tune = read_musicxml(
        score(
            [note("D5", 16), change + note("D5", 16), note("C#5", 16)], attributes=FOUR + transpose
        )
    )
    assert bars(tune) == ["d8", "[K:C transpose=-12] d8", "^c8"]
    assert [item.pitch for item in tune.notes()] == [72, 62, 61]


def test_keys_of_parts_differ() -> None:
    data = score([note("F#4", 16)], [note("F#4", 16)]).replace(b"<part id=\"P2\"><measure number=\"1\"><attributes>", (
        b'<part id="P2"><measure number="1"><attributes><key><fifths>1</fifths></key>'
    ))  # fmt: skip
    tune = read_musicxml(data)
    assert (tune.field("K"), bars(tune), bars(tune, 1)) == ("C", ["^F8"], ["[K:G] F8"])


def test_a_mode_told_in_one_part_only_is_no_change() -> None:
    def key(mode: str) -> str:
        return f"<attributes><key><fifths>2</fifths>{mode}</key></attributes>"

    minor = "<mode>minor</mode>"
    first, second = (
        [key(minor) + note("F#4", 16), note("D4", 16)],
        [key("") + note("F#4", 16), key(minor) + note("C#4", 16)],
    )
    tune = read_musicxml(score(first, second))
    assert (tune.field("K"), bars(tune), bars(tune, 1)) == ("Bmin", ["F8", "D8"], ["F8", "C8"])


def test_signatures_change() -> None:
    three = "<time><beats>3</beats><beat-type>4</beat-type></time>"
    bass = "<clef><sign>F</sign><line>4</line></clef>"
    key = "<key><fifths>-2</fifths><mode>minor</mode></key>"
    second = f"<attributes>{key}{three}</attributes>{note('B3', 8)}<attributes>{bass}</attributes>{note('Bb2', 4)}"
    again = f"<attributes>{key}{three}</attributes>" + note("z", 12)
    tempo = '<sound tempo="60"/>'
    tune = read_musicxml(score([note("C4", 16), second, again, tempo + note("C4", 12)]))
    assert bars(tune) == ["C8", "[K:Gmin][M:3/4] =B,4 [K:bass] B,,2", "z6", "[Q:1/4=60] C6"]


def test_percussion() -> None:
    unpitched = "<note><unpitched><display-step>F</display-step><display-octave>4</display-octave></unpitched><duration>16</duration></note>"
    for clef in ("percussion", "G"):
        tune = read_musicxml(score(unpitched, attributes=f"{FOUR}<clef><sign>{clef}</sign></clef>"))
        assert (bars(tune), tune.header[-1].text) == (["F8"], 'V:1 perc nm="Part 1"')


def test_timewise_scores() -> None:
    start = f"<attributes><divisions>4</divisions>{FOUR}</attributes>"
    data = (
        '<score-timewise><part-list><score-part id="P1"><part-name/></score-part><score-part id="P2"><part-name/></score-part></part-list>'
        f'<measure number="1"><part id="P1">{start}{note("C4", 16)}</part><part id="P2">{start}{note("E4", 16)}</part></measure>'
        f'<measure number="2"><part id="P1">{note("D4", 16)}</part><part id="P2">{note("F4", 16)}</part></measure></score-timewise>'
    )
    tune = read_musicxml(data.encode())
    assert [bars(tune, index) for index in range(2)] == [["C8", "D8"], ["E8", "F8"]]


def test_lyrics_are_not_kept() -> None:
    assert (
        one_bar(note("C4", 16, "<lyric><syllabic>single</syllabic><text>la</text></lyric>")) == "C8"
    )


@pytest.mark.parametrize(
    ("music", "words"),
    [
        (note("C4", ""), "duration"),
        (note("C4", "1/0"), "duration"),
        (note("C4", "nan"), "duration"),
        (note("C4", "-4"), "duration"),
        (note("C4", "1e9"), "out of all proportion"),
        ("<note><pitch><step>C</step><octave>4</octave></pitch></note>", "no duration"),
        ("<note><duration>4</duration></note>", "neither pitch nor rest"),
        (
            "<note><pitch><step>H</step><octave>4</octave></pitch><duration>4</duration></note>",
            "pitch",
        ),
        (
            "<note><pitch><step>C</step><octave>400</octave></pitch><duration>4</duration></note>",
            "pitch",
        ),
        (
            "<note><pitch><step>C</step><alter>inf</alter><octave>4</octave></pitch><duration>4</duration></note>",
            "pitch",
        ),
        ("<backup><duration>4</duration></backup>", "backup"),
        ("<attributes><divisions>0</divisions></attributes>", "divisions"),
        (note("C4", 4, tuplet(0, 2)), "tuplet"),
        (note("C4", 4, "<time-modification/>"), "tuplet"),
    ],
)
def test_impossible_music_is_named_with_its_place(music: str, words: str) -> None:
    with pytest.raises(MusicZooError, match=words) as caught:
        read_musicxml(score([note("C4", 16), music]), path="bad.musicxml")
    assert caught.value.path == "bad.musicxml"
    assert caught.value.remedy
    assert words == "divisions" or "part P1, measure 2, line 1" in str(caught.value)


def test_scores_without_music() -> None:
    for data in (b"<score-partwise/>", b"<score-partwise><part-list/></score-partwise>", score([])):
        with pytest.raises(MusicZooError, match="no measures"):
            read_musicxml(data)


def test_text_round_trip() -> None:
    tune = read_musicxml(
        score(
            [
                note("F#4", 8, '<tie type="start"/>') + note("F#4", 8),
                note("F4", 12) + note("Bb4", 4),
            ],
            [note("C4", 16), ""],
        )
    )
    again = read_abc(write_abc(tune))
    assert again == tune
    assert again.notes() == tune.notes()
