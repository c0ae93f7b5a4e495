from __future__ import annotations

import pytest

from musiczoo.music.abc import Bar, Field, Tune, Voice, read_abc, write_abc
from musiczoo.music.abc.cleaning import clean, with_prompt

BOOK = """\
X:7
T:Žižkův pochod
C:Trad. arr. M. Müller
S:from the playing of X
R:march
B:Some book
N:a remark
Z:transcriber
H:long history
M:4/4
L:1/8
Q:"Allegro — con brio" 1/4=120
%%MIDI program 40
%%titlefont Times 20
%%score 1 2
K:G
V:1 treble nm="Flûte  traversière" snm="Fl."
V:2 bass nm="\\n\\t\\t\\t:Violin 1"
V:1
"G"G2 "^dolce"A2 "^......morendo" B2 !trill!c2 | [K:D] "^" d4 "_a remark that is much longer than any annotation should be" d4 |]
w: some words to sing la
V:2
"<(" G,8 | "^1|2" D,8 |]
W: more words
"""


def test_lyrics_and_background_go_and_musical_lines_stay():
    tune = clean(read_abc(BOOK))
    names = [line.name for line in tune.header]
    assert set(names) <= {"M", "L", "Q", "K", "V", "%%"}
    assert [line.text for line in tune.header] == [
        "M:4/4",
        "L:1/8",
        'Q:"Allegro -- con brio" 1/4=120',
        "%%score 1 2",
        "K:G",
        'V:1 treble nm="Flute traversiere" snm="Fl."',
        'V:2 bass nm="Violin 1"',
    ]
    text = write_abc(tune)
    assert text.isascii()
    assert "words" not in text


def test_annotations_stay_when_short_and_chord_symbols_always():
    tune = clean(read_abc(BOOK))
    first, second = (bar.text for bar in tune.voices[0].bars)
    assert '"G"G2' in first
    assert '"^dolce"A2' in first
    assert '"^.morendo"' in first
    assert "!trill!c2" in first
    assert '"' not in second
    assert second.startswith("[K:D]")
    assert [bar.text for bar in tune.voices[1].bars] == ['"<(" G,8', "D,8"]


def test_the_music_is_untouched():
    tune = read_abc(BOOK)
    assert clean(tune).notes(graces=True) == tune.notes(graces=True)
    assert [voice.bars for voice in clean(tune).parsed] == [voice.bars for voice in tune.parsed]


def test_cleaning_twice_is_cleaning_once():
    once = clean(read_abc(BOOK))
    assert clean(once) == once


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"^“dolce”"C4', "\"^'dolce'\"C4"),
        ('"^' + "a" * 37 + '"C4', '"^' + "a" * 37 + '"C4'),
        ('"^' + "a" * 38 + '"C4', "C4"),
        (
            '"Gmaj7 and some more than forty characters of it"C4',
            '"Gmaj7 and some more than forty characters of it"C4',
        ),
        ('"^a::b"C4', "C4"),
        ('""C4', "C4"),
        ('C4 \\"D4', "C4 D4"),
        ('C4 "^odd', "C4 ^odd"),
        ("C4\tD4\x01", "C4 D4"),
        ("[T:title]C4[P:A][N:note]D4", "C4[P:A]D4"),
        ("[CEG]2 [K:D]D2", "[CEG]2 [K:D]D2"),
        ("C4é D4", "C4 D4"),
        ("!fermata!(3CDE {g}F", "!fermata!(3CDE {g}F"),
    ],
)
def test_bars(before, after):
    tune = Tune((Field("K", "C"),), (Voice("1", (Bar(before),)),))
    assert clean(tune).voices[0].bars[0] == Bar(after)


def test_prompt_lines_stay_and_remarks_go():
    header = (
        Field("%", "Baroque"),
        Field("%", "Bach, Johann Sebastian"),
        Field("%", "Choral"),
        Field("%", "A fourth"),
        Field("K", "C"),
        Field("%", "Late"),
    )
    kept = clean(Tune(header, (Voice("1", (Bar("C4"),)),))).header
    assert [line.text for line in kept] == ["%Baroque", "%Bach, Johann Sebastian", "%Choral", "K:C"]
    for remark in (" transcribed by hand", "abc-2.1", "", "x" * 60):
        assert clean(
            Tune((Field("%", remark), Field("K", "C")), (Voice("1", (Bar("C4"),)),))
        ).header == (Field("K", "C"),)


def test_a_prompt_is_put_before_the_header():
    tune = Tune(
        (Field("%", "Romantic"), Field("L", "1/8"), Field("K", "C")), (Voice("1", (Bar("C4"),)),)
    )
    prompted = with_prompt(tune, "Classical", "Dvořák, Antonín", "Chamber")
    assert [line.text for line in prompted.header] == [
        "%Classical",
        "%Dvorak, Antonin",
        "%Chamber",
        "L:1/8",
        "K:C",
    ]
    assert clean(prompted) == prompted
