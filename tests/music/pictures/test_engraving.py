"""Engraved pages and pictures of them."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.music.pictures.engraving import engrave, svg_to_png
from musiczoo.music.pictures.music_font import music_font_file, musical_characters

TUNE = read_abc(
    'X:1\nT:A title in the middle\nC:Someone\nQ:1/4=100\nM:4/4\nL:1/4\nK:D\n%%score [1 2]\nV:1 treble nm="High"\nV:2 bass nm="Low"\n'
    "V:1\nDEFG | A2 d2 |]\nV:2\nD,4 | [D,A,]4 |]\n"
)


def ink(picture: bytes) -> np.ndarray:
    """Where the picture is dark, as a boolean array (rows, columns)."""
    return np.array(Image.open(io.BytesIO(picture)).convert("L")) < 128


def test_every_note_is_on_the_page() -> None:
    pages = engrave(TUNE)
    assert len(pages) == 1
    assert len(re.findall(r'class="notehead', pages[0])) == 9
    assert len(re.findall(r'class="measure', pages[0])) == 2
    assert len(re.findall(r'class="clef', pages[0])) == 2
    assert all(f">{name}<" in pages[0] for name in ("High", "Low", "A title in the middle"))


def test_the_same_music_gives_the_same_file() -> None:
    assert engrave(TUNE) == engrave(TUNE)
    assert svg_to_png(engrave(TUNE)[0]) == svg_to_png(engrave(TUNE)[0])


def test_long_pieces_fill_several_pages_or_one_long_one() -> None:
    text = "X:1\nM:4/4\nL:1/16\nK:C\n" + "CDEFGABcCDEFGABc | " * 120
    pages = engrave(read_abc(text))
    assert len(pages) > 2
    assert sum(len(re.findall(r'class="notehead', page)) for page in pages) == 16 * 120
    assert len(engrave(read_abc(text), one_page=True)) == 1


def test_png_shows_music_and_words() -> None:
    svg = engrave(TUNE)[0]
    picture = ink(svg_to_png(svg, zoom=2.0))
    height, width = picture.shape
    assert width == 2 * int(re.search(r'width="(\d+)px"', svg)[1])
    assert 0.005 < picture.mean() < 0.3
    words = picture & ~ink(
        svg_to_png(re.sub(r"<text\b.*?</text>", "", svg, flags=re.DOTALL), zoom=2.0)
    )
    title = words[: height // 5]
    columns = np.flatnonzero(title.any(axis=0))
    # The title is centred; a renderer that takes the indentation of the SVG for spaces puts it at
    # the left edge.
    assert abs((columns.min() + columns[columns < 0.8 * width].max()) / 2 - width / 2) < 0.2 * width
    assert svg_to_png(svg)[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_note_of_the_metronome_mark_is_drawn() -> None:
    svg = engrave(TUNE)[0]
    characters = musical_characters(svg)
    assert characters == "\ueca5"
    without = ink(svg_to_png(svg.replace(characters, "")))
    assert (ink(svg_to_png(svg)) & ~without).sum() > 30
    assert music_font_file(characters, "Leipzig") == music_font_file(characters, "Leipzig")
    assert music_font_file("\uf8ff", "Leipzig") is None


@pytest.mark.parametrize("document", ["", "no music", "<x/>", "<score-partwise/>"])
def test_what_verovio_cannot_engrave(document: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MusicZooError, match="verovio"):
        engrave(document)
    assert capfd.readouterr() == ("", "")


def test_unusual_tunes_are_engraved() -> None:
    assert "<svg" in engrave(Tune((), ()))[0]
    for body in ("z4 | x4 |", "C/64D/3 E5/7 |", "[CEG]31/16 & c | C |", "(3ABc", "A-", "{abc}d4"):
        assert "<svg" in engrave(read_abc(f"X:1\nL:1/4\nM:4/4\nK:C\n{body}\n"))[0]


def test_a_broken_svg() -> None:
    with pytest.raises(MusicZooError, match="SVG"):
        svg_to_png("<svg")


def grown(picture: np.ndarray, pixels: int) -> np.ndarray:
    """What is dark within a distance of pixels, rows and columns added."""
    for _ in range(pixels):
        around = picture.copy()
        around[1:] |= picture[:-1]
        around[:-1] |= picture[1:]
        around[:, 1:] |= picture[:, :-1]
        around[:, :-1] |= picture[:, 1:]
        picture = around
    return picture


HIGH = "X:1\nT:High\nM:{meter}\nL:1/8\nQ:{tempo}\nK:D\n{bars}\n"


@pytest.mark.parametrize(
    ("meter", "tempo", "bars"),
    [
        ("6/8", "3/8=100", "d'3 f'2e' | d'2c' B2A | d3 f2e |]"),
        ("4/4", "1/4=100", "d''2b'2 a'4 | d'2c'2 B2A2 |]"),
        ("4/4", '"Allegro ma non troppo" 1/4=60', "a'c''a'GbC^cc | [Q:1/2=144]a'c''a'GbC^cc |]"),
        ("9/8", "3/8=100", "c''C^d^gc'dfGg | [Q:3/8=144]^bd'^Ce''^ee''c''f'g |]"),
    ],
)
def test_a_tempo_mark_is_in_one_piece_and_touches_nothing(meter, tempo, bars) -> None:
    svg = engrave(read_abc(HIGH.format(meter=meter, tempo=tempo, bars=bars)))[0]
    marks = re.findall(r'<g id="[^"]*" class="tempo".*?</g>', svg, re.DOTALL)
    assert len(marks) == 1 + bars.count("[Q:")
    page = ink(svg_to_png(svg, zoom=2.0))
    for mark in marks:
        others = ink(svg_to_png(svg.replace(mark, ""), zoom=2.0))
        drawn = page & ~others
        # A staff space is 14 pixels high; nothing is nearer than half of one.
        assert not (grown(drawn, 7) & others).any()
        columns = np.flatnonzero(drawn.any(axis=0))
        # A note, its dot, the sign "=" and the number stand together.
        assert np.diff(columns).max() < 16
        if "\uecb7" in mark:
            assert re.search("[\ue000-\uf8ff]\u200a\uecb7", mark)
