from fractions import Fraction

import pytest

from musiczoo.music.abc import bar_duration, read_abc
from musiczoo.music.abc.keys import parse_key, parse_meter, parse_unit
from musiczoo.music.abc.tokens import format_length, length_factor, tokenize
from musiczoo.music.errors import MusicZooError

QUARTER_IS_TWO = Fraction(1, 2)


def events(body: str, header: str = "M:4/4\nL:1/8\nK:C"):
    return list(read_abc(f"X:1\n{header}\n{body}\n").parsed[0].events)


def durations(body: str, header: str = "M:4/4\nL:1/8\nK:C"):
    return [event.duration for event in events(body, header) if not event.grace]


def pitches(body: str, header: str = "M:4/4\nL:1/8\nK:C"):
    return [head.pitch.midi for event in events(body, header) for head in event.heads]


def test_tokens_join_to_the_text():
    text = '|: !f!(3A^B_c,2 [CE-G]3/2- "Am"z4 {/ag}b>c & x8 :|2 [K:D]$`\\ ?§'
    assert "".join(token.text for token in tokenize(text)) == text


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("[1 A", ["bar", "space", "note"]),
        ("|[1 A", ["bar", "space", "note"]),
        (":|[2A", ["bar", "note"]),
        ("[|]:|", ["bar"]),
        ("|[CE]|", ["bar", "chord", "bar"]),
        ("|[K:D]A", ["bar", "field", "note"]),
        (".(A.B)", ["slur_start", "note", "short", "note", "slur_stop"]),
        (".|", ["bar"]),
        ("A.-A", ["note", "tie", "note"]),
        ("(3:2:3ABc", ["tuplet", "note", "note", "note"]),
        ("((3ABc)", ["slur_start", "tuplet", "note", "note", "note", "slur_stop"]),
        ("+trill+A!8va(!B", ["decoration", "note", "decoration", "note"]),
        ("::", ["bar"]),
    ],
)
def test_token_kinds(text, kinds):
    assert [token.kind for token in tokenize(text)] == kinds


@pytest.mark.parametrize(
    ("length", "factor"),
    [
        ("", "1"),
        ("2", "2"),
        ("/", "1/2"),
        ("//", "1/4"),
        ("///", "1/8"),
        ("/4", "1/4"),
        ("3/2", "3/2"),
        ("3/", "3/2"),
        ("7/4", "7/4"),
    ],
)
def test_lengths(length, factor):
    assert length_factor(length) == Fraction(factor)
    assert length_factor(format_length(Fraction(factor))) == Fraction(factor)


@pytest.mark.parametrize(
    ("form", "notes", "meter", "each"),
    [
        # (p alone: p notes in the time of 2, 3 or n by the table of the standard.
        ("(2", 2, "4/4", "3/4"),
        ("(3", 3, "4/4", "1/3"),
        ("(4", 4, "4/4", "3/8"),
        ("(5", 5, "4/4", "1/5"),
        ("(5", 5, "6/8", "3/10"),
        ("(6", 6, "4/4", "1/6"),
        ("(7", 7, "4/4", "1/7"),
        ("(7", 7, "9/8", "3/14"),
        ("(7", 7, "3/4", "1/7"),
        ("(8", 8, "4/4", "3/16"),
        ("(9", 9, "4/4", "1/9"),
        ("(9", 9, "12/8", "1/6"),
        ("(10", 10, "4/4", "1/10"),
        # (p:q, (p:q:, (p:q:r, (p::r, (p::
        ("(3:2", 3, "4/4", "1/3"),
        ("(5:4", 5, "4/4", "2/5"),
        ("(5:4:", 5, "4/4", "2/5"),
        ("(3:2:2", 2, "4/4", "1/3"),
        ("(3:4:6", 6, "4/4", "2/3"),
        ("(3::2", 2, "4/4", "1/3"),
        ("(3::", 3, "4/4", "1/3"),
        ("(5::3", 3, "6/8", "3/10"),
    ],
)
def test_tuplet_forms(form, notes, meter, each):
    found = durations(f"{form}{'A' * notes}c|", f"M:{meter}\nL:1/8\nK:C")
    assert found == [Fraction(each)] * notes + [Fraction(1, 2)]


def test_nested_tuplets_count_written_notes():
    assert durations("(3:2:5A(3BcdB c|") == [
        Fraction(n, d) for n, d in ((1, 3), (2, 9), (2, 9), (2, 9), (1, 3), (1, 2))
    ]


