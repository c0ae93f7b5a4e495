"""Engraving: a tune to pages of SVG by verovio, and SVG to PNG by resvg.

verovio draws music from glyph outlines of its own; only words (names, tempo, numbers of bars) are
SVG text, so only these need font files.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from musiczoo.music.abc.tune import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.pictures.music_font import music_font_file, musical_characters

PAGE_WIDTH, PAGE_HEIGHT = 2100, 2970  # A4 in tenths of a millimetre, verovio's unit
TEXT_FAMILY = "STIXGeneral"
_TEXT_ELEMENT = re.compile(r"<text\b.*?</text>", re.DOTALL)
_INDENTATION = re.compile(r">\s*\n\s*<")
_TEMPO_MARK = re.compile(r'<g id="[^"]*" class="tempo".*?</g>', re.DOTALL)
_TEXT_HEIGHT = re.compile(r'(<text\b[^>]*? y=")(-?\d+)')
_SPACE_BEFORE_DOT = re.compile("(?<=[\ue000-\uf8ff])[ \u00a0]+(?=[\ue000-\uf8ff])")
_PER_MINUTE = re.compile(r"(<per-minute\b[^>]*>[^<]*)(?=</per-minute>)")
_HAIR_SPACE = "\u200a"
_TEMPO_RISE = 90  # half a staff space, in verovio's units of the page
_MUSIC_FAMILY = re.compile(r'<tspan font-family="(Leipzig|Bravura|Leland|Gootville|Petaluma)"')


def engrave(
    piece: Tune | str, *, scale: int = 40, music_font: str = "Leipzig", one_page: bool = False
) -> list[str]:
    """Engrave a piece as A4 pages.

    Args:
        piece: A tune, or a MusicXML document as text.
        scale: Size of the drawing in percent of the full A4 size (100 is 2,100 pixels wide).
        music_font: A SMuFL font that verovio brings: ``Leipzig``, ``Bravura``, ``Leland``,
            ``Gootville`` or ``Petaluma``.
        one_page: Put everything on one page as long as needed.

    Returns:
        One SVG document a page; always at least one.

    Raises:
        MusicZooError: Music code that cannot be read, or music that verovio cannot engrave.
    """
    import verovio

    if isinstance(piece, Tune):
        from musiczoo.music.musicxml.writer import write_musicxml

        piece = write_musicxml(piece)
    # It writes to the process's standard error, warnings about valid files included.
    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit()
    toolkit.setOptions(_options(scale, music_font, one_page))
    if not toolkit.loadData(_PER_MINUTE.sub("\\1\u00a0", piece)):
        raise MusicZooError(
            "verovio cannot engrave this MusicXML.",
            remedy="Check that it is a complete score-partwise document.",
        )
    if toolkit.getPageCount() == 1 and not one_page:
        toolkit.setOptions({"adjustPageHeight": True})  # no half-empty sheet
        toolkit.redoLayout()
    pages = [
        _mended(str(toolkit.renderToSVG(number)))
        for number in range(1, int(toolkit.getPageCount()) + 1)
    ]
    if not pages or any("<svg" not in page for page in pages):
        raise MusicZooError(
            "verovio gave no page for this music.",
            remedy="Check that the piece has at least one bar.",
        )
    return pages


def _options(scale: int, music_font: str, one_page: bool) -> dict[str, Any]:
    return {
        "pageWidth": PAGE_WIDTH,
        "pageHeight": 60_000 if one_page else PAGE_HEIGHT,
        "adjustPageHeight": one_page,
        "scale": scale,
        "font": music_font,
        "header": "auto",
        "footer": "none",
        "breaks": "auto",
        "justifyVertically": False,
        # The ids that verovio draws for elements are random by default; the same music should give
        # the same file.
        "xmlIdSeed": 1,
        "mnumInterval": 0,
    }


def _mended(page: str) -> str:
    """A page of verovio with its texts as renderers need them."""
    # The line breaks with which verovio indents the parts of a text count as spaces: renderers
    # would draw them and misplace centred titles.
    page = _TEXT_ELEMENT.sub(lambda text: _INDENTATION.sub("><", text[0]), page)
    return _TEMPO_MARK.sub(lambda mark: _apart_from_notes(mark[0]), page)


def _apart_from_notes(mark: str) -> str:
    """A tempo mark in one piece: its dots beside their note, and the whole a little higher.

    verovio sets a wide space before a dot, and leaves a quarter of a staff space above notes, less
    where a font is wider than the one that it measures with. (The space that :func:`engrave` adds
    after the number of beats keeps notes away from its right side.)
    """
    mark = _SPACE_BEFORE_DOT.sub(_HAIR_SPACE, mark)
    return _TEXT_HEIGHT.sub(lambda text: f"{text[1]}{int(text[2]) - _TEMPO_RISE}", mark, count=1)


def svg_to_png(svg: str, *, zoom: float = 2.0, background: str = "#ffffff") -> bytes:
    """Draw an SVG page as a PNG picture.

    Text is set in STIX General (metrically close to the Times that verovio measures with) with
    DejaVu for characters it lacks. Both come as files with matplotlib under free licences (its
    LICENSE_STIX and LICENSE_DEJAVU); fonts of the system are not used, so that the picture is the
    same on every machine.

    Args:
        svg: The document.
        zoom: Pixels for one unit of the SVG.
        background: Any CSS colour.

    Returns:
        The PNG file's bytes.

    Raises:
        MusicZooError: The SVG cannot be drawn.
    """
    import resvg_py

    fonts = list(_font_files())
    if (
        (characters := musical_characters(svg))
        and (family := _MUSIC_FAMILY.search(svg))
        and (file := music_font_file(characters, family[1]))
    ):
        fonts.append(file)
    try:
        picture = resvg_py.svg_to_bytes(
            svg_string=svg,
            background=background,
            zoom=zoom,
            skip_system_fonts=True,
            font_files=fonts,
            font_family=TEXT_FAMILY,
            serif_family=TEXT_FAMILY,
            sans_serif_family="DejaVu Sans",
        )
    except ValueError as error:
        raise MusicZooError(f"The SVG cannot be drawn: {error}") from error
    return bytes(picture)


@cache
def _font_files() -> tuple[str, ...]:
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    wanted = ("STIXGeneral*.ttf", "DejaVuSerif*.ttf", "DejaVuSans.ttf")
    return tuple(str(path) for pattern in wanted for path in sorted(folder.glob(pattern)))
