"""The measures of one MusicXML part as events at exact times, before they are dealt out to ABC voices.

Times are ticks: whole numbers of a division that all measures of the score share, so that the usual arithmetic is on integers; only a
file with fractional durations, or tuplets that its divisions cannot express, brings fractions in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

from lxml import etree

from musiczoo.music.errors import MusicZooError
from musiczoo.music.musicxml.signs import (
    NOTE_TYPES,
    chord_symbol,
    clef_text,
    direction_marks,
    jump_marks,
    key_text,
    meter_quarters,
    meter_text,
    metronome_text,
    notation_marks,
    sound_tempo,
)

Ticks = int | Fraction
#: Diatonic step, alteration, octave, whether a tie leads on, length in ticks.
Head = tuple[str, int, int, bool, Ticks]

_STEPS = "CDEFGAB"
_SEMITONES = (0, 2, 4, 5, 7, 9, 11)
#: No note and no measure of music is longer than so many quarter notes; what claims to be is damaged.
_LONGEST = 4096


class NoteEvent:
    """A note, chord or rest of one MusicXML voice, with what hangs on it."""

    __slots__ = (
        "beamed",
        "duration",
        "flexible",
        "grace",
        "graces",
        "heads",
        "hidden",
        "marks",
        "onset",
        "ratio",
        "signs",
        "slashed",
        "slur_starts",
        "slur_stops",
        "slurs",
        "staff",
        "symbol",
        "tuplet_start",
        "tuplet_stop",
        "voice",
    )

    def __init__(self, onset: Ticks, duration: Ticks, voice: str, staff: int) -> None:
        self.onset = onset
        self.duration = duration
        self.voice = voice
        self.staff = staff
        self.heads: list[Head] = []
        self.hidden = False  # print-object="no"
        self.flexible = False  # a rest that fills its measure, however long that is
        self.grace: Fraction | None = None  # notated quarter notes of a grace note
        self.slashed = False
        self.graces: list[NoteEvent] = []  # those before this event
        self.ratio: tuple[int, int] | None = None  # (actual, normal) of a tuplet
        self.tuplet_start = self.tuplet_stop = False
        self.beamed = False  # beamed to the next note
        self.marks: list[str] = []  # decorations of the note itself
        self.signs: list[str] = []  # decorations and annotations of directions before it
        self.symbol = ""
        self.slurs: list[tuple[str, str]] = []  # (type, number) as read
        self.slur_starts = self.slur_stops = 0


class Measure:
    """One measure of one part."""

    __slots__ = ("bar_left", "bar_right", "changes", "directions", "events", "length", "meter", "trailing_graces")

    def __init__(self, meter: Fraction | None) -> None:
        self.events: list[NoteEvent] = []
        self.trailing_graces: list[NoteEvent] = []
        self.changes: list[tuple[Ticks, int, str, str]] = []  # (time, staff or 0 for all, field name, value)
        self.directions: list[tuple[Ticks, int, str | None, str]] = []  # (time, staff, voice, code); code of a chord symbol begins with a quote and a letter
        self.length: Ticks = 0
        self.meter = meter  # length of a full bar in quarter notes
        self.bar_left = ""
        self.bar_right = ""


class PartReader:
    """Reads the measures of one part in order and keeps what holds on from one to the next.

    Args:
        scale: Ticks of a quarter note.
        part: Identifier of the part, for messages.
    """

    def __init__(self, scale: int, part: str) -> None:
        self.scale = scale
        self.part = part
        self.factor: Ticks = scale  # ticks of one division
        self.meter: Fraction | None = None
        self.staves = 1
        self.wedges: dict[str, str] = {}
        self.transposition = 0
        self.types = {name: length * scale for name, length in NOTE_TYPES.items()}
        self.spellings: dict[tuple[str, str | None, str], tuple[str, int, int]] = {}
        self.lengths: dict[str, Ticks] = {}
        self.number = "?"
        self.handlers: dict[str, Callable[[etree._Element], None]] = {
            "note": self.read_note,
            "attributes": self.read_attributes,
            "backup": self.read_backup,
            "forward": self.read_forward,
            "direction": self.read_direction,
            "sound": self.read_sound,
            "harmony": self.read_harmony,
            "barline": self.read_barline,
        }

    def read(self, children: Iterable[etree._Element], number: str) -> Measure:
        """Read one measure from its children."""
        self.number = number
        self.measure = measure = Measure(self.meter)
        self.cursor: Ticks = 0
        self.last: NoteEvent | None = None
        self.graces: dict[str, list[NoteEvent]] = {}
        read_note, handlers = self.read_note, self.handlers
        for child in children:
            tag = child.tag
            if tag == "note":
                read_note(child)
            else:
                handler = handlers.get(tag)
                if handler is not None:
                    handler(child)
        for graces in self.graces.values():
            measure.trailing_graces += graces
        measure.meter = self.meter
        return measure

    def error(self, element: etree._Element, message: str) -> MusicZooError:
        return MusicZooError(
            message,
            where=f"part {self.part}, measure {self.number}, line {element.sourceline}",
            remedy="Correct the file, or export it again from a notation program.",
        )

    def ticks(self, element: etree._Element, text: str | None) -> Ticks:
        """A duration in divisions as ticks."""
        found = self.lengths.get(text or "")
        if found is None:
            try:
                value = Fraction((text or "").strip())
            except (ValueError, ZeroDivisionError):
                raise self.error(element, f"the duration {text!r} is no number.") from None
            if value.denominator > 1:
                # Decimal durations are rounded thirds and fifths; this brings them back.
                value = value.limit_denominator(5040)
            found = value * self.factor
            if not 0 <= found <= _LONGEST * self.scale:
                raise self.error(element, f"the duration {text!r} is out of all proportion.")
            if isinstance(found, Fraction) and found.denominator == 1:
                found = found.numerator
            self.lengths[text or ""] = found
        return found

    def spell(self, element: etree._Element, step: str, alter: str | None, octave: str) -> tuple[str, int, int]:
        """Step, alteration of at most two semitones, octave; quarter tones are rounded, triple sharps respelled."""
        try:
            index, shift, register = _STEPS.index(step.strip().upper() or "?"), round(float(alter or 0)), int(octave)
        except (ValueError, OverflowError):
            raise self.error(element, f"the pitch {step!r}, alter {alter!r}, octave {octave!r} is none.") from None
        if not -1 <= register <= 10 or abs(shift) > 12:
            raise self.error(element, f"the pitch {step}, alter {alter}, octave {octave} is out of all proportion.")
        while abs(shift) > 2:
            move = 1 if shift > 0 else -1
            before = 12 * register + _SEMITONES[index]
            index, register = (index + move) % 7, register + (index + move) // 7
            shift -= 12 * register + _SEMITONES[index] - before
        return _STEPS[index], shift, register

    def read_note(self, element: etree._Element) -> None:
        duration: Ticks | None = None
        voice, staff, kind, dots = "1", 1, None, 0
        pitch: tuple[str, int, int] | None = None
        rest = chord = grace = slashed = tie = beamed = flexible = False
        ratio: tuple[int, int] | None = None
        notations: list[etree._Element] = []
        for child in element:
            tag = child.tag
            if tag == "pitch":
                step = octave = ""
                alter = None
                for part in child:
                    name = part.tag
                    if name == "step":
                        step = part.text or ""
                    elif name == "octave":
                        octave = part.text or ""
                    elif name == "alter":
                        alter = part.text
                pitch = self.spellings.get((step, alter, octave))
                if pitch is None:
                    pitch = self.spellings[step, alter, octave] = self.spell(child, step, alter, octave)
            elif tag == "duration":
                duration = self.lengths.get(child.text or "")
                if duration is None:
                    duration = self.ticks(child, child.text)
            elif tag == "voice":
                voice = child.text or "1"
            elif tag == "type":
                kind = child.text
            elif tag == "beam":
                if child.get("number", "1") == "1":
                    beamed = child.text in ("begin", "continue")
            elif tag == "staff":
                text = child.text or ""
                staff = int(text) if text.isdecimal() and len(text) < 3 else 1
            elif tag == "notations":
                notations.extend(child)
            elif tag == "tie":
                tie = tie or child.get("type") == "start"
            elif tag == "dot":
                dots += 1
            elif tag == "rest":
                rest = True
                flexible = child.get("measure") == "yes"
            elif tag == "chord":
                chord = True
            elif tag == "time-modification":
                ratio = self.ratio(child)
            elif tag == "grace":
                grace = True
                slashed = child.get("slash") == "yes"
            elif tag == "unpitched":
                pitch = self.spell(child, child.findtext("display-step") or "B", None, child.findtext("display-octave") or "4")
        if duration is None:
            if not grace:
                raise self.error(element, "a note has no duration.")
            duration = 0
        if pitch is None and not rest:
            raise self.error(element, "a note has neither pitch nor rest.")
        if chord and self.last is not None:
            event = self.last
            if pitch is not None:
                event.heads.append((*pitch, tie, duration))
            if notations:
                self.read_notations(event, notations)
            return
        if ratio is not None and not grace:
            duration = self.snapped(duration, kind, dots, ratio)
        event = NoteEvent(self.cursor, duration, voice, staff)
        if pitch is not None and not rest:
            event.heads.append((*pitch, tie, duration))
        else:
            event.flexible = flexible
            event.hidden = element.get("print-object") == "no"
        event.beamed = beamed
        event.ratio = ratio
        if notations:
            self.read_notations(event, notations)
        self.last = event
        if grace:
            event.grace = NOTE_TYPES.get(kind or "", Fraction(1, 2)) * (2 - Fraction(1, 2 ** min(dots, 4)))
            event.slashed = slashed
            if event.heads:
                self.graces.setdefault(voice, []).append(event)
            return
        if self.graces and voice in self.graces:
            event.graces = self.graces.pop(voice)
        measure = self.measure
        measure.events.append(event)
        self.cursor += duration
        if self.cursor > measure.length:
            measure.length = self.cursor

    def ratio(self, element: etree._Element) -> tuple[int, int] | None:
        try:
            actual, normal = int(element.findtext("actual-notes") or ""), int(element.findtext("normal-notes") or "")
        except ValueError:
            raise self.error(element, "a tuplet does not say how many notes stand for how many.") from None
        if not (0 < actual < 1000 and 0 < normal < 1000):
            raise self.error(element, f"a tuplet of {actual} notes for {normal} is out of all proportion.")
        return (actual, normal) if actual != normal and actual > 1 else None

    def snapped(self, duration: Ticks, kind: str | None, dots: int, ratio: tuple[int, int]) -> Ticks:
        """The exact length of a tuplet note whose divisions cannot express it (33 + 33 + 34 of 100)."""
        written = self.types.get(kind or "")
        if written is None or dots > 4:
            return duration
        exact = written * (2 - Fraction(1, 2**dots)) * Fraction(ratio[1], ratio[0])
        if exact != duration and abs(exact - duration) < self.factor:
            return exact if exact.denominator > 1 else exact.numerator
        return duration

    def read_notations(self, event: NoteEvent, notations: list[etree._Element]) -> None:
        for element in notations:
            tag = element.tag
            if tag == "tied":
                if element.get("type") == "start" and event.heads and not event.heads[-1][3]:
                    step, alter, octave, _, length = event.heads[-1]
                    event.heads[-1] = (step, alter, octave, True, length)
            elif tag == "slur":
                event.slurs.append((element.get("type", ""), element.get("number", "1")))
            elif tag == "tuplet":
                if element.get("type") == "start":
                    event.tuplet_start = True
                elif element.get("type") == "stop":
                    event.tuplet_stop = True
            else:
                event.marks += [mark for mark in notation_marks(element) if mark not in event.marks]

    def read_backup(self, element: etree._Element) -> None:
        self.cursor -= self.ticks(element, element.findtext("duration"))
        if self.cursor < 0:
            if self.cursor > -self.factor:
                self.cursor = 0  # the rounding of tuplets
            else:
                raise self.error(element, "a backup leads to before the measure.")
        self.last = None

    def read_forward(self, element: etree._Element) -> None:
        self.cursor += self.ticks(element, element.findtext("duration"))
        if self.cursor > _LONGEST * self.scale:
            raise self.error(element, "the measure is out of all proportion.")
        self.measure.length = max(self.measure.length, self.cursor)
        self.last = None

    def read_attributes(self, element: etree._Element) -> None:
        for child in element:
            tag = child.tag
            staff = child.get("number", "")
            number = int(staff) if staff.isdecimal() and len(staff) < 3 else 0
            if tag == "divisions":
                self.set_divisions(child)
            elif tag == "key":
                self.measure.changes.append((self.cursor, number, "K", key_text(child)))
            elif tag == "time":
                meter = meter_text(child)
                self.meter = meter_quarters(meter)
                self.measure.changes.append((self.cursor, number, "M", meter))
            elif tag == "clef":
                if child.get("additional") != "yes":
                    self.measure.changes.append((self.cursor, number or 1, "clef", clef_text(child)))
            elif tag == "staves":
                text = child.text or ""
                self.staves = int(text) if text.isdecimal() and len(text) < 3 else 1
            elif tag == "transpose":
                try:
                    octaves = int(child.findtext("octave-change") or 0)
                    semitones = round(float(child.findtext("chromatic") or 0)) + 12 * octaves
                except (ValueError, OverflowError):
                    raise self.error(child, "the transposition is no number.") from None
                if abs(semitones) > 60:
                    raise self.error(child, f"a transposition of {semitones} semitones is out of all proportion.")
                self.measure.changes.append((self.cursor, number, "transpose", str(semitones)))

    def set_divisions(self, element: etree._Element) -> None:
        self.factor = self.scale / read_divisions(element.text)
        if self.factor.denominator == 1:
            self.factor = self.factor.numerator
        self.lengths = {}

    def read_direction(self, element: etree._Element) -> None:
        voice, staff = element.findtext("voice"), element.findtext("staff") or ""
        number = int(staff) if staff.isdecimal() and len(staff) < 3 else 1
        sound = element.find("sound")
        metronome = element.find("direction-type/metronome")
        tempo = None if metronome is None else metronome_text(metronome)
        if tempo is None:
            tempo = sound_tempo(sound)
        if tempo is not None:
            self.measure.changes.append((self.cursor, 0, "Q", tempo))
        marks = direction_marks(element, self.wedges)
        if sound is not None:
            marks += jump_marks(sound)
        if marks:
            time = self.offset_time(element)
            self.measure.directions += [(time, number, voice, mark) for mark in marks]

    def offset_time(self, element: etree._Element) -> Ticks:
        """Where a direction or chord symbol stands: at the cursor, moved by its <offset>, within the measure."""
        offset = element.find("offset")
        if offset is None:
            return self.cursor
        text = (offset.text or "").strip()
        if text.startswith("-"):
            return max(0, self.cursor - self.ticks(offset, text[1:]))
        return self.cursor + self.ticks(offset, text)

    def read_sound(self, element: etree._Element) -> None:
        tempo = sound_tempo(element)
        if tempo is not None:
            self.measure.changes.append((self.cursor, 0, "Q", tempo))
        self.measure.directions += [(self.cursor, 1, None, mark) for mark in jump_marks(element)]

    def read_harmony(self, element: etree._Element) -> None:
        symbol = chord_symbol(element)
        if symbol:
            staff = element.findtext("staff") or ""
            number = int(staff) if staff.isdecimal() and len(staff) < 3 else 1
            self.measure.directions.append((self.offset_time(element), number, None, f'"{symbol}"'))

    def read_barline(self, element: etree._Element) -> None:
        location = element.get("location", "right")
        repeat, ending = element.find("repeat"), element.find("ending")
        direction = None if repeat is None else repeat.get("direction")
        if location == "left":
            numbers = "" if ending is None or ending.get("type") != "start" else volta_numbers(ending.get("number", ""))
            self.measure.bar_left = ("|:" if direction == "forward" else "") + numbers
        elif location == "right":
            if direction == "backward":
                self.measure.bar_right = ":|"
            else:
                self.measure.bar_right = {"light-heavy": "|]", "light-light": "||", "heavy-heavy": "||", "heavy-light": "[|"}.get(
                    element.findtext("bar-style") or "", ""
                )


def volta_numbers(text: str) -> str:
    """The numbers of an ending as ABC writes them: ``"1"``, ``"1,2"``; ``""`` when there are none."""
    return ",".join(part for part in text.replace(",", " ").replace(".", " ").split() if part.isdecimal() and len(part) < 3)


def read_divisions(text: str | None) -> Fraction:
    """The value of <divisions>.

    Raises:
        MusicZooError: It is not a positive number.
    """
    try:
        value = Fraction((text or "").strip())
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if not 0 < value <= 10**6:
        raise MusicZooError(f"the divisions {text!r} are no positive number.", remedy="Export the score again from a notation program.")
    return value