def test_tuplet_marks_and_notated_lengths():
    found = events("(3A2Bc d|")
    assert [event.tuplet for event in found] == [(3, 2)] * 3 + [None]
    assert [(event.tuplet_start, event.tuplet_stop) for event in found] == [
        (True, False),
        (False, False),
        (False, True),
        (False, False),
    ]
    assert [event.notated for event in found] == [1, Fraction(1, 2), Fraction(1, 2), Fraction(1, 2)]


def test_rests_and_chords_count_in_tuplets_but_grace_notes_do_not():
    assert durations("(3z[CE]{g}A B|") == [Fraction(1, 3)] * 3 + [Fraction(1, 2)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A>B", "3/4 1/4"),
        ("A<B", "1/4 3/4"),
        ("A>>B", "7/8 1/8"),
        ("A<<B", "1/8 7/8"),
        ("A>>>B", "15/16 1/16"),
        ("A<<<B", "1/16 15/16"),
        ("A2>B2", "3/2 1/2"),
        ("A > B", "3/4 1/4"),
        ("A>{g}B", "3/4 1/4"),
        ("A>.B", "3/4 1/4"),
        ("(A>)B", "3/4 1/4"),
        ("[CE]>[DF]", "3/4 1/4"),
        ("z>A", "3/4 1/4"),
        ("A>B>c", "3/4 3/8 1/4"),
        ("(3A>Bc", "1/2 1/6 1/3"),
        ('A>"Am"B', "3/4 1/4"),
    ],
)
def test_broken_rhythm(text, expected):
    assert durations(text + "|") == [Fraction(part) for part in expected.split()]


def test_chord_heads_keep_their_own_lengths():
    (event,) = events("[C2E4G]/2|")
    assert [head.duration for head in event.heads] == [Fraction(1, 2), 1, Fraction(1, 4)]
    assert event.duration == Fraction(1, 2)


def test_onsets_are_sums_of_durations_and_layers_restart():
    found = events("A2 B2 & c3 d|e8|")
    assert [(event.layer, event.onset) for event in found] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, Fraction(3, 2)),
        (0, 2),
    ]


def test_multi_bar_rest_spans_its_bars():
    tune = read_abc("X:1\nM:3/4\nL:1/8\nK:C\nA6|Z4|B6|]\n")
    assert [span.duration for span in tune.parsed[0].bars] == [3, 12, 3]


def test_accidentals_hold_to_the_bar_line_in_their_octave():
    assert pitches("^F F f F,|F|") == [66, 66, 77, 53, 65]
    assert pitches("^F F f F,|F|", "%%propagate-accidentals pitch\nL:1/8\nK:C") == [
        66,
        66,
        78,
        54,
        65,
    ]
    assert pitches("^F F f|", "%%propagate-accidentals not\nL:1/8\nK:C") == [66, 65, 77]
    assert pitches("=F F ^^F __B =B|", "L:1/8\nK:G") == [65, 65, 67, 69, 71]


def test_a_tie_carries_its_accidental_over_the_bar_line_and_no_further():
    assert pitches("^c2-|c c|") == [73, 73, 72]
    assert pitches("[^ce]2-|[ce] c|") == [73, 76, 73, 76, 72]


@pytest.mark.parametrize(
    ("value", "fifths"),
    [
        ("C", 0),
        ("G", 1),
        ("Cb", -7),
        ("C#", 7),
        ("Am", 0),
        ("A minor", 0),
        ("F#min", 3),
        ("Ddor", 0),
        ("D Dorian", 0),
        ("EPhrygian", 0),
        ("Flyd", 0),
        ("Gmix", 0),
        ("AMix", 2),
        ("Bloc", 0),
        ("Aaeo", 0),
        ("Cion", 0),
        ("Bb", -2),
        ("EM", 1),
        ("G clef=bass", 1),
        ("D treble-8", 2),
        ("none", 0),
        ("Hp", 2),
        ("HP", 0),
        ("D exp _b", -1),
        ("D Phr ^f", -1),
        ("Dmix=c", 1),
    ],
)
def test_key_signatures(value, fifths):
    assert parse_key(value).fifths == fifths


def test_key_names_leave_clefs_out():
    assert [parse_key(value).name for value in ("G bass", "Am clef=alto octave=-1", "bass", "none clef=perc", "D exp _b ^f")] == [
        "G", "Am", "", "none", "D exp _b ^f",
    ]  # fmt: skip


