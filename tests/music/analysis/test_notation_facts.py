"""Facts of notated pieces, beside values that follow from reading the notes."""

from __future__ import annotations

import pytest

from musiczoo.music.abc import read_abc
from musiczoo.music.analysis.notation_facts import STATED_IN, notation_facts


def facts(body: str, key: str = "C", **fields: str):
    header = "".join(f"{name}:{value}\n" for name, value in fields.items())
    return notation_facts(read_abc(f"M:4/4\nL:1/4\n{header}K:{key}\n{body}\n"))


@pytest.mark.parametrize(
    ("key", "mode"),
    [
        ("C", "major"),
        ("Gmaj", "major"),
        ("F#min", "minor"),
        ("Bbm", "minor"),
        ("Aaeo", "minor"),
        ("D Dorian", "dorian"),
        ("Amix", "mixolydian"),
        ("F lydian", "lydian"),
        ("Ephr", "phrygian"),
        ("C#", "major"),
        ("Cb", "major"),
        ("none", None),
        ("HP", None),
    ],
)
def test_mode(key: str, mode: str | None) -> None:
    assert facts("CDEF|", key).mode == mode


@pytest.mark.parametrize(
    ("body", "key", "cadence"),
    [
        ("CDEG|G C|", "C", "from the dominant to the tonic"),
        ("CDED|C C|", "C", "by step to the tonic"),
        ("CDEB,|C|", "C", "by step to the tonic"),
        ("CDEF|C|", "C", "by leap to the tonic"),
        ("CDEF|D|", "C", "away from the tonic"),
        ("ABcE|A|", "Am", "from the dominant to the tonic"),
        ("CCCC|", "C", None),
        ("z4|", "C", None),
        ("CDEG|C|", "none", None),
    ],
)
def test_cadence(body: str, key: str, cadence: str | None) -> None:
    assert facts(body, key).cadence == cadence


def test_the_cadence_is_that_of_the_lowest_voice() -> None:
    tune = read_abc("L:1/4\nM:4/4\nK:C\nV:1\ncdef|gfed|\nV:2\nC,2D,2|G,2C,2|\n")
    found = notation_facts(tune)
    assert found.cadence == "from the dominant to the tonic"
    assert found.close == "descending"
    assert found.voices == 2


@pytest.mark.parametrize(
    ("body", "close"),
    [("CDEF|", "ascending"), ("FEDC|", "descending"), ("CDEE|", "level"), ("C4|", None)],
)
def test_close(body: str, close: str | None) -> None:
    assert facts(body).close == close


@pytest.mark.parametrize(
    ("body", "semitones", "words"),
    [
        ("CDEc|", 12, "an octave or less"),
        ("CDE^c|", 13, "between an octave and an octave and a half"),
        ("C,DEF|", 17, "between an octave and an octave and a half"),
        ("C,DE^F|", 18, "between an octave and a half and two octaves"),
        ("C,DEc|", 24, "between an octave and a half and two octaves"),
        ("C,DEd|", 26, "more than two octaves"),
    ],
)
def test_range(body: str, semitones: int, words: str) -> None:
    found = facts(body)
    assert (found.semitones, found.range) == (semitones, words)


def test_density_counts_the_notes_of_all_voices_for_each_quarter() -> None:
    assert facts("CDEF|").density == "low"
    assert facts("C/D/E/F/ G/A/B/c/|").density == "medium"
    assert facts("C/D/E/F/ G/4A/4B/4c/4 d|").notes_per_quarter == 9 / 4
    assert facts("[CE][DF][EG][FA]|[CEG]4|").density == "low"


def test_rhythm_is_what_the_field_says() -> None:
    assert facts("CDEF|", R="Double Jig").rhythm == "jig"
    assert facts("CDEF|", R="slipjig").rhythm == "slip jig"
    assert facts("CDEF|", R="something").rhythm is None
    assert facts("CDEF|").rhythm is None


def test_a_piece_without_notes_states_nothing() -> None:
    found = facts("z4|z4|")
    assert found.voices == 0
    assert {found.range, found.density, found.cadence, found.close} == {None}


def test_every_fact_names_its_source() -> None:
    assert set(STATED_IN) == {
        "mode",
        "voices",
        "range",
        "density",
        "rhythm",
        "source",
        "cadence",
        "close",
    }
