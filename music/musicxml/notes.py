"""What a <note> element contains, without its place in time: pitch, length, voice, notations."""

from __future__ import annotations

from lxml import etree

from musiczoo.music.abc.notation import STEP_SEMITONES, STEPS
from musiczoo.music.errors import MusicZooError
from musiczoo.music.musicxml.decorations import notation_marks

# Children that few notes have.
_SPECIAL = frozenset({"chord", "time-modification", "grace", "unpitched"})
_SEMITONES = tuple(STEP_SEMITONES[step] for step in STEPS)


class NoteShape:
    """A <note> without its place in time."""

    __slots__ = (
        "beamed",
        "chord",
        "dots",
        "duration",
        "flexible",
        "grace",
        "hidden",
        "kind",
        "line",
        "marks",
        "pitch",
        "plain",
        "ratio",
        "slashed",
        "slurs",
        "staff",
        "tie",
        "tuplet_start",
        "tuplet_stop",
        "unpitched",
        "voice",
    )

    def __init__(self) -> None:
        self.duration: str | None = None  # in divisions, as written
        self.voice = "1"
        self.staff = 1
        self.kind = ""
        self.dots = 0
        self.pitch: tuple[str, int, int] | None = None  # step, alteration, octave
        self.tie = False  # a tie begins
        self.beamed = False  # to the next note
        self.flexible = False  # a rest that fills its measure, however long that is
        self.hidden = False  # print-object="no"
        self.unpitched = False
        self.chord = False
        self.grace = False
        self.slashed = False
        self.ratio: tuple[int, int] | None = None  # (actual, normal) of a tuplet
        self.tuplet_start = False
        self.tuplet_stop = False
        self.slurs: tuple[tuple[str, str], ...] = ()  # (type, number)
        self.marks: tuple[str, ...] = ()  # decorations
        self.line: object = 0  # of the file
        # Only a pitch or rest: no chord note, grace note, tuplet, slur, decoration, nothing hidden.
        self.plain = True


def read_note(element: etree._Element) -> NoteShape:
    """Read a <note>.

    Raises:
        MusicZooError: What no note can be; ``where`` is the line alone.
    """
    shape = NoteShape()
    shape.line = element.sourceline
    rest = False
    # In the order of how often they come: this runs once for each child of each note.
    for child in element:
        tag = child.tag
        if tag == "pitch":
            shape.pitch = _pitch(child)
        elif tag == "duration":
            shape.duration = child.text or ""
        elif tag == "voice":
            shape.voice = child.text or "1"
        elif tag == "type":
            shape.kind = child.text or ""
        elif tag == "beam":
            if child.get("number", "1") == "1":
                shape.beamed = child.text in ("begin", "continue")
        elif tag == "staff":
            text = child.text or ""
            shape.staff = int(text) if text.isdecimal() and len(text) < 3 else 1
        elif tag == "notations":
            for notation in child:
                _read_notation(shape, notation)
        elif tag == "tie":
            shape.tie = shape.tie or child.get("type") == "start"
        elif tag == "dot":
            shape.dots += 1
        elif tag == "rest":
            rest = True
            shape.flexible = child.get("measure") == "yes"
        elif tag in _SPECIAL:
            _read_special(shape, child)
    if shape.duration is None and not shape.grace:
        raise _impossible(element, "a note has no duration.")
    if rest:
        if not shape.chord:
            shape.pitch = None
        shape.hidden = element.get("print-object") == "no"
    elif shape.pitch is None:
        raise _impossible(element, "a note has neither pitch nor rest.")
    brackets = shape.ratio or shape.tuplet_start or shape.tuplet_stop or shape.slurs
    special = shape.chord or shape.grace or brackets or shape.marks
    shape.plain = not (special or shape.unpitched or shape.flexible or shape.hidden)
    return shape


def _read_special(shape: NoteShape, child: etree._Element) -> None:
    """Read one of the children that few notes have."""
    tag = child.tag
    if tag == "chord":
        shape.chord = True
    elif tag == "time-modification":
        shape.ratio = _ratio(child)
    elif tag == "grace":
        shape.grace = True
        shape.slashed = child.get("slash") == "yes"
    elif tag == "unpitched":
        shape.unpitched = True
        step = child.findtext("display-step") or "B"
        shape.pitch = _spelled(child, step, None, child.findtext("display-octave") or "4")


def _pitch(element: etree._Element) -> tuple[str, int, int]:
    """Step, alteration and octave of a <pitch>."""
    step = octave = ""
    alter = None
    for part in element:
        name = part.tag
        if name == "step":
            step = part.text or ""
        elif name == "octave":
            octave = part.text or ""
        elif name == "alter":
            alter = part.text
    return _spelled(element, step, alter, octave)


def _impossible(element: etree._Element, message: str) -> MusicZooError:
    remedy = "Correct the file, or export it again from a notation program."
    return MusicZooError(message, where=f"line {element.sourceline}", remedy=remedy)


def _spelled(
    element: etree._Element, step: str, alter: str | None, octave: str
) -> tuple[str, int, int]:
    """Step, alteration of at most two semitones, octave.

    Quarter tones are rounded, triple sharps respelled.
    """
    try:
        index, shift, register = (
            STEPS.index(step.strip().upper() or "?"),
            round(float(alter or 0)),
            int(octave),
        )
    except (ValueError, OverflowError):
        raise _impossible(
            element, f"the pitch {step!r}, alter {alter!r}, octave {octave!r} is not one."
        ) from None
    if not -1 <= register <= 10 or abs(shift) > 12:
        raise _impossible(
            element, f"the pitch {step}, alter {alter}, octave {octave} is out of all proportion."
        )
    while abs(shift) > 2:
        move = 1 if shift > 0 else -1
        before = 12 * register + _SEMITONES[index]
        index, register = (index + move) % 7, register + (index + move) // 7
        shift -= 12 * register + _SEMITONES[index] - before
    return STEPS[index], shift, register


def _ratio(element: etree._Element) -> tuple[int, int] | None:
    try:
        actual, normal = (
            int(element.findtext("actual-notes") or ""),
            int(element.findtext("normal-notes") or ""),
        )
    except ValueError:
        raise _impossible(
            element, "a tuplet does not state how many notes replace how many."
        ) from None
    if not (0 < actual < 1000 and 0 < normal < 1000):
        raise _impossible(
            element, f"a tuplet of {actual} notes for {normal} is out of all proportion."
        )
    return (actual, normal) if actual != normal and actual > 1 else None


def _read_notation(shape: NoteShape, element: etree._Element) -> None:
    tag = element.tag
    if tag == "tied":
        shape.tie = shape.tie or element.get("type") == "start"
    elif tag == "slur":
        shape.slurs += ((element.get("type", ""), element.get("number", "1")),)
    elif tag == "tuplet":
        if element.get("type") == "start":
            shape.tuplet_start = True
        elif element.get("type") == "stop":
            shape.tuplet_stop = True
    else:
        shape.marks += tuple([mark for mark in notation_marks(element) if mark not in shape.marks])
