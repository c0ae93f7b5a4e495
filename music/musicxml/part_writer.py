"""One part of a MusicXML document, measure by measure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction

from musiczoo.music.abc.keys import parse_key, parse_meter
from musiczoo.music.abc.score import VoiceDefinition
from musiczoo.music.abc.tempo import parse_tempo
from musiczoo.music.abc.tune import BarSpan, Event, Field, ParsedVoice, Tune
from musiczoo.music.musicxml.attributes import (
    Attributes,
    Opening,
    meter_symbol,
    mode_of,
    write_attributes,
)
from musiczoo.music.musicxml.elements import (
    Element,
    Place,
    add,
    add_directions,
    add_note,
    add_tempo,
)
from musiczoo.music.musicxml.from_abc import parse_bar_line
from musiczoo.music.musicxml.score_layout import Clef, Part, parse_clef
from musiczoo.music.musicxml.written_notes import Stream, WrittenNote

_MAX_SLUR_NUMBER = 16  # MusicXML's number-level


@dataclass
class ScoreMaterial:
    """What all parts of a document are written from.

    Attributes:
        tune: The piece.
        voices: Its parsed voices by identifier.
        streams: For each of them the written notes by bar and stream.
        definitions: Their ``V:`` lines.
        clefs: Their clefs at the start.
        divisions: Ticks of a quarter note.
        bars: Bars of the longest voice.
        tempo_places: (bar, offset) at which a tempo mark is already written; one for all parts is
            enough.
    """

    tune: Tune
    voices: dict[str, ParsedVoice]
    streams: dict[str, list[dict[int, Stream]]]
    definitions: dict[str, VoiceDefinition]
    clefs: dict[str, Clef]
    divisions: int
    bars: int
    tempo_places: set[tuple[int, Fraction]] = field(default_factory=set)


class PartWriter:
    """Writes the measures of one part.

    Args:
        score: The material.
        part: Which voices stand on which staff.
        leads: True for the part that gets the tempo marks of the header.
    """

    def __init__(self, score: ScoreMaterial, part: Part, *, leads: bool) -> None:
        self._score, self._part, self._leads = score, part, leads
        self._lead = score.voices[part.voices[0]]
        self._staff_of = {
            voice: staff for staff, voices in enumerate(part.staves) for voice in voices
        }
        self._numbers: dict[tuple[str, int], int] = {}
        for voice in part.voices:
            for stream in sorted({number for bar in score.streams[voice] for number in bar} | {0}):
                self._numbers[voice, stream] = len(self._numbers) + 1
        self._written = Attributes(clefs=(None,) * len(part.staves))
        self._slur_numbers: dict[tuple[str, int], int] = {}
        self._sounding: dict[tuple[int, int], list[tuple[str, int]]] = {}
        self._open_volta = ""
        self._cursor = Fraction(0)
        self._measure: Element

    def write(self, root: Element) -> None:
        """Append all measures to the ``<part>`` element."""
        bars = self._lead.bars
        pickup = (
            len(bars) > 1 and bars[0].nominal is not None and bars[0].duration < bars[0].nominal
        )
        for bar in range(self._score.bars):
            self._measure = add(root, "measure", number=str(bar if pickup else bar + 1))
            if bar == 0 and pickup:
                self._measure.set("implicit", "yes")
            span = bars[bar] if bar < len(bars) else None
            if span is not None:
                self._write_left_bar_line(bar, span)
            self._cursor = Fraction(0)
            for voice in self._part.voices:
                if bar < len(self._score.voices[voice].bars):
                    self._write_voice(voice, bar)
            if span is not None:
                self._write_right_bar_line(bar, span)

    # Voices

    def _write_voice(self, voice: str, bar: int) -> None:
        parsed = self._score.voices[voice]
        span = parsed.bars[bar]
        streams = self._score.streams[voice][bar]
        self._move(Fraction(0))
        timeline: list[tuple[Fraction, int, tuple[Field, ...] | Event | WrittenNote]] = []
        later: dict[Fraction, list[Field]] = {}
        for offset, found in span.fields:
            later.setdefault(offset, []).append(found)
        self._write_fields(voice, bar, Fraction(0), later.pop(Fraction(0), []), opening=span)
        timeline.extend((offset, 0, tuple(items)) for offset, items in later.items())
        timeline.extend((event.onset - span.onset, 1, event) for event in _spacers(parsed, bar))
        timeline.extend((note.onset, 2, note) for note in streams.get(0, ()))
        # A stable sort keeps grace notes in front of the note that they adorn, for both have its
        # onset.
        for offset, _, item in sorted(timeline, key=lambda entry: entry[:2]):
            self._move(offset)
            if isinstance(item, tuple):
                self._write_fields(voice, bar, offset, item)
            elif isinstance(item, Event):
                add_directions(self._measure, item, self._place(voice, 0, bar))
            else:
                self._write_note(voice, 0, bar, item)
        for number in sorted(number for number in streams if number > 0):
            for note in streams[number]:
                self._move(note.onset)
                self._write_note(voice, number, bar, note)

    def _write_note(self, voice: str, stream: int, bar: int, note: WrittenNote) -> None:
        place = self._place(voice, stream, bar)
        if note.event is not None and note.first:
            add_directions(self._measure, note.event, place)
        slurs = []
        for slur in note.slur_stops:
            if (voice, slur) in self._slur_numbers:
                slurs.append(("stop", self._slur_numbers.pop((voice, slur))))
        for slur in note.slur_starts:
            taken = set(self._slur_numbers.values())
            free = next(
                (
                    candidate
                    for candidate in range(1, _MAX_SLUR_NUMBER + 1)
                    if candidate not in taken
                ),
                None,
            )
            if free is not None:
                self._slur_numbers[voice, slur] = free
                slurs.append(("start", free))
        add_note(self._measure, note, self._ticks, place, slurs)
        self._cursor += note.duration

    def _place(self, voice: str, stream: int, bar: int) -> Place:
        staff = self._staff_of[voice]
        key = (bar, staff)
        if key not in self._sounding:
            # Streams with notes on this staff in this bar, from the top: the stems of the first go
            # up, those of the others down.
            self._sounding = {
                key: [
                    (name, number)
                    for name in self._part.staves[staff]
                    if bar < len(self._score.streams[name])
                    for number, notes in sorted(self._score.streams[name][bar].items())
                    if any(note.heads for note in notes)
                ]
            }
        sounding = self._sounding[key]
        stem = None if len(sounding) < 2 else "up" if sounding[0] == (voice, stream) else "down"
        return Place(
            self._numbers[voice, stream], staff + 1 if len(self._part.staves) > 1 else None, stem
        )

    def _move(self, to: Fraction) -> None:
        if to != self._cursor:
            move = add(self._measure, "forward" if to > self._cursor else "backup")
            add(move, "duration", self._ticks(abs(to - self._cursor)))
            self._cursor = to

    def _ticks(self, duration: Fraction) -> int:
        return int(duration * self._score.divisions)

    # Attributes and tempo

    def _write_fields(
        self,
        voice: str,
        bar: int,
        offset: Fraction,
        fields: Iterable[Field],
        opening: BarSpan | None = None,
    ) -> None:
        """Write what changes at a place of the bar.

        At its opening, what holds there if it is not yet written.
        """
        state, leads = self._written, voice == self._lead.id
        clefs = list(state.clefs)
        first = bar == 0 and opening is not None and leads
        tempos = []
        if first:
            clefs = [self._score.clefs[voices[0]] for voices in self._part.staves]
            tempos = (
                [item.value for item in self._score.tune.header if item.name == "Q"]
                if self._leads
                else []
            )
        if opening is not None and leads:
            state = replace(state, fifths=opening.fifths, mode=mode_of(opening.key))
            if first or state.meter != opening.meter:
                symbol = meter_symbol(self._score.tune.field("M") or "") if first else ""
                state = replace(state, meter=opening.meter, meter_symbol=symbol)
        for item in fields:
            if item.name == "K":
                key = parse_key(item.value)
                if key.name and leads:
                    state = replace(state, fifths=key.fifths, mode=mode_of(key.name))
            if item.name == "M" and leads:
                state = replace(
                    state, meter=parse_meter(item.value), meter_symbol=meter_symbol(item.value)
                )
            if item.name in ("K", "V") and (clef := parse_clef(item.value)) is not None:
                clefs[self._staff_of[voice]] = clef
            if item.name == "Q":
                tempos.append(item.value)
        self._write_attributes(replace(state, clefs=tuple(clefs)), first)
        for text in tempos:
            mark = parse_tempo(text)
            if mark is not None and (bar, offset) not in self._score.tempo_places:
                self._score.tempo_places.add((bar, offset))
                add_tempo(self._measure, mark)

    def _write_attributes(self, state: Attributes, first: bool) -> None:
        old, self._written = self._written, state
        if first:
            transpose = self._score.definitions[self._lead.id].transpose
            write_attributes(
                self._measure, state, old, opening=Opening(self._score.divisions, transpose)
            )
        elif state != old:
            write_attributes(self._measure, state, old)

    # Bar-lines

    def _write_left_bar_line(self, bar: int, span: BarSpan) -> None:
        before = parse_bar_line(span.left if bar == 0 else self._lead.bars[bar - 1].right)
        if not (before.repeat_start or before.volta):
            return
        element = add(self._measure, "barline", location="left")
        if before.repeat_start:
            add(element, "bar-style", "heavy-light")
        if before.volta:
            self._open_volta = before.volta
            add(element, "ending", number=before.volta, type="start")
        if before.repeat_start:
            add(element, "repeat", direction="forward")

    def _write_right_bar_line(self, bar: int, span: BarSpan) -> None:
        after = parse_bar_line(span.right)
        last = bar + 1 == len(self._lead.bars)
        ends_volta = self._open_volta and (
            after.repeat_end
            or after.repeat_start
            or after.volta
            or after.style not in ("", "dotted")
            or last
        )
        if not (after.style or after.repeat_end or ends_volta):
            return
        element = add(self._measure, "barline", location="right")
        if after.repeat_end:
            add(element, "bar-style", "light-heavy")
        elif after.style:
            add(element, "bar-style", after.style)
        if ends_volta:
            add(
                element,
                "ending",
                number=self._open_volta,
                type="stop" if after.repeat_end else "discontinue",
            )
            self._open_volta = ""
        if after.repeat_end:
            add(element, "repeat", direction="backward")


def _spacers(voice: ParsedVoice, bar: int) -> list[Event]:
    return [event for event in voice.events if event.rest == "y" and event.bar == bar]
