"""Keys, meters, clefs, tempi and chord symbols of MusicXML elements as ABC code.

The spellings are those of the multi-voice ABC corpora that the pretrained language models were
trained on (staccato as ``.``, trill as ``T``, dynamics as ``!mf!``), so that what is read here
looks to a model like what it has seen.
"""

from __future__ import annotations

import re
from fractions import Fraction

from lxml import etree

from musiczoo.music.abc.keys import ACCIDENTAL_MARKS, signature, tonic
from musiczoo.music.musicxml.decorations import (
    direction_marks,
    dynamic_marks,
    jump_marks,
    notation_marks,
)
from musiczoo.music.musicxml.note_types import NOTE_TYPES
from musiczoo.music.musicxml.texts import plain_text, small_number

__all__ = [
    "NOTE_TYPES",
    "chord_symbol",
    "clef_text",
    "direction_marks",
    "dynamic_marks",
    "jump_marks",
    "key_text",
    "meter_quarters",
    "meter_text",
    "metronome_text",
    "notation_marks",
    "plain_text",
    "sound_tempo",
    "tempo_text",
]

# Mode -> (ABC suffix, steps on the circle of fifths from the tonic of the major key with the same
# signature).
_MODES = {
    "major": ("", 0),
    "ionian": ("", 0),
    "minor": ("min", 3),
    "aeolian": ("min", 3),
    "dorian": ("dor", 2),
    "phrygian": ("phr", 4),
    "lydian": ("lyd", -1),
    "mixolydian": ("mix", 1),
    "locrian": ("loc", 5),
}

_CLEFS = {
    ("G", 2): "treble",
    ("G", 1): "treble1",
    ("F", 4): "bass",
    ("F", 3): "bass3",
    ("F", 5): "bass5",
    ("C", 1): "alto1",
    ("C", 2): "alto2",
    ("C", 3): "alto",
    ("C", 4): "tenor",
    ("C", 5): "alto5",
}
_USUAL_LINE = {"G": 2, "F": 4, "C": 3}

_KINDS = {
    "major": "",
    "minor": "m",
    "augmented": "+",
    "diminished": "dim",
    "dominant": "7",
    "major-seventh": "maj7",
    "minor-seventh": "m7",
    "diminished-seventh": "dim7",
    "augmented-seventh": "+7",
    "half-diminished": "m7b5",
    "major-minor": "mM7",
    "major-sixth": "6",
    "minor-sixth": "m6",
    "dominant-ninth": "9",
    "major-ninth": "maj9",
    "minor-ninth": "m9",
    "dominant-11th": "11",
    "major-11th": "maj11",
    "minor-11th": "m11",
    "dominant-13th": "13",
    "major-13th": "maj13",
    "minor-13th": "m13",
    "suspended-second": "sus2",
    "suspended-fourth": "sus4",
    "power": "5",
}
_ALTERATIONS = {-2: "bb", -1: "b", 0: "", 1: "#", 2: "##"}


def key_text(element: etree._Element) -> str:
    """A ``K:`` value for a <key>: ``"G"``, ``"Emin"``, ``"none"``.

    Keys outside the circle of fifths as ``"C exp ^f _b"``.
    """
    texts = {child.tag: child.text for child in element}
    fifths = texts.get("fifths")
    if fifths is None:
        steps = [step.text or "" for step in element.findall("key-step")]
        alters = [small_number(alter.text) for alter in element.findall("key-alter")]
        return _explicit_key(dict(zip(steps, alters, strict=False)))
    sharps = small_number(fifths)
    suffix, shift = _MODES.get((texts.get("mode") or "").strip().lower(), ("", 0))
    if not -7 <= sharps <= 7:
        return _explicit_key(signature(max(-14, min(14, sharps))))
    return tonic(sharps + shift) + suffix


def _explicit_key(alters: dict[str, int]) -> str:
    return " ".join(
        [
            "C exp",
            *(
                ACCIDENTAL_MARKS[max(-2, min(2, alter))] + step.lower()
                for step, alter in alters.items()
                if alter and step
            ),
        ]
    )


