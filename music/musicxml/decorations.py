"""Decorations and annotations for the directions and notations of MusicXML.

The spellings are those of the multi-voice ABC corpora that the pretrained language models were
trained on (staccato as ``.``, trill as ``T``, dynamics as ``!mf!``).
"""

from __future__ import annotations

from lxml import etree

from musiczoo.music.musicxml.from_abc import DYNAMICS
from musiczoo.music.musicxml.texts import plain_text, small_number

# Elements inside <articulations>, <ornaments> and <technical>.
_NOTATIONS = {
    "staccato": ".",
    "staccatissimo": "!wedge!",
    "spiccato": "!wedge!",
    "accent": "!>!",
    "strong-accent": "!^!",
    "tenuto": "!tenuto!",
    "detached-legato": "!tenuto!.",
    "breath-mark": "!breath!",
    "scoop": "!slide!",
    "caesura": "!caesura!",
    "trill-mark": "T",
    "mordent": "M",
    "inverted-mordent": "P",
    "turn": "!turn!",
    "delayed-turn": "!turn!",
    "inverted-turn": "!invertedturn!",
    "schleifer": "!slide!",
    "up-bow": "u",
    "down-bow": "v",
    "open-string": "!open!",
    "harmonic": "!open!",
    "stopped": "!plus!",
    "snap-pizzicato": "!snap!",
    "thumb-position": "!thumb!",
}
_DYNAMICS = DYNAMICS | {"sfpp"}
_WEDGES = {"crescendo": "<", "diminuendo": ">"}
_JUMPS = {"dacapo": "!D.C.!", "dalsegno": "!D.S.!", "fine": "!fine!", "tocoda": "!dacoda!"}
_FINGERS = ("0", "1", "2", "3", "4", "5")
# Octave lines by size and by where the notes are written.
_OCTAVES = {
    ("8", "up"): "8vb",
    ("8", "down"): "8va",
    ("15", "up"): "15mb",
    ("15", "down"): "15ma",
}


def jump_marks(element: etree._Element) -> list[str]:
    """Decorations for what a <sound> states about the playing order."""
    return [mark for name, mark in _JUMPS.items() if element.get(name)]


def direction_marks(element: etree._Element, wedges: dict[str, str]) -> list[str]:
    """Decorations and annotations for the <direction-type> children of a <direction>.

    Tempo marks are left out.

    Args:
        element: The <direction>.
        wedges: Kinds of the open hairpins by number; a stop gives its number only.
            Changed in place.
    """
    marks: list[str] = []
    below = element.get("placement") == "below"
    for kind in element.iterfind("direction-type/*"):
        tag = kind.tag
        if tag == "dynamics":
            marks += dynamic_marks(kind)
        elif tag in ("words", "rehearsal"):
            text = plain_text(kind.text)
            if text:
                marks.append(f'"{"_" if below else "^"}{text}"')
        elif tag == "wedge":
            number, shape = kind.get("number", "1"), kind.get("type")
            if shape in _WEDGES:
                wedges[number] = _WEDGES[shape]
                marks.append(f"!{_WEDGES[shape]}(!")
            elif shape == "stop" and number in wedges:
                marks.append(f"!{wedges.pop(number)})!")
        elif tag == "pedal":
            if kind.get("type") == "start":
                marks.append("!ped!")
            elif kind.get("type") == "stop":
                marks.append("!ped-up!")
        elif tag in ("segno", "coda"):
            marks.append(f"!{tag}!")
        elif tag == "octave-shift":
            number, shape = "8" + kind.get("number", "1"), kind.get("type")
            if shape in ("up", "down"):
                size = "15" if kind.get("size") == "15" else "8"
                wedges[number] = _OCTAVES[size, shape]
                marks.append(f"!{wedges[number]}(!")
            elif shape == "stop" and number in wedges:
                marks.append(f"!{wedges.pop(number)})!")
    return marks


def dynamic_marks(element: etree._Element) -> list[str]:
    """Decorations for a <dynamics>."""
    marks = []
    for child in element:
        if child.tag in _DYNAMICS:
            marks.append(f"!{child.tag}!")
        elif child.tag == "other-dynamics" and plain_text(child.text):
            marks.append(f'"^{plain_text(child.text)}"')
    return marks


def notation_marks(element: etree._Element) -> list[str]:
    """Decorations for one child of <notations> other than ties, slurs and tuplets."""
    tag = element.tag
    if tag == "fermata":
        return [
            (
                "!invertedfermata!"
                if element.get("type") == "inverted" and element.get("placement") == "below"
                else "!fermata!"
            )
        ]
    if tag == "arpeggiate":
        return ["!arpeggio!"]
    if tag == "dynamics":
        return dynamic_marks(element)
    marks = []
    if tag in ("articulations", "ornaments", "technical"):
        for child in element:
            if child.tag in _NOTATIONS:
                marks.append(_NOTATIONS[child.tag])
            elif child.tag == "wavy-line":
                if child.get("type") in ("start", "stop"):
                    marks.append("!trill(!" if child.get("type") == "start" else "!trill)!")
            elif child.tag == "tremolo":
                strokes = small_number(child.text or "0")
                if child.get("type", "single") == "single" and 1 <= strokes <= 4:
                    marks.append(f"!{'/' * strokes}!")
            elif child.tag == "fingering":
                finger = (child.text or "").strip()
                if finger in _FINGERS:
                    marks.append(f"!{finger}!")
    return marks
