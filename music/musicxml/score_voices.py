"""The parts of a MusicXML score as the voices of a tune: numbers, header lines, bars."""

from __future__ import annotations

from musiczoo.music.abc.keys import parse_key
from musiczoo.music.abc.tune import Bar, Field, Voice
from musiczoo.music.errors import MusicZooError
from musiczoo.music.musicxml.bar_text import Lengths, VoiceWriter
from musiczoo.music.musicxml.events import Measure, Ticks
from musiczoo.music.musicxml.part_list import PartEntry, PartGroup, score_directive
from musiczoo.music.musicxml.voice_assignment import (
    Lane,
    attach_directions,
    deal_lanes,
    match_slurs,
)


class ScorePart:
    """A part read and cut into lanes.

    Args:
        entry: Its identifier and names.
        measures: Its measures.
    """

    def __init__(self, entry: PartEntry, measures: list[Measure]) -> None:
        self.entry = entry
        self.measures = measures
        self.lanes = deal_lanes(measures)
        attach_directions(measures, self.lanes)
        for lane in self.lanes:
            match_slurs(lane)


class _Signature:
    """Key, meter, clef and transposition in force on one staff."""

    __slots__ = ("clef", "key", "meter", "transpose")

    def __init__(self, key: str = "", meter: str = "none", clef: str = "treble") -> None:
        self.key = key
        self.meter = meter
        self.clef = clef
        self.transpose = "0"

    def change(self, name: str, value: str) -> bool:
        """Put a value in force; False when it was in force already.

        Files often state the mode in one part only, so a key of the same signature is no change.
        """
        attribute = {"K": "key", "M": "meter"}.get(name, name)
        before = getattr(self, attribute)
        if before == value or (
            name == "K" and before and parse_key(before).alters == parse_key(value).alters
        ):
            return False
        setattr(self, attribute, value)
        return True


class ScoreVoices:
    """The parts of a score as numbered ABC voices: header lines and bars.

    Args:
        parts: The parts in score order.
        groups: How they are grouped.
        lengths: Table of written lengths.
        bar_lengths: Length of each measure in ticks.
    """

    def __init__(
        self,
        parts: list[ScorePart],
        groups: list[PartGroup],
        lengths: Lengths,
        bar_lengths: list[Ticks],
    ) -> None:
        self.parts = parts
        self.groups = groups
        self.lengths = lengths
        self.bar_lengths = bar_lengths
        self.definitions: list[Field] = []
        self.staves: list[list[list[str]]] = []
        opening = _opening(parts[0], parts[0].lanes[0].staff, _Signature())
        self.key, self.meter = opening.key or "C", opening.meter

    def header(self, tempi: dict[int, list[tuple[Ticks, str]]]) -> list[Field]:
        """The header lines from ``%%score`` on; call it after :meth:`voices`."""
        tempo = [Field("Q", value) for time, value in tempi.get(0, []) if time == 0]
        score = Field("%%", score_directive(self.staves, self.groups))
        return [
            score,
            Field("L", "1/8"),
            *tempo,
            Field("M", self.meter),
            Field("K", self.key),
            *self.definitions,
        ]

    def voices(
        self, bar_lines: list[str], first_line: str, tempi: dict[int, list[tuple[Ticks, str]]]
    ) -> tuple[Voice, ...]:
        """All voices in score order."""
        voices: list[Voice] = []
        for part in self.parts:
            staves: dict[int, list[str]] = {}
            for lane in part.lanes:
                number = str(len(voices) + 1)
                further = lane.staff in staves
                staves.setdefault(lane.staff, []).append(number)
                signature = _opening(part, lane.staff, _Signature(self.key, self.meter))
                if lane.percussion:
                    signature.clef = "perc"  # unpitched notes in another clef would read as pitches
                self.define(number, part, signature, first=lane is part.lanes[0])
                marks = {} if voices else tempi
                texts = self.bars(part, lane, signature, "x" if further else "z", marks)
                bars = [Bar(text, right) for text, right in zip(texts, bar_lines, strict=True)]
                if first_line:
                    bars[0] = Bar(bars[0].text, bars[0].right, first_line)
                voices.append(Voice(number, tuple(bars)))
            self.staves.append(list(staves.values()))
        return tuple(voices)

    def define(self, number: str, part: ScorePart, signature: _Signature, *, first: bool) -> None:
        """Add the ``V:`` line of a voice; names stand with the first voice of a part."""
        words = [number, signature.clef]
        if first and part.entry.name:
            words.append(f'nm="{part.entry.name}"')
        if first and part.entry.short_name:
            words.append(f'snm="{part.entry.short_name}"')
        if signature.transpose != "0" and signature.clef != "perc":
            words.append(f"transpose={signature.transpose}")
        self.definitions.append(Field("V", " ".join(words)))

    def bars(
        self,
        part: ScorePart,
        lane: Lane,
        signature: _Signature,
        bar_rest: str,
        tempi: dict[int, list[tuple[Ticks, str]]],
    ) -> list[str]:
        """The music code of every bar of one lane; ``signature`` holds at its start and changes."""
        writer = VoiceWriter(lane, self.lengths, signature.key, bar_rest)
        texts = []
        for index, measure in enumerate(part.measures):
            changes: list[tuple[Ticks, str, str]] = []
            if index == 0:
                if signature.meter != self.meter:
                    changes.append((0, "", f"[M:{signature.meter}]"))
                if signature.key != self.key:
                    changes.append((0, signature.key, f"[K:{signature.key}]"))
            if measure.changes:
                changes += _inline_fields(measure, lane.staff, signature, opening=index == 0)
            if index in tempi:
                changes += [
                    (time, "", f"[Q:{value}]") for time, value in tempi[index] if index or time
                ]
                changes.sort(key=lambda change: change[0])
            try:
                texts.append(writer.bar(index, self.bar_lengths[index], changes))
            except MusicZooError as error:
                raise error.at(
                    where=f"part {part.entry.id}, measure {index + 1} of the file"
                ) from None
        return texts


def _opening(part: ScorePart, staff: int, signature: _Signature) -> _Signature:
    """What holds at the start of a staff."""
    for time, number, name, value in part.measures[0].changes:
        if time == 0 and name != "Q" and number in (0, staff):
            signature.change(name, value)
    return signature


def _inline_fields(
    measure: Measure, staff: int, signature: _Signature, *, opening: bool
) -> list[tuple[Ticks, str, str]]:
    """The changes of a measure that concern a staff, as inline fields.

    What is in force already is not repeated.
    """
    fields: list[tuple[Ticks, str, str]] = []
    for time, number, name, value in measure.changes:
        if (
            name == "Q"
            or number not in (0, staff)
            or (opening and time == 0)
            or not signature.change(name, value)
        ):
            continue
        if name == "M":
            fields.append((time, "", f"[M:{value}]"))
        elif name == "K":
            fields.append((time, value, f"[K:{value}]"))
        elif name == "clef":
            fields.append((time, "", f"[K:{value}]"))
        else:
            fields.append((time, signature.key, f"[K:{signature.key} transpose={value}]"))
    fields.sort(key=lambda field: field[0])
    return fields
