"""Folding the notes of a MusicXML document, so that equal ones are parsed and read once.

A score says the same few hundred notes over and over, each in a dozen elements. Here each distinct ``<note>...</note>`` is parsed by
itself, and the document with numbers in the place of its notes. That is exact, because an element put in the place of another keeps XML
well-formed: the document is well-formed if, and only if, each note and what is left are. What does not fit this (character data sections,
comments inside notes, prefixes declared outside) is not folded, and read in the plain way.
"""

from __future__ import annotations

import re

from lxml import etree

from musiczoo.music.errors import MusicZooError
from musiczoo.music.musicxml.notes import NoteShape, read_note
from musiczoo.music.musicxml.source import parse_score, parse_text

#: Where a note and its stem stand on the page differs from note to note and is never read.
_PLACE = re.compile(r'(?: default-x="-?[\d.]+")?')
_STEM = re.compile(r'(?: default-y="-?[\d.]+")?>(?:up|down)')
_OPENING = re.compile(r"<note(?=[\s>])")

#: Shapes of the notes read last, across files: those of one corpus are much alike. Shapes are never changed, so threads may share them.
_shapes: dict[str, NoteShape] = {}
_SHAPES_LIMIT = 8192
_LONGEST_KEPT = 1000


class Folded:
    """A document whose runs of notes are written ``<notes>0 1 0 2</notes>``.

    Attributes:
        root: Its root element.
        shapes: The notes by number.
    """

    __slots__ = ("root", "shapes")

    def __init__(self, root: etree._Element, shapes: dict[str, NoteShape]) -> None:
        self.root = root
        self.shapes = shapes


def fold_notes(text: str) -> Folded | None:
    """Parse a document with its notes folded; None when it cannot be folded, or is not well-formed, or has a note that none can be."""
    if "<notes" in text or "<![CDATA[" in text:
        return None
    pieces = text.split("</note>")
    places: set[str] = set()
    stems: set[str] = set()
    numbers: dict[str, str] = {}
    rest: list[str] = []
    run: list[str] = []
    for piece in pieces[:-1]:
        gap, _, note = piece.partition("<note")
        if not note or note[0] not in "> ":
            opening = _OPENING.search(piece)
            if opening is None:
                return None
            gap, note = piece[: opening.start()], piece[opening.end() :]
        end = note.find(">")
        place = note[:end]
        if place in places or _PLACE.fullmatch(place):
            places.add(place)
            note = note[end:]
        before, mark, after = note.partition("<stem")
        if mark:
            stem, _, after = after.partition("</stem>")
            if stem in stems or _STEM.fullmatch(stem):
                stems.add(stem)
                note = f"{before}<stem/>{after}"
        number = numbers.get(note)
        if number is None:
            number = numbers[note] = str(len(numbers))
        if run and gap and not gap.isspace():
            rest.append(f"<notes>{' '.join(run)}</notes>{gap}")
            run = [number]
        elif run:
            run.append(number)
        else:
            rest.append(gap)
            run = [number]
    if run:
        rest.append(f"<notes>{' '.join(run)}</notes>")
    rest.append(pieces[-1])
    try:
        shapes = _read_shapes(list(numbers))
        return None if shapes is None else Folded(parse_score("".join(rest), None), dict(zip(numbers.values(), shapes, strict=True)))
    except MusicZooError:
        return None  # the plain way says where in the file


def _read_shapes(notes: list[str]) -> list[NoteShape] | None:
    """The shapes of notes, given without the first five and the last seven characters; None when one does not stand by itself."""
    if len(_shapes) > _SHAPES_LIMIT:
        _shapes.clear()
    shapes = {note: _shapes.get(note) for note in notes}
    new = [note for note, shape in shapes.items() if shape is None]
    if new:
        joined = "</note><note".join(new)
        if "--" in joined or "<?" in joined or "?>" in joined:
            return None
        elements = list(parse_text(f"<notes><note{joined}</note></notes>"))
        # A note inside a note, or text that begins in one and ends in another, makes another number of elements.
        if len(elements) != len(new):
            return None
        for note, element in zip(new, elements, strict=True):
            shapes[note] = shape = read_note(element)
            if len(note) < _LONGEST_KEPT:
                _shapes[note] = shape
    return [shape for shape in shapes.values() if shape is not None]
