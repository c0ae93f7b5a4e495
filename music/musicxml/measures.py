"""Reading the measures of one MusicXML part into events at exact times."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

from lxml import etree

from musiczoo.music.errors import MusicZooError
from musiczoo.music.musicxml.decorations import direction_marks, jump_marks
from musiczoo.music.musicxml.events import Head, Measure, NoteEvent, Ticks, whole
from musiczoo.music.musicxml.note_types import NOTE_TYPES
from musiczoo.music.musicxml.notes import NoteShape, read_note
from musiczoo.music.musicxml.to_abc import (
    chord_symbol,
    clef_text,
    key_text,
    meter_quarters,
    meter_text,
    metronome_text,
    sound_tempo,
)

# Quarter notes. No note and no measure of music is longer; a file with longer ones is damaged.
_LONGEST = 4096


class PartReader:
    """Reads the measures of one part in order and keeps what holds from one to the next.

    Args:
        scale: Ticks of a quarter note.
        part: Identifier of the part, for messages.
    """

    def __init__(self, scale: int, part: str) -> None:
        self.scale = scale
        self.part = part
        self.factor: Ticks = scale  # ticks of one division
        self.meter: Ticks | None = None
        self.wedges: dict[str, str] = {}
        self.lengths: dict[str, Ticks] = {}  # by their texts, in the divisions in force
        self.number = "?"
        self.handlers: dict[str, Callable[[etree._Element], None]] = {
            "note": self._read_note,
            "attributes": self._read_attributes,
            "backup": self._read_backup,
            "forward": self._read_forward,
            "direction": self._read_direction,
            "sound": self._read_sound,
            "harmony": self._read_harmony,
            "barline": self._read_barline,
        }

    def read(self, children: Iterable[etree._Element], number: str) -> Measure:
        """Read one measure from its children."""
        self.number = number
        self.measure = measure = Measure()
        self.cursor: Ticks = 0
        self.last: NoteEvent | None = None
        self.graces: dict[str, list[NoteEvent]] = {}
        handlers = self.handlers
        for child in children:
            handler = handlers.get(child.tag)
            if handler is not None:
                handler(child)
        for graces in self.graces.values():
            measure.trailing_graces += graces
        measure.meter = self.meter
        return measure

    def _error(self, line: object, message: str) -> MusicZooError:
        return MusicZooError(
            message,
            where=f"part {self.part}, measure {self.number}, line {line}",
            remedy="Correct the file, or export it again from a notation program.",
        )

    def _ticks(self, line: object, text: str | None) -> Ticks:
        """A duration in divisions as ticks."""
        found = self.lengths.get(text or "")
        if found is None:
            try:
                value = _number(text or "")
            except (ValueError, ZeroDivisionError):
                raise self._error(line, f"the duration {text!r} is no number.") from None
            if value.denominator > 1:
                # Decimal durations are rounded thirds and fifths; this brings them back.
                value = value.limit_denominator(5040)
            found = whole(value * self.factor)
            if not 0 <= found <= _LONGEST * self.scale:
                raise self._error(line, f"the duration {text!r} is out of all proportion.")
            self.lengths[text or ""] = found
        return found

    def _read_note(self, element: etree._Element) -> None:
        try:
            shape = read_note(element)
        except MusicZooError as error:
            place = f"part {self.part}, measure {self.number}, {error.where}"
            raise MusicZooError(error.message, where=place, remedy=error.remedy) from None
        self._place(*self._timed(shape))

    def _timed(self, shape: NoteShape) -> tuple[NoteShape, Ticks, tuple[Head, ...]]:
        """A note with its length, which depends on the divisions in force, and its head."""
        duration = 0 if shape.duration is None else self._ticks(shape.line, shape.duration)
        if shape.ratio is not None and not (shape.grace or shape.chord):
            duration = self._snapped(duration, shape.kind, shape.dots, shape.ratio)
        return (
            shape,
            duration,
            () if shape.pitch is None else ((*shape.pitch, shape.tie, duration),),
        )

    def _place(self, shape: NoteShape, duration: Ticks, heads: tuple[Head, ...]) -> None:
        """Put a note at the cursor."""
        event = self.last
        if shape.chord and event is not None:
            event.heads += heads
            _hang_notations(event, shape)
            return
        self.last = event = NoteEvent(
            self.cursor, duration, shape.voice, shape.staff, heads, shape.beamed
        )
        if not shape.plain:
            event.ratio = shape.ratio
            event.flexible = shape.flexible
            event.hidden = shape.hidden
            _hang_notations(event, shape)
            if shape.grace:
                event.grace = NOTE_TYPES.get(shape.kind, Fraction(1, 2)) * (
                    2 - Fraction(1, 2 ** min(shape.dots, 4))
                )
                event.slashed = shape.slashed
                if heads:
                    self.graces.setdefault(shape.voice, []).append(event)
                return
            event.unpitched = shape.unpitched
        if self.graces and shape.voice in self.graces:
            event.graces = tuple(self.graces.pop(shape.voice))
            event.adorned = True
        measure = self.measure
        measure.events.append(event)
        self.cursor = end = self.cursor + duration
        if end > measure.length:
            measure.length = end
        if heads and end > measure.sounding:
            measure.sounding = end

    def _snapped(self, duration: Ticks, kind: str, dots: int, ratio: tuple[int, int]) -> Ticks:
        """The exact length of a tuplet note that divisions cannot express (33 + 33 + 34 of 100)."""
        written = NOTE_TYPES.get(kind)
        if written is None or dots > 4:
            return duration
        exact = whole(
            written * self.scale * (2 - Fraction(1, 2**dots)) * Fraction(ratio[1], ratio[0])
        )
        difference: Ticks = exact - duration
        return exact if -self.factor < difference < self.factor else duration

    def _read_backup(self, element: etree._Element) -> None:
        self.cursor -= self._ticks(element.sourceline, element.findtext("duration"))
        if self.cursor < 0:
            if self.cursor > -self.factor:
                self.cursor = 0  # the rounding of tuplets
            else:
                raise self._error(element.sourceline, "a backup leads to before the measure.")
        self.last = None
        self.measure.straight = False

    def _read_forward(self, element: etree._Element) -> None:
        self.cursor += self._ticks(element.sourceline, element.findtext("duration"))
        if self.cursor > _LONGEST * self.scale:
            raise self._error(element.sourceline, "the measure is out of all proportion.")
        self.measure.length = max(self.measure.length, self.cursor)
        self.last = None
        self.measure.straight = False

    def _read_attributes(self, element: etree._Element) -> None:
        for child in element:
            tag = child.tag
            staff = child.get("number", "")
            number = int(staff) if staff.isdecimal() and len(staff) < 3 else 0
            if tag == "divisions":
                self._set_divisions(child)
            elif tag == "key":
                self.measure.changes.append((self.cursor, number, "K", key_text(child)))
            elif tag == "time":
                meter = meter_text(child)
                quarters = meter_quarters(meter)
                self.meter = None if quarters is None else whole(quarters * self.scale)
                self.measure.changes.append((self.cursor, number, "M", meter))
            elif tag == "clef":
                if child.get("additional") != "yes":
                    self.measure.changes.append(
                        (self.cursor, number or 1, "clef", clef_text(child))
                    )
            elif tag == "transpose":
                try:
                    octaves = int(child.findtext("octave-change") or 0)
                    semitones = round(float(child.findtext("chromatic") or 0)) + 12 * octaves
                except (ValueError, OverflowError):
                    raise self._error(child.sourceline, "the transposition is no number.") from None
                if abs(semitones) > 60:
                    raise self._error(
                        child.sourceline,
                        f"a transposition of {semitones} semitones is out of all proportion.",
                    )
                self.measure.changes.append((self.cursor, number, "transpose", str(semitones)))

    def _set_divisions(self, element: etree._Element) -> None:
        self.factor = whole(self.scale / read_divisions(element.text))
        self.lengths = {}

    def _read_direction(self, element: etree._Element) -> None:
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
            time = self._offset_time(element)
            self.measure.directions += [(time, number, voice, mark) for mark in marks]

    def _offset_time(self, element: etree._Element) -> Ticks:
        """Where a direction or chord symbol stands: at the cursor, moved by its <offset>.

        It stays within the measure.
        """
        offset = element.find("offset")
        if offset is None:
            return self.cursor
        text = (offset.text or "").strip()
        if text.startswith("-"):
            return max(0, self.cursor - self._ticks(offset.sourceline, text[1:]))
        return self.cursor + self._ticks(offset.sourceline, text)

    def _read_sound(self, element: etree._Element) -> None:
        tempo = sound_tempo(element)
        if tempo is not None:
            self.measure.changes.append((self.cursor, 0, "Q", tempo))
        self.measure.directions += [(self.cursor, 1, None, mark) for mark in jump_marks(element)]

    def _read_harmony(self, element: etree._Element) -> None:
        symbol = chord_symbol(element)
        if symbol:
            staff = element.findtext("staff") or ""
            number = int(staff) if staff.isdecimal() and len(staff) < 3 else 1
            self.measure.directions.append(
                (self._offset_time(element), number, None, f'"{symbol}"')
            )

    def _read_barline(self, element: etree._Element) -> None:
        location = element.get("location", "right")
        repeat, ending = element.find("repeat"), element.find("ending")
        direction = None if repeat is None else repeat.get("direction")
        if location == "left":
            numbers = (
                ""
                if ending is None or ending.get("type") != "start"
                else volta_numbers(ending.get("number", ""))
            )
            self.measure.bar_left = ("|:" if direction == "forward" else "") + numbers
        elif location == "right":
            if direction == "backward":
                self.measure.bar_right = ":|"
            else:
                self.measure.bar_right = {
                    "light-heavy": "|]",
                    "light-light": "||",
                    "heavy-heavy": "||",
                    "heavy-light": "[|",
                }.get(element.findtext("bar-style") or "", "")


def _hang_notations(event: NoteEvent, shape: NoteShape) -> None:
    """Add the notations of a note to its event, which a chord shares."""
    if shape.slurs:
        event.slurs += shape.slurs
    if shape.tuplet_start:
        event.tuplet_start = True
    if shape.tuplet_stop:
        event.tuplet_stop = True
    if shape.marks:
        event.marks = (
            (*event.marks, *[mark for mark in shape.marks if mark not in event.marks])
            if event.marks
            else shape.marks
        )
        event.adorned = True


def volta_numbers(text: str) -> str:
    """The numbers of an ending as ABC writes them: ``"1"``, ``"1,2"``; ``""`` without any."""
    return ",".join(
        part
        for part in text.replace(",", " ").replace(".", " ").split()
        if part.isdecimal() and len(part) < 3
    )


def _number(text: str) -> Fraction:
    # Fractions of texts take ten times as long as those of integers.
    return Fraction(int(text)) if text.isdecimal() and len(text) < 10 else Fraction(text.strip())


def read_divisions(text: str | None) -> Fraction:
    """The value of <divisions>.

    Raises:
        MusicZooError: It is not a positive number.
    """
    try:
        value = _number(text or "")
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if not 0 < value <= 10**6:
        raise MusicZooError(
            f"the divisions {text!r} are no positive number.",
            remedy="Export the score again from a notation program.",
        )
    return value
