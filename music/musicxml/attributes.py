"""The ``<attributes>`` of a measure: key, meter, clefs, and at the start what holds throughout."""

from __future__ import annotations

from dataclasses import dataclass

from musiczoo.music.musicxml.elements import Element, add
from musiczoo.music.musicxml.score_layout import Clef

_MODES = {
    "m": "minor",
    "min": "minor",
    "aeo": "aeolian",
    "dor": "dorian",
    "phr": "phrygian",
    "lyd": "lydian",
    "mix": "mixolydian",
    "loc": "locrian",
}


@dataclass(frozen=True)
class Attributes:
    """Key, meter and clefs in force.

    Attributes:
        fifths: Sharps of the key (flats negative).
        mode: MusicXML's name of its mode.
        meter: Numerator and denominator; None for music without meter.
        meter_symbol: ``"common"``, ``"cut"`` or ``""``.
        clefs: The clef of each staff.
    """

    fifths: int | None = None
    mode: str = ""
    meter: tuple[int, int] | None = (0, 0)
    meter_symbol: str = ""
    clefs: tuple[Clef | None, ...] = ()


@dataclass(frozen=True)
class Opening:
    """What only the first measure of a part states.

    Attributes:
        divisions: Ticks of a quarter note.
        transpose: Semitones from the notated to the sounding pitch.
    """

    divisions: int
    transpose: int


def write_attributes(
    measure: Element, state: Attributes, old: Attributes, *, opening: Opening | None = None
) -> None:
    """Append ``<attributes>`` with what has changed.

    Args:
        measure: The ``<measure>``.
        state: What is in force now.
        old: What was in force before.
        opening: For the first measure of a part.
    """
    attributes = add(measure, "attributes")
    if opening is not None:
        add(attributes, "divisions", opening.divisions)
    if (state.fifths, state.mode) != (old.fifths, old.mode):
        key = add(attributes, "key")
        add(key, "fifths", state.fifths or 0)
        add(key, "mode", state.mode)
    if (state.meter, state.meter_symbol) != (old.meter, old.meter_symbol):
        time = add(attributes, "time")
        if state.meter is None:
            add(time, "senza-misura")
        else:
            if state.meter_symbol:
                time.set("symbol", state.meter_symbol)
            add(time, "beats", state.meter[0])
            add(time, "beat-type", state.meter[1])
    staves = len(state.clefs)
    if opening is not None and staves > 1:
        add(attributes, "staves", staves)
    for staff, (clef, old_clef) in enumerate(zip(state.clefs, old.clefs, strict=True), 1):
        if clef is not None and clef != old_clef:
            element = add(attributes, "clef", **({"number": str(staff)} if staves > 1 else {}))
            add(element, "sign", clef.sign)
            if clef.sign in ("G", "F", "C"):
                add(element, "line", clef.line)
            if clef.octave:
                add(element, "clef-octave-change", clef.octave)
    if opening is not None and opening.transpose:
        add(add(attributes, "transpose"), "chromatic", opening.transpose)


def mode_of(key: str) -> str:
    """MusicXML's name of the mode of a key's text, such as ``"F#min"``."""
    if key == "none":
        return "none"
    tail = key[1:].lstrip("#b♯♭").strip().lower()
    return "minor" if tail == "m" else _MODES.get(tail[:3], "major")


def meter_symbol(text: str) -> str:
    """MusicXML's symbol for an ``M:`` value: ``"cut"``, ``"common"`` or ``""``."""
    text = text.strip()
    return "cut" if text.startswith("C|") else "common" if text == "C" else ""
