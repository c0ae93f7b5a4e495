"""Decorations, bar-lines and accompaniment chords of ABC as their MusicXML elements."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Decoration -> (group inside <notations>, element, attributes).
NOTATIONS: dict[str, tuple[str, str, dict[str, str]]] = {
    "staccato": ("articulations", "staccato", {}),
    ".": ("articulations", "staccato", {}),
    "tenuto": ("articulations", "tenuto", {}),
    "accent": ("articulations", "accent", {}),
    ">": ("articulations", "accent", {}),
    "emphasis": ("articulations", "accent", {}),
    "marcato": ("articulations", "strong-accent", {"type": "up"}),
    "^": ("articulations", "strong-accent", {"type": "up"}),
    "wedge": ("articulations", "staccatissimo", {}),
    "breath": ("articulations", "breath-mark", {}),
    "caesura": ("articulations", "caesura", {}),
    "trill": ("ornaments", "trill-mark", {}),
    "trill(": ("ornaments", "wavy-line", {"type": "start"}),
    "trill)": ("ornaments", "wavy-line", {"type": "stop"}),
    "turn": ("ornaments", "turn", {}),
    "invertedturn": ("ornaments", "inverted-turn", {}),
    "turnx": ("ornaments", "turn", {"slash": "yes"}),
    "invertedturnx": ("ornaments", "inverted-turn", {"slash": "yes"}),
    "mordent": ("ornaments", "mordent", {}),
    "lowermordent": ("ornaments", "mordent", {}),
    "uppermordent": ("ornaments", "inverted-mordent", {}),
    "pralltriller": ("ornaments", "inverted-mordent", {}),
    "slide": ("ornaments", "schleifer", {}),
    "upbow": ("technical", "up-bow", {}),
    "downbow": ("technical", "down-bow", {}),
    "open": ("technical", "open-string", {}),
    "thumb": ("technical", "thumb-position", {}),
    "snap": ("technical", "snap-pizzicato", {}),
    "plus": ("technical", "stopped", {}),
    "+": ("technical", "stopped", {}),
    "fermata": ("", "fermata", {"type": "upright"}),
    "invertedfermata": ("", "fermata", {"type": "inverted"}),
    "arpeggio": ("", "arpeggiate", {}),
}
#: Tremolo strokes on one note: decoration -> number of strokes.
TREMOLO = {"/": "1", "//": "2", "///": "3", "////": "4"}
DYNAMICS = frozenset(
    {
        "pppp",
        "ppp",
        "pp",
        "p",
        "mp",
        "mf",
        "f",
        "ff",
        "fff",
        "ffff",
        "sfz",
        "sf",
        "sffz",
        "fz",
        "fp",
        "rf",
        "rfz",
        "sfp",
    }
)
#: Hairpins: decoration -> wedge type.
WEDGES = {
    "<(": "crescendo",
    "crescendo(": "crescendo",
    "<)": "stop",
    "crescendo)": "stop",
    ">(": "diminuendo",
    "diminuendo(": "diminuendo",
    ">)": "stop",
    "diminuendo)": "stop",
}
PEDALS = {"ped": "start", "ped(": "start", "ped-up": "stop", "ped)": "stop"}
#: Signs and words for the playing order: decoration -> (sign element, words, attribute of <sound>).
JUMPS: dict[str, tuple[str, str, str]] = {
    "segno": ("segno", "", "segno"),
    "coda": ("coda", "", "coda"),
    "D.C.": ("", "D.C.", "dacapo"),
    "dacapo": ("", "D.C.", "dacapo"),
    "D.S.": ("", "D.S.", "dalsegno"),
    "dacoda": ("", "To Coda", "tocoda"),
    "fine": ("", "Fine", "fine"),
}
ACCIDENTALS = {"^": "sharp", "^^": "double-sharp", "=": "natural", "_": "flat", "__": "flat-flat"}

_CHORD = re.compile(
    r"^([A-Ga-g])(#{1,2}|b{1,2}|[♯♭])?([^/]*?)(?:/([A-Ga-g])(#{1,2}|b{1,2}|[♯♭])?)?$"
)
_KINDS = {
    "": "major",
    "maj": "major",
    "M": "major",
    "m": "minor",
    "min": "minor",
    "-": "minor",
    "7": "dominant",
    "maj7": "major-seventh",
    "M7": "major-seventh",
    "m7": "minor-seventh",
    "min7": "minor-seventh",
    "-7": "minor-seventh",
    "mM7": "major-minor",
    "dim": "diminished",
    "o": "diminished",
    "°": "diminished",
    "dim7": "diminished-seventh",
    "o7": "diminished-seventh",
    "°7": "diminished-seventh",
    "m7b5": "half-diminished",
    "ø": "half-diminished",
    "ø7": "half-diminished",
    "aug": "augmented",
    "+": "augmented",
    "aug7": "augmented-seventh",
    "+7": "augmented-seventh",
    "6": "major-sixth",
    "m6": "minor-sixth",
    "9": "dominant-ninth",
    "maj9": "major-ninth",
    "m9": "minor-ninth",
    "11": "dominant-11th",
    "m11": "minor-11th",
    "13": "dominant-13th",
    "sus": "suspended-fourth",
    "sus4": "suspended-fourth",
    "sus2": "suspended-second",
    "5": "power",
}
_ALTERS = {"#": 1, "##": 2, "♯": 1, "b": -1, "bb": -2, "♭": -1, "": 0}


@dataclass(frozen=True, slots=True)
class ChordSymbol:
    """An accompaniment chord.

    Attributes:
        root: Letter and alteration.
        kind: MusicXML's name of the kind.
        suffix: What is written after the root.
        bass: Letter and alteration, or None.
    """

    root: tuple[str, int]
    kind: str
    suffix: str
    bass: tuple[str, int] | None


def parse_chord_symbol(text: str) -> ChordSymbol | None:
    """Read ``"F#m7/C#"``; None when the text names no chord (it is then printed as words)."""
    found = _CHORD.match(text.strip())
    if not found:
        return None
    root, sign, suffix, bass, bass_sign = (group or "" for group in found.groups())
    suffix = suffix.strip()
    kind = _KINDS.get(suffix, "other")
    if kind == "other" and not re.match(
        r"^(maj|min|m|M|dim|aug|sus|add|alt|no|[\d(+#b°øo-])", suffix
    ):
        return None  # words that begin with a letter from A to G, such as "Fine"
    return ChordSymbol(
        (root.upper(), _ALTERS[sign]),
        kind,
        suffix,
        (bass.upper(), _ALTERS[bass_sign]) if bass else None,
    )


@dataclass(frozen=True, slots=True)
class BarLine:
    """A bar-line of ABC taken apart.

    Attributes:
        style: MusicXML's bar-style, ``""`` for the regular one.
        repeat_end: A repeated section ends here (``:|``).
        repeat_start: One begins after it (``|:``).
        volta: Numbers of the ending that begins after it (``"1,2"``), or ``""``.
    """

    style: str
    repeat_end: bool
    repeat_start: bool
    volta: str


def parse_bar_line(text: str) -> BarLine:
    """Take ``":|2"``, ``"|]"``, ``"::"`` ... apart."""
    found = re.match(r"^(.*?)\[?\s*(\d[\d,.\-\s]*)?$", text, re.DOTALL)
    line, numbers = (found[1], found[2] or "") if found else (text, "")
    line = re.sub(r"[\s\"]", "", line)
    double_repeat = "::" in line or ":||:" in line or ":|:" in line
    repeat_end = double_repeat or line.startswith(":")
    repeat_start = double_repeat or (line.endswith(":") and "|" in line)
    if repeat_end or repeat_start:
        style = ""
    elif "[|]" in line:
        style = "none"
    elif line.endswith("|]"):
        style = "light-heavy"
    elif line.startswith("[|"):
        style = "heavy-light"
    elif "||" in line:
        style = "light-light"
    elif line.startswith("."):
        style = "dotted"
    else:
        style = ""
    return BarLine(style, repeat_end, repeat_start, _volta_numbers(numbers))


def _volta_numbers(text: str) -> str:
    numbers: list[int] = []
    for item in re.findall(r"\d+(?:-\d+)?", text):
        first, _, last = item.partition("-")
        numbers.extend(range(int(first), min(int(last or first), int(first) + 32) + 1))
    return ",".join(str(number) for number in dict.fromkeys(numbers))
