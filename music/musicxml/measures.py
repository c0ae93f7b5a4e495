"""Reading the measures of one MusicXML part into events at exact times."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

from lxml import etree

from musiczoo.music.errors import MusicZooError
from musiczoo.music.musicxml.events import Head, Measure, NoteEvent, Ticks, whole
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

_STEPS = "CDEFGAB"
_SEMITONES = (0, 2, 4, 5, 7, 9, 11)
#: No note and no measure of music is longer than so many quarter notes; what claims to be is damaged.
_LONGEST = 4096


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
        self.meter: Ticks | None = None
        self.wedges: dict[str, str] = {}
        self.transposition = 0
        self.spellings: dict[tuple[str, str | None, str], tuple[str, int, int]] = {}
        self.lengths: dict[str, Ticks] = {}
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
        read_note, handlers = self._read_note, self.handlers
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

    def _error(self, element: etree._Element, message: str) -> MusicZooError:
        return MusicZooError(
            message,
            where=f"part {self.part}, measure {self.number}, line {element.sourceline}",
            remedy="Correct the file, or export it again from a notation program.",
        )

    def _ticks(self, element: etree._Element, text: str | None) -> Ticks:
        """A duration in divisions as ticks."""
        found = self.lengths.get(text or "")
        if found is None:
            try:
                value = Fraction((text or "").strip())
            except (ValueError, ZeroDivisionError):
                raise self._error(element, f"the duration {text!r} is no number.") from None
            if value.denominator > 1:
                # Decimal durations are rounded thirds and fifths; this brings them back.
                value = value.limit_denominator(5040)
            found = whole(value * self.factor)
            if not 0 <= found <= _LONGEST * self.scale:
                raise self._error(element, f"the duration {text!r} is out of all proportion.")
            self.lengths[text or ""] = found
        return found

    def _spell(self, element: etree._Element, step: str, alter: str | None, octave: str) -> tuple[str, int, int]:
        """Step, alteration of at most two semitones, octave; quarter tones are rounded, triple sharps respelled."""
        try:
            index, shift, register = _STEPS.index(step.strip().upper() or "?"), round(float(alter or 0)), int(octave)
        except (ValueError, OverflowError):
            raise self._error(element, f"the pitch {step!r}, alter {alter!r}, octave {octave!r} is none.") from None
        if not -1 <= register <= 10 or abs(shift) > 12:
            raise self._error(element, f"the pitch {step}, alter {alter}, octave {octave} is out of all proportion.")
        while abs(shift) > 2:
            move = 1 if shift > 0 else -1
            before = 12 * register + _SEMITONES[index]
            index, register = (index + move) % 7, register + (index + move) // 7
            shift -= 12 * register + _SEMITONES[index] - before
        return _STEPS[index], shift, register

    def _read_note(self, element: etree._Element) -> None:
        duration: Ticks | None = None
        voice, staff, kind, dots = "1", 1, None, 0
        pitch: tuple[str, int, int] | None = None
        rest = chord = grace = slashed = tie = beamed = flexible = unpitched = False
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
                    pitch = self.spellings[step, alter, octave] = self._spell(child, step, alter, octave)
            elif tag == "duration":
                duration = self.lengths.get(child.text or "")
                if duration is None:
                    duration = self._ticks(child, child.text)
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
                ratio = self._ratio(child)
            elif tag == "grace":
                grace = True
                slashed = child.get("slash") == "yes"
            elif tag == "unpitched":
                unpitched = True
                pitch = self._spell(child, child.findtext("display-step") or "B", None, child.findtext("display-octave") or "4")
        if duration is None:
            if not grace:
                raise self._error(element, "a note has no duration.")
            duration = 0
        if pitch is None and not rest:
            raise self._error(element, "a note has neither pitch nor rest.")
        if chord and self.last is not None:
            event = self.last
            if pitch is not None:
                event.heads.append((*pitch, tie, duration))
            if notations:
                self._read_notations(event, notations)
            return
        if ratio is not None and not grace:
            duration = self._snapped(duration, kind, dots, ratio)
        heads: list[Head] = [] if rest or pitch is None else [(pitch[0], pitch[1], pitch[2], tie, duration)]
        self.last = event = NoteEvent(self.cursor, duration, voice, staff, heads, beamed)
        if ratio is not None:
            event.ratio = ratio
        if notations:
            self._read_notations(event, notations)
        if grace:
            event.grace = NOTE_TYPES.get(kind or "", Fraction(1, 2)) * (2 - Fraction(1, 2 ** min(dots, 4)))
            event.slashed = slashed
            if heads:
                self.graces.setdefault(voice, []).append(event)
            return
        if self.graces and voice in self.graces:
            event.graces = tuple(self.graces.pop(voice))
            event.adorned = True
        if unpitched:
            event.unpitched = True
        elif not heads:
            event.flexible = flexible
            event.hidden = element.get("print-object") == "no"
        measure = self.measure
        measure.events.append(event)
        self.cursor += duration
        if self.cursor > measure.length:
            measure.length = self.cursor
        if heads and self.cursor > measure.sounding:
            measure.sounding = self.cursor

    def _ratio(self, element: etree._Element) -> tuple[int, int] | None:
        try:
            actual, normal = int(element.findtext("actual-notes") or ""), int(element.findtext("normal-notes") or "")
        except ValueError:
            raise self._error(element, "a tuplet does not say how many notes stand for how many.") from None
        if not (0 < actual < 1000 and 0 < normal < 1000):
            raise self._error(element, f"a tuplet of {actual} notes for {normal} is out of all proportion.")
        return (actual, normal) if actual != normal and actual > 1 else None

    def _snapped(self, duration: Ticks, kind: str | None, dots: int, ratio: tuple[int, int]) -> Ticks:
        """The exact length of a tuplet note whose divisions cannot express it (33 + 33 + 34 of 100)."""
        written = NOTE_TYPES.get(kind or "")
        if written is None or dots > 4:
            return duration
        exact = whole(written * self.scale * (2 - Fraction(1, 2**dots)) * Fraction(ratio[1], ratio[0]))
        difference: Ticks = exact - duration
        return exact if -self.factor < difference < self.factor else duration

    def _read_notations(self, event: NoteEvent, notations: list[etree._Element]) -> None:
        for element in notations:
            tag = element.tag
            if tag == "tied":
                if element.get("type") == "start" and event.heads and not event.heads[-1][3]:
                    step, alter, octave, _, length = event.heads[-1]
                    event.heads[-1] = (step, alter, octave, True, length)
            elif tag == "slur":
                event.slurs += ((element.get("type", ""), element.get("number", "1")),)
            elif tag == "tuplet":
                if element.get("type") == "start":
                    event.tuplet_start = True
                elif element.get("type") == "stop":
                    event.tuplet_stop = True
            else:
                event.marks += tuple([mark for mark in notation_marks(element) if mark not in event.marks])
                event.adorned = event.adorned or bool(event.marks)

    def _read_backup(self, element: etree._Element) -> None:
        self.cursor -= self._ticks(element, element.findtext("duration"))
        if self.cursor < 0:
            if self.cursor > -self.factor:
                self.cursor = 0  # the rounding of tuplets
            else:
                raise self._error(element, "a backup leads to before the measure.")
        self.last = None

    def _read_forward(self, element: etree._Element) -> None:
        self.cursor += self._ticks(element, element.findtext("duration"))
        if self.cursor > _LONGEST * self.scale:
            raise self._error(element, "the measure is out of all proportion.")
        self.measure.length = max(self.measure.length, self.cursor)
        self.last = None

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
                    self.measure.changes.append((self.cursor, number or 1, "clef", clef_text(child)))
            elif tag == "transpose":
                try:
                    octaves = int(child.findtext("octave-change") or 0)
                    semitones = round(float(child.findtext("chromatic") or 0)) + 12 * octaves
                except (ValueError, OverflowError):
                    raise self._error(child, "the transposition is no number.") from None
                if abs(semitones) > 60:
                    raise self._error(child, f"a transposition of {semitones} semitones is out of all proportion.")
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
        """Where a direction or chord symbol stands: at the cursor, moved by its <offset>, within the measure."""
        offset = element.find("offset")
        if offset is None:
            return self.cursor
        text = (offset.text or "").strip()
        if text.startswith("-"):
            return max(0, self.cursor - self._ticks(offset, text[1:]))
        return self.cursor + self._ticks(offset, text)

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
            self.measure.directions.append((self._offset_time(element), number, None, f'"{symbol}"'))

    def _read_barline(self, element: etree._Element) -> None:
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
