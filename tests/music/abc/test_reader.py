import contextlib
import time
from pathlib import Path

import pytest

from musiczoo.music.abc import Bar, Field, decode_abc, read_abc, read_abc_book
from musiczoo.music.abc.bars import merged_bar_line, normal_bar_line, split_bars
from musiczoo.music.errors import MusicZooError

HEAD = "X:1\nT:A tune\nM:4/4\nL:1/8\nK:G\n"


def bars(body: str, head: str = HEAD) -> list[tuple[str, str]]:
    return [(bar.text, bar.right) for bar in read_abc(head + body).voices[0].bars]


def test_header_lines_keep_their_order():
    tune = read_abc(
        '%Baroque\n%Bach, Johann Sebastian\n%%score 1 2\nL:1/8\nM:C % cut\nK:G\nV:1 treble nm="A"\nV:2 bass\n[V:1]A|[V:2]B|\n'
    )
    assert tune.header == (
        Field("%", "Baroque"), Field("%", "Bach, Johann Sebastian"), Field("%%", "score 1 2"), Field("L", "1/8"), Field("M", "C"),
        Field("K", "G"), Field("V", '1 treble nm="A"'), Field("V", "2 bass"),
    )  # fmt: skip
    assert [voice.id for voice in tune.voices] == ["1", "2"]


def test_a_tune_without_voices_has_one():
    tune = read_abc(HEAD + "A2|B2|]\n")
    assert [voice.id for voice in tune.voices] == ["1"]
    assert tune.field("V") is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("A|B|]", [("A", "|"), ("B", "|]")]),
        ("A||\n||B|]", [("A", "||"), ("B", "|]")]),
        ("A :|\n|: B :|", [("A", "::"), ("B", ":|")]),
        ("A|1 B:|2 c|]", [("A", "|1"), ("B", ":|2"), ("c", "|]")]),
        ("A| [1 B :| [2 c|]", [("A", "|1"), ("B", ":|2"), ("c", "|]")]),
        ("A|[1,3 B:|", [("A", "|1,3"), ("B", ":|")]),
        ("A [|] | B", [("A", "|"), ("B", "")]),
        ("A [|]:| B|", [("A", ":|"), ("B", "|")]),
        ("A|[K:D]|B|", [("A", "|"), ("[K:D]B", "|")]),
        ("A|B|\nK:D\nc|", [("A", "|"), ("B", "|"), ("[K:D]c", "|")]),
        ("A B\nc d|", [("A B c d", "|")]),
        ("A B\\\nc d|", [("A B c d", "|")]),
        ("A|w\nw: la la\nB|% comment\n% another\nc|", [("A", "|"), ("B", "|"), ("c", "|")]),
        ('A "100%" B|', [('A "100%" B', "|")]),
        ("A``B $ c|", [("AB c", "|")]),
        ("T:The turn\nA|B:|", [("A", "|"), ("B", ":|")]),
        ("A:|B|", [("A", ":|"), ("B", "|")]),
        ('A|B|"^Fine"', [("A", "|"), ('B "^Fine"', "|")]),
        ("+CEG+ +ff+A|", [("[CEG] +ff+A", "|")]),
        ("A|Z4|B|", [("A", "|"), ("Z4", "|"), ("B", "|")]),
    ],
)
def test_bars_and_bar_lines(body, expected):
    assert bars(body + "\n") == expected


def test_a_bar_line_before_the_first_bar_is_its_left_one():
    assert read_abc(HEAD + "|: [K:D] A|B:|\n").voices[0].bars[0] == Bar("[K:D] A", "|", "|:")


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ("||", "||"),
        ("|||", "||"),
        (":||:", "::"),
        (":|:", "::"),
        ("[|][|]|]", "|]"),
        ("| [1", "|1"),
        ("[2", "[2"),
        (":|[2", ":|2"),
        ("||:", "||:"),
    ],
)
def test_normal_bar_lines(raw, line):
    assert normal_bar_line(raw) == line


@pytest.mark.parametrize(
    ("first", "second", "line"),
    [
        ("|", "|:", "|:"),
        (":|", "|:", "::"),
        (":|", "|", ":|"),
        ("|", "[1", "|1"),
        ("||", "|]", "|]"),
        (":|2", "||", ":|2"),
        ("[1", "|", "|1"),
    ],
)
def test_merged_bar_lines(first, second, line):
    assert merged_bar_line(first, second) == line