def meter_text(element: etree._Element) -> str:
    """An ``M:`` value for a <time>: ``"3/4"``, ``"none"``.

    Additive signatures are added up (3+2/8 is ``"5/8"``, 2/4+3/8 is ``"7/8"``).
    """
    above = [(beats.text or "").replace(" ", "") for beats in element.findall("beats")]
    below = [(kind.text or "").strip() for kind in element.findall("beat-type")]
    if (
        not above
        or len(above) != len(below)
        or not all(re.fullmatch(r"\d{1,3}(\+\d{1,3})*", text) for text in above)
    ):
        return "none"
    if not all(text.isdigit() and 0 < int(text) <= 128 for text in below):
        return "none"
    if len(below) == 1:
        numerator = sum(map(int, above[0].split("+")))
    else:
        common = max(map(int, below))
        numerator = sum(
            sum(map(int, text.split("+"))) * common // int(kind)
            for text, kind in zip(above, below, strict=True)
        )
        below = [str(common)]
    return f"{numerator}/{int(below[0])}" if numerator else "none"


def meter_quarters(text: str) -> Fraction | None:
    """Length of a full bar of that meter in quarter notes."""
    above, _, below = text.partition("/")
    return Fraction(4 * int(above), int(below)) if below else None


def clef_text(element: etree._Element) -> str:
    """A clef as ABC names it: ``"treble"``, ``"bass"``, ``"tenor"``, ``"treble-8"``, ``"perc"``."""
    texts = {child.tag: child.text for child in element}
    sign = (texts.get("sign") or "").strip()
    if sign == "percussion":
        return "perc"
    if sign not in _USUAL_LINE:
        return "treble"  # tablature, jianpu and no clef at all: ABC music code has pitches only
    line = small_number(texts.get("line") or str(_USUAL_LINE[sign]))
    name = _CLEFS.get((sign, line)) or _CLEFS[sign, _USUAL_LINE[sign]]
    octaves = small_number(texts.get("clef-octave-change") or "0")
    return name + {-2: "-15", -1: "-8", 1: "+8", 2: "+15"}.get(octaves, "")


def tempo_text(beat: Fraction, speed: float) -> str:
    """A ``Q:`` value: beat as a fraction of a whole note and beats a minute."""
    length = beat / 4
    return f"{length.numerator}/{length.denominator}={round(speed, 2):g}"


def metronome_text(element: etree._Element) -> str | None:
    """A ``Q:`` value for a <metronome>; None when it has no number (metric modulations, words)."""
    units = element.findall("beat-unit")
    number = re.search(r"\d+(\.\d+)?", element.findtext("per-minute") or "")
    if (
        len(units) != 1
        or number is None
        or not 0 < float(number[0]) < 2000
        or (units[0].text or "") not in NOTE_TYPES
    ):
        return None
    dots = len(element.findall("beat-unit-dot"))
    return tempo_text(
        NOTE_TYPES[units[0].text or ""] * (2 - Fraction(1, 2**dots)), float(number[0])
    )


def sound_tempo(element: etree._Element | None) -> str | None:
    """A ``Q:`` value for the tempo of a <sound> (quarters a minute), None without one."""
    text = None if element is None else element.get("tempo")
    if text is None or not re.fullmatch(r"\d+(\.\d+)?", text.strip()) or not 0 < float(text) < 2000:
        return None
    return tempo_text(Fraction(1), float(text))


def chord_symbol(element: etree._Element) -> str:
    """An accompaniment chord (``"G7"``, ``"F#m/C#"``) for a <harmony>; ``""`` without a root."""
    step = element.findtext("root/root-step")
    if not step:
        return ""
    kind = element.find("kind")
    name = "" if kind is None else (kind.text or "").strip()
    suffix = _KINDS.get(name)
    if suffix is None:
        suffix = "" if kind is None else plain_text(kind.get("text"))
    for degree in element.iterfind("degree"):
        value, action = degree.findtext("degree-value") or "", degree.findtext("degree-type")
        sign = _ALTERATIONS.get(small_number(degree.findtext("degree-alter") or "0"), "")
        if value.isdigit():
            suffix += {"add": "add", "subtract": "no"}.get(action or "", "") + sign + value
    root = step.strip() + _ALTERATIONS.get(
        small_number(element.findtext("root/root-alter") or "0"), ""
    )
    bass = element.findtext("bass/bass-step")
    if bass:
        suffix += (
            "/"
            + bass.strip()
            + _ALTERATIONS.get(small_number(element.findtext("bass/bass-alter") or "0"), "")
        )
    return plain_text(root + suffix)