def test_explicit_key_accidentals_alter_notes():
    assert pitches("F C B|", "L:1/8\nK:D exp _b") == [65, 60, 70]
    assert pitches("F C B|", "L:1/8\nK:D _b") == [66, 61, 70]


@pytest.mark.parametrize(
    ("value", "meter"),
    [
        ("C", (4, 4)),
        ("C|", (2, 2)),
        ("6/8", (6, 8)),
        ("(3+2)/8", (5, 8)),
        ("3+2+2/8", (7, 8)),
        ("none", None),
        ("", None),
        ("0/4", None),
    ],
)
def test_meters(value, meter):
    assert parse_meter(value) == meter


def test_unit_length_follows_the_meter_when_not_given():
    assert durations("A|", "M:2/4\nK:C") == [Fraction(1, 4)]
    assert durations("A|", "M:3/4\nK:C") == [Fraction(1, 2)]
    assert durations("A|", "M:C\nK:C") == [Fraction(1, 2)]
    assert durations("A|", "K:C") == [Fraction(1, 2)]
    assert parse_unit("1/16") == Fraction(1, 4)
    assert parse_unit("nonsense") is None


def test_fields_change_the_music_in_mid_tune():
    tune = read_abc("X:1\nM:4/4\nL:1/8\nK:C\nF2 [L:1/4]F [K:G]F|\nM:3/4\nK:D\nF3|\n")
    (voice,) = tune.parsed
    assert [head.pitch.midi for event in voice.events for head in event.heads] == [65, 65, 66, 66]
    assert [event.duration for event in voice.events] == [1, 1, 1, 3]
    assert [(span.meter, span.key, span.fifths) for span in voice.bars] == [
        ((4, 4), "C", 0),
        ((4, 4), "G", 1),
    ]
    assert [(offset, field.name, field.value) for offset, field in voice.bars[0].fields] == [
        (1, "L", "1/4"),
        (2, "K", "G"),
    ]


def test_clefs_change_no_pitch_but_octave_and_transpose_do():
    tune = read_abc(
        "X:1\nL:1/4\nK:C\nV:1 treble-8\nV:2 bass octave=-1\nV:3 treble transpose=-2\n[V:1]c|[V:2]c|[V:3]c|\n"
    )
    assert [voice.events[0].heads[0].pitch.midi for voice in tune.parsed] == [72, 60, 72]
    assert {note.voice: note.pitch for note in tune.notes()} == {"1": 72, "2": 60, "3": 70}


def test_percussion_voices_know_no_key():
    tune = read_abc("X:1\nL:1/4\nK:D\nV:1 perc\n[V:1]F|[K:A]F|\n")
    assert [event.heads[0].pitch.midi for event in tune.parsed[0].events] == [65, 65]


def test_marks_stand_on_their_events():
    first, second, grace, third, rest = events('"Am7"!f!(.A "^dolce"TB) {/c}u d- "G"z|')
    assert (first.chord_symbol, first.decorations, first.slur_starts) == (
        "Am7",
        ("f", "staccato"),
        1,
    )
    assert (second.annotations, second.decorations, second.slur_stops) == (
        ("^dolce",),
        ("trill",),
        1,
    )
    assert grace.grace
    assert grace.duration == 0
    assert grace.decorations == ("acciaccatura",)
    assert third.decorations == ("upbow",)
    assert third.heads[0].tie
    assert (rest.rest, rest.chord_symbol) == ("z", "G")
    assert first.beam_break
    assert not second.slur_starts


@pytest.mark.parametrize("body", ["A/0|", "A99999999|", "(3:0:3ABc|", "(99999ABc|"])
def test_impossible_lengths_are_refused_with_their_place(body):
    tune = read_abc(f"X:1\nL:1/8\nK:C\nA|{body}\n", "tune.abc")
    with pytest.raises(MusicZooError, match=r"tune.abc, voice 1, bar 2"):
        tune.notes()


def test_bar_duration_is_the_longest_layer():
    assert bar_duration("A2 (3Bcd & z8", QUARTER_IS_TWO, (4, 4)) == 4
    assert bar_duration("", QUARTER_IS_TWO, (4, 4)) == 0
    assert bar_duration("Z", QUARTER_IS_TWO, (3, 4)) == 3
    assert bar_duration("[L:1/4]A y B", QUARTER_IS_TWO, None) == 2