def test_standard_form_with_voices_in_turn():
    tune = read_abc(HEAD + "V:1\nV:2\nV:1\nA|B|\nV:2\nC|D|\nV:1\nc|]\n[V:2]E|]\n")
    assert [(voice.id, [bar.text for bar in voice.bars]) for voice in tune.voices] == [
        ("1", ["A", "B", "c"]),
        ("2", ["C", "D", "E"]),
    ]


def test_voice_switch_within_a_line_and_undefined_voices():
    tune = read_abc(HEAD + "[V:S] A4|B4|\n[V:B clef=bass] C4|D4|\n")
    assert [(voice.id, len(voice.bars)) for voice in tune.voices] == [("S", 2), ("B", 2)]
    assert [item.value for item in tune.header if item.name == "V"] == ["S", "B"]


def test_interleaved_form_fills_missing_voices():
    body = "[r:0/2][V:1]A8|[V:2]C8|\n[r:1/1][V:2][M:3/4]C6|\n[r:2/0][V:1]A6|]\n"
    tune = read_abc("%%score (1 2 3)\n" + HEAD[4:] + "V:1\nV:2\nV:3\n" + body)
    assert [[bar.text for bar in voice.bars] for voice in tune.voices] == [
        ["A8", "z6", "A6"],
        ["C8", "[M:3/4]C6", "x6"],
        ["x8", "x6", "x6"],
    ]
    assert [voice.bars[-1].right for voice in tune.voices] == ["|]"] * 3


def test_several_bar_rests_become_bars_beside_other_voices():
    tune = read_abc(HEAD + "V:1\nV:2\nV:1\nA8|B8|c8|d8|]\nV:2\n[K:D]Z3|A8|]\n")
    assert [bar.text for bar in tune.voices[1].bars] == ["[K:D]Z", "Z", "Z", "A8"]


def test_books_inherit_the_file_header_and_survive_bad_tunes():
    text = "% a book\nM:3/4\nL:1/16\n\nX:1\nT:one\nK:C\nA|\n\nfree text here\n\nX:2\nT:no key\nX:3\nL:1/4\nK:D\nB|\n\nC|\n"
    book = read_abc_book(text, "book.abc")
    assert [tune.field("T") for tune in book] == ["one", None]
    assert [(tune.field("M"), tune.field("L")) for tune in book] == [
        ("3/4", "1/16"),
        ("3/4", "1/4"),
    ]
    assert [bar.text for bar in book.tunes[0].voices[0].bars] == ["A"]
    assert [bar.text for bar in book.tunes[1].voices[0].bars] == ["B", "C"]
    (error,) = book.errors
    assert "book.abc, line 12" in str(error)
    assert "K:" in str(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (" \n\n", "empty"),
        ("X:1\nT:x\nM:4/4\nABc|\n", "no K:"),
        ("X:1\nK:C\n", "no music"),
        ("X:1\nK:C\n|: :|\n", "no music"),
        ("X:1\nK:C\nw: la la\n", "no music"),
        ("[V:1]A|\n", "before a K:"),
        ("\x00\x01\x02", "binary"),
    ],
)
def test_bad_texts_are_refused(text, message):
    with pytest.raises(MusicZooError, match=message):
        read_abc(text, "bad.abc")


@pytest.mark.parametrize("cut", range(0, 900, 37))
def test_truncated_texts_give_a_tune_or_a_clear_error(cut):
    text = Path("tests/fixtures/bar_stream/piece.abc").read_text()[:cut]
    with contextlib.suppress(MusicZooError):
        assert read_abc(text).notes()


def test_junk_is_skipped():
    assert bars("A?§B[ ]}{ !cd efg ) > < \u266b|]\n")[0][1] == "|]"


def test_decoding():
    assert decode_abc("\ufeffT:é".encode()) == "T:é"
    assert decode_abc("T:é".encode("latin-1")) == "T:é"
    assert decode_abc("T:é".encode("utf-16")) == "T:é"
    with pytest.raises(MusicZooError, match=r"x\.abc: this is binary"):
        decode_abc(b"PK\x03\x04\x00\x00", "x.abc")
    with pytest.raises(MusicZooError, match="too much"):
        decode_abc(b" " * (64 * 2**20 + 1))


def test_long_garbage_is_read_in_linear_time():
    for piece in ("[", "(", "|", ":", '"', "!", "{", "A>", "[V:1]", "+", "\\", "%"):
        text = "X:1\nK:C\nA|" + piece * 20000
        begin = time.process_time()
        with contextlib.suppress(MusicZooError):
            read_abc(text).notes()
        assert time.process_time() - begin < 5


def test_split_bars_returns_what_follows_the_last_bar():
    assert split_bars("A|[K:D]") == ((Bar("A", "|"),), "[K:D]")
