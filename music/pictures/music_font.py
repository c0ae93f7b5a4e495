"""A font file for the musical characters that verovio sets as text, as in a metronome mark.

verovio draws notes from outlines but writes these few as characters of its SMuFL font, which it
carries as outlines in XML and inside style sheets only. Renderers that know no web fonts need a
file: this builds a TrueType font of the characters wanted from verovio's outlines.
"""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

_PRIVATE_USE = re.compile("[\ue000-\uf8ff]")


def musical_characters(text: str) -> str:
    """The SMuFL characters of a text, each once, sorted."""
    return "".join(sorted(set(_PRIVATE_USE.findall(text))))


@cache
def music_font_file(characters: str, family: str) -> str | None:
    """A TrueType file of characters of a verovio font, removed when the process ends.

    Args:
        characters: What :func:`musical_characters` found.
        family: A font that verovio brings, such as ``Leipzig``.

    Returns:
        The path, or None when verovio has outlines for none of them.
    """
    from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]
    from fontTools.pens.cu2quPen import Cu2QuPen  # type: ignore[import-untyped]
    from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]
    from fontTools.svgLib.path import parse_path  # type: ignore[import-untyped]

    folder = _verovio_data() / family
    advances = dict(
        re.findall(
            r'<g c="([0-9A-F]{4,5})"[^>]*? h-a-x="(\d+)',
            folder.with_suffix(".xml").read_text(encoding="utf-8"),
        )
    )
    glyphs, widths, names = {".notdef": TTGlyphPen(None).glyph()}, {".notdef": 500}, {}
    for character in characters:
        code = f"{ord(character):04X}"
        outline = folder / f"{code}.xml"
        if outline.is_file() and (
            path := re.search(r'\bd="([^"]*)"', outline.read_text(encoding="utf-8"))
        ):
            pen = TTGlyphPen(None)
            parse_path(path[1], Cu2QuPen(pen, max_err=1.0))
            name = f"uni{code}"
            glyphs[name], widths[name], names[ord(character)] = (
                pen.glyph(),
                int(advances.get(code, 500)),
                name,
            )
    if not names:
        return None
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap(names)
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(
        {
            name: (width, glyphs[name].xMin if hasattr(glyphs[name], "xMin") else 0)
            for name, width in widths.items()
        }
    )
    builder.setupHorizontalHeader(ascent=1000, descent=-500)
    builder.setupNameTable(
        {"familyName": family, "styleName": "Regular", "fullName": family, "psName": family},
        mac=False,
    )
    builder.setupOS2()
    builder.setupPost()
    target = _folder() / f"{family}-{'-'.join(names.values())}"[:180]
    builder.save(target.with_suffix(".ttf"))
    return str(target.with_suffix(".ttf"))


def _verovio_data() -> Path:
    import verovio

    return Path(verovio.__file__).parent / "data"


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="musiczoo-font-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
