from fractions import Fraction

import pytest

from musiczoo.music.abc import read_abc

HEAD = "X:1\nM:4/4\nL:1/4\nK:C\n"


def played(body: str) -> str:
    """Letters of the notes in the order in which they sound."""
    names = {60: "C", 62: "D", 64: "E", 65: "F", 67: "G", 69: "A", 71: "B"}
    return "".join(
        names[note.pitch] for note in read_abc(HEAD + body + "\n").notes(expand_repeats=True)
    )


@pytest.mark.parametrize(
    ("body", "order"),
    [
        ("C|D|E|]", "CDE"),
        ("C|D:|E|]", "CDCDE"),
        ("C|:D|E:|F|]", "CDEDEF"),
        ("|:C:|:D:|", "CCDD"),
        ("|:C::D:|", "CCDD"),
        ("|:C|1D:|2E|]", "CDCE"),
        ("|:C|[1D:|[2E||F|]", "CDCEF"),
        ("|:C|1D|E:|2F|G|]", "CDECFG"),
        ("|:C|1,3D:|2E:|]", "CDCECD"),
        ("|:C|1-3D:|4E|]", "CDCDCDCE"),
        ("|:C|1D:|2E:|:F|1G:|2A|]", "CDCEFGFA"),
        ("|:C|1D:|2E||F|G:|A|]", "CDCEFGFGA"),
        ("C:|D:|", "CCDD"),
    ],
)
def test_repeats_are_played_out(body, order):
    assert played(body) == order


def test_played_out_notes_follow_one_another():
    notes = read_abc(HEAD + "|:C2 D|E F:|\n").notes(expand_repeats=True)
    assert [note.onset for note in notes] == [0, 2, 3, 4, 5, 7, 8, 9]
    assert [note.bar for note in notes] == [0, 0, 1, 1, 0, 0, 1, 1]


def test_ties_merge_over_bar_lines_within_chords_and_between_layers():
    notes = read_abc(HEAD + "C4-|C4|[CE-]2 E2|C2- & z2|C2|]\n").notes()
    assert [(note.onset, note.pitch, note.duration) for note in notes] == [
        (0, 60, 8),
        (8, 60, 2),
        (8, 64, 4),
        (12, 60, 4),
    ]


def test_a_tie_to_another_pitch_or_over_a_gap_leads_nowhere():
    assert [note.duration for note in read_abc(HEAD + "C-D|C-zC|]\n").notes()] == [1, 1, 1, 1]


def test_enharmonic_ties_merge():
    assert [note.duration for note in read_abc(HEAD + "^C-|_D|]\n").notes()] == [2]


def test_grace_notes_on_demand():
    tune = read_abc(HEAD + "C{DE}F|]\n")
    assert len(tune.notes()) == 2
    graces = [note for note in tune.notes(graces=True) if note.grace]
    assert [(note.onset, note.pitch, note.duration) for note in graces] == [(1, 62, 0), (1, 64, 0)]


def test_sounding_pitch_follows_transpose_of_header_and_key_fields():
    tune = read_abc("X:1\nL:1/4\nK:C transpose=12\nC|[K:C transpose=-2]C|]\n")
    assert [note.pitch for note in tune.notes()] == [72, 58]


def test_notes_are_sorted_and_exact():
    notes = read_abc(HEAD + "V:1\nV:2\nV:1\n(3EFG|]\nV:2\nC2|]\n").notes()
    assert [(note.onset, note.voice) for note in notes] == [
        (0, "2"),
        (0, "1"),
        (Fraction(2, 3), "1"),
        (Fraction(4, 3), "1"),
    ]
