"""Notes, directions and bar-lines as MusicXML elements."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from lxml import etree

from musiczoo.music.abc.tempo import TempoMark
from musiczoo.music.abc.tune import Event, Pitch
from musiczoo.music.musicxml.from_abc import (
    ACCIDENTALS,
    DYNAMICS,
    JUMPS,
    NOTATIONS,
    PEDALS,
    TREMOLO,
    WEDGES,
    ChordSymbol,
    parse_chord_symbol,
)
from musiczoo.music.musicxml.note_types import note_values
from musiczoo.music.musicxml.written_notes import WrittenHead, WrittenNote

Element = etree._Element
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def add(parent: Element, tag: str, text: str | int | None = None, /, **attributes: str) -> Element:
    """Append a child element.

    Characters that XML forbids are left out, underscores in attribute names become hyphens.
    """
    child = etree.SubElement(
        parent,
        tag,
        {name.replace("_", "-"): _NOT_XML.sub("", value) for name, value in attributes.items()},
    )
    if text is not None:
        child.text = _NOT_XML.sub("", str(text))
    return child


@dataclass(frozen=True, slots=True)
class Place:
    """Where notes go.

    Attributes:
        voice: MusicXML's number of the voice.
        staff: The staff; None when the part has only one.
        stem: Direction of the stems; None to leave it open.
    """

    voice: int
    staff: int | None = None
    stem: str | None = None


def add_note(
    measure: Element,
    note: WrittenNote,
    ticks: Callable[[Fraction], int],
    place: Place,
    slurs: Sequence[tuple[str, int]],
) -> None:
    """Append one ``<note>``, or several for a chord.

    Args:
        measure: The ``<measure>``.
        note: What to write.
        ticks: From quarter notes to divisions.
        place: Voice, staff and stem direction.
        slurs: (``"start"`` or ``"stop"``, number) of the slurs at this note.
    """
    event = note.event
    for index, head in enumerate(note.heads or [None]):
        element = add(measure, "note")
        if head is None and event is not None and event.rest == "x":
            element.set("print-object", "no")
        if event is not None and event.grace:
            add(
                element,
                "grace",
                **({"slash": "yes"} if "acciaccatura" in event.decorations else {}),
            )
        if index:
            add(element, "chord")
        if head is None:
            rest = add(element, "rest")
            if note.value is None:
                rest.set("measure", "yes")
        else:
            _add_pitch(element, head.pitch)
        if note.duration:
            add(element, "duration", ticks(note.duration))
        ties = (
            [kind for kind, here in (("stop", head.tie_stop), ("start", head.tie_start)) if here]
            if head is not None
            else []
        )
        for kind in ties:
            add(element, "tie", type=kind)
        add(element, "voice", place.voice)
        _add_value(element, note, head)
        if place.stem is not None and head is not None:
            add(element, "stem", place.stem)
        if place.staff is not None:
            add(element, "staff", place.staff)
        if index == 0:
            for level, state in enumerate(note.beams, 1):
                add(element, "beam", state, number=str(level))
        notations = etree.Element("notations")
        for kind in ties:
            add(notations, "tied", type=kind)
        if index == 0:
            _add_notations(notations, note, slurs)
        if len(notations):
            element.append(notations)


def _add_pitch(element: Element, pitch: Pitch) -> None:
    container = add(element, "pitch")
    add(container, "step", pitch.step)
    if pitch.alter:
        add(container, "alter", pitch.alter)
    add(container, "octave", pitch.octave)


def _add_value(element: Element, note: WrittenNote, head: WrittenHead | None) -> None:
    if note.value is None:
        return
    add(element, "type", note.value.type)
    for _ in range(note.value.dots):
        add(element, "dot")
    if head is not None and head.accidental in ACCIDENTALS:
        add(element, "accidental", ACCIDENTALS[head.accidental])
    if note.value.actual != note.value.normal:
        ratio = add(element, "time-modification")
        add(ratio, "actual-notes", note.value.actual)
        add(ratio, "normal-notes", note.value.normal)


def _add_notations(notations: Element, note: WrittenNote, slurs: Sequence[tuple[str, int]]) -> None:
    for kind, number in slurs:
        add(notations, "slur", type=kind, number=str(number))
    if note.tuplet_start:
        add(notations, "tuplet", type="start", bracket="yes")
    if note.tuplet_stop:
        add(notations, "tuplet", type="stop")
    if note.event is None:
        return
    grouped: dict[str, list[tuple[str, dict[str, str], str | None]]] = {
        "ornaments": [],
        "technical": [],
        "articulations": [],
        "": [],
        "other": [],
    }
    for name in note.event.decorations:
        if name in NOTATIONS:
            group, tag, attributes = NOTATIONS[name]
            # A fermata belongs to the end of a note written in several values, everything else to
            # its beginning.
            if note.last if tag == "fermata" else note.first:
                grouped[group].append((tag, attributes, None))
        elif not note.first:
            continue
        elif name in TREMOLO:
            grouped["ornaments"].append(("tremolo", {"type": "single"}, TREMOLO[name]))
        elif len(name) == 1 and name in "012345":
            grouped["technical"].append(("fingering", {}, name))
        elif not is_direction(name) and name != "acciaccatura":
            grouped["other"].append(("other-notation", {"type": "single"}, name))
    for group in ("ornaments", "technical", "articulations"):
        if grouped[group]:
            container = add(notations, group)
            for tag, attributes, text in grouped[group]:
                add(container, tag, text, **attributes)
    for tag, attributes, text in (*grouped[""], *grouped["other"]):
        add(notations, tag, text, **attributes)


def is_direction(decoration: str) -> bool:
    """Whether a decoration is written as a ``<direction>`` before the note rather than on it."""
    return (
        decoration in DYNAMICS
        or decoration in WEDGES
        or decoration in PEDALS
        or decoration in JUMPS
    )


def add_directions(measure: Element, event: Event, place: Place) -> None:
    """Append what stands before an event.

    That is its chord symbol, annotations, dynamics, hairpins, pedal marks and jumps.
    """
    if event.chord_symbol:
        symbol = parse_chord_symbol(event.chord_symbol)
        if symbol is None:
            _add_words(measure, event.chord_symbol, "above", place)
        else:
            _add_harmony(measure, symbol, place.staff)
    for annotation in event.annotations:
        mark, text = (
            (annotation[0], annotation[1:]) if annotation[:1] in "^_<>@" else ("^", annotation)
        )
        if text.strip():
            _add_words(measure, text, "below" if mark == "_" else "above", place)
    for name in event.decorations:
        if not is_direction(name):
            continue
        if name in DYNAMICS:
            container = _direction(measure, "below")
            add(add(add(container, "direction-type"), "dynamics"), name)
        elif name in WEDGES:
            container = _direction(measure, "below")
            add(add(container, "direction-type"), "wedge", type=WEDGES[name])
        elif name in PEDALS:
            container = _direction(measure, "below")
            add(add(container, "direction-type"), "pedal", type=PEDALS[name])
        else:
            sign, words, sound = JUMPS[name]
            container = _direction(measure, "above")
            add(add(container, "direction-type"), sign or "words", words or None)
            _place(container, place)
            add(container, "sound", **{sound: "yes" if sound in ("dacapo", "fine") else "1"})
            continue
        _place(container, place)


def _direction(measure: Element, placement: str) -> Element:
    return add(measure, "direction", placement=placement)


def _place(direction: Element, place: Place) -> None:
    add(direction, "voice", place.voice)
    if place.staff is not None:
        add(direction, "staff", place.staff)


def _add_words(measure: Element, text: str, placement: str, place: Place) -> None:
    direction = _direction(measure, placement)
    add(add(direction, "direction-type"), "words", text)
    _place(direction, place)


def _add_harmony(measure: Element, symbol: ChordSymbol, staff: int | None) -> None:
    harmony = add(measure, "harmony")
    for tag, pitch in (("root", symbol.root), ("kind", None), ("bass", symbol.bass)):
        if tag == "kind":
            add(harmony, "kind", symbol.kind, **({"text": symbol.suffix} if symbol.suffix else {}))
        elif pitch is not None:
            container = add(harmony, tag)
            add(container, f"{tag}-step", pitch[0])
            if pitch[1]:
                add(container, f"{tag}-alter", pitch[1])
    if staff is not None:
        add(harmony, "staff", staff)


def add_tempo(measure: Element, mark: TempoMark) -> None:
    """Append a tempo mark: its words, its metronome mark and the speed to play.

    The metronome mark is written where one note value shows the beat.
    """
    direction = add(measure, "direction", placement="above")
    if mark.words:
        add(add(direction, "direction-type"), "words", mark.words)
    speed, quarters = mark.beats_per_minute, mark.quarters_per_minute
    values = note_values(mark.beat)
    if speed is not None and len(values) == 1 and values[0].actual == 1:
        metronome = add(add(direction, "direction-type"), "metronome")
        add(metronome, "beat-unit", values[0].type)
        for _ in range(values[0].dots):
            add(metronome, "beat-unit-dot")
        add(metronome, "per-minute", f"{speed:g}")
    elif not mark.words and speed is not None:
        add(add(direction, "direction-type"), "words", f"{speed:g}")
    if quarters is not None:
        add(direction, "sound", tempo=f"{quarters:g}")
