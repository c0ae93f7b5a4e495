from __future__ import annotations

import pytest

from musiczoo.music.recipes.composers import COMPOSERS, as_imslp, period_of, period_of_years


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("L. van Beethoven", "Beethoven, Ludwig van"),
        ("BEETHOVEN", "Beethoven, Ludwig van"),
        ("Mozart, Wolfgang Amadeus (1756-1791)", "Mozart, Wolfgang Amadeus"),
        ("Wolfgang Amadeus Mozart", "Mozart, Wolfgang Amadeus"),
        ("J.S. Bach", "Bach, Johann Sebastian"),
        ("C. P. E. Bach", "Bach, Carl Philipp Emanuel"),
        ("Antonín Dvořák", "Dvorak, Antonin"),
        ("Frédéric François Chopin", "Chopin, Frederic"),
        ("P. I. Tchaikovsky", "Tchaikovsky, Pyotr"),
        ("Georg Friedrich Händel", "Handel, George Frideric"),
        ("Vincent d\u2019Indy", "Indy, Vincent d'"),
        ("Bach", None),
        ("Schumann", None),
        ("Johann Strauss", None),
        ("Franz", None),
        ("Beethoven, arr. Smith", None),
        ("Amadeus", None),
        ("???", None),
        ("", None),
    ],
)
def test_names(name, expected):
    assert as_imslp(name) == expected


def test_every_name_is_known_by_itself():
    assert {name for name in COMPOSERS if as_imslp(name) != name} == set()
    assert all(name.isascii() and born < died for name, (born, died) in COMPOSERS.items())


def test_periods_follow_the_papers_years_and_examples():
    """Section 3.3 of arXiv 2502.18008: Bach, Vivaldi; Mozart, Beethoven; Chopin, Liszt."""
    examples = {
        "Baroque": [
            "Bach, Johann Sebastian",
            "Vivaldi, Antonio",
            "Scarlatti, Domenico",
            "Telemann, Georg Philipp",
        ],
        "Classical": [
            "Mozart, Wolfgang Amadeus",
            "Beethoven, Ludwig van",
            "Haydn, Joseph",
            "Bach, Carl Philipp Emanuel",
        ],
        "Romantic": [
            "Chopin, Frederic",
            "Liszt, Franz",
            "Schubert, Franz",
            "Debussy, Claude",
            "Shostakovich, Dmitry",
        ],
    }
    for period, composers in examples.items():
        assert {composer: period_of(composer) for composer in composers} == dict.fromkeys(
            composers, period
        )
    assert period_of("Palestrina, Giovanni Pierluigi da") is None
    assert period_of("Nobody") is None
    assert period_of_years(1950, 2020) is None
    assert period_of_years(1790, 1805) == "Classical"  # died before the age of twenty
