"""MusicXML and compressed MusicXML to tunes (https://www.w3.org/2021/06/musicxml40/).

The ABC written here is the regular dialect of the multi-voice corpora (Wang et al. 2025, NotaGen):
``L:1/8``, voices numbered in score order, a bar of each voice for every measure, accidentals only
where key and bar ask for them, no lyrics.
"""

from __future__ import annotations

from math import lcm
from pathlib import Path

from lxml import etree

from musiczoo.music.abc.bars import merged_bar_line
from musiczoo.music.abc.keys import parse_key
from musiczoo.music.abc.tune import Bar, Field, Tune, Voice
from musiczoo.music.errors import MusicZooError
from musiczoo.music.musicxml.bar_text import Lengths, VoiceWriter
from musiczoo.music.musicxml.events import Measure, Ticks
from musiczoo.music.musicxml.measures import PartReader, read_divisions
from musiczoo.music.musicxml.part_list import PartEntry, PartGroup, read_part_list, score_directive
from musiczoo.music.musicxml.source import parse_musicxml
from musiczoo.music.musicxml.to_abc import plain_text
from musiczoo.music.musicxml.voice_assignment import (
    Lane,
    attach_directions,
    deal_lanes,
    match_slurs,
)

#: Scores are cut into so many ticks a quarter at most; beyond that the divisions of different parts are no music.
_SCALE_LIMIT = 10**9


def read_musicxml(source: str | Path | bytes, *, path: str | Path | None = None) -> Tune:
    """Read a MusicXML (.musicxml, .xml) or compressed MusicXML (.mxl) file.

    Args:
        source: A file name, or the bytes of a file.
        path: Where bytes came from, for messages and :attr:`Tune.path`.

    Returns:
        The score as a tune: title and composer as ``T:`` and ``C:``, a voice for every voice of
        each staff that sounds, all voices with equally many bars of equal lengths. Pitches are the
        notated ones; transposing instruments carry ``transpose=``.

    Raises:
        MusicZooError: The file cannot be opened safely, is no MusicXML score, or contains what no
            score can; with file, part, measure and line.
    """
    path = path if isinstance(source, bytes) else source
    root = parse_musicxml(source, path=path)
    try:
        return _read_score(root, None if path is None else str(path))
    except MusicZooError as error:
        raise error.at(path=path) from None


class _Part:
    """A part read and dealt out to lanes."""

    def __init__(self, entry: PartEntry, measures: list[Measure]) -> None:
        self.entry = entry
        self.measures = measures
        self.lanes = deal_lanes(measures)
        attach_directions(measures, self.lanes)
        for lane in self.lanes:
            match_slurs(lane)


def _read_score(root: etree._Element, path: str | None) -> Tune:
    scale = _common_scale(root)
    entries, groups = read_part_list(root)
    parts = [_Part(entry, measures) for entry, measures in _read_parts(root, entries, scale)]
    count = max((len(part.measures) for part in parts), default=0)
    if not count:
        raise MusicZooError(
            "the score has no measures.", remedy="Export the score again from a notation program."
        )
    for part in parts:
        if len(part.measures) != count:
            raise MusicZooError(
                f"part {part.entry.id} has {len(part.measures)} measures where others have"
                f" {count}.",
                remedy="Fill the shorter parts with rests and export again.",
            )
    lengths = _bar_lengths(parts, count, scale)
    bar_lines, first_line = _bar_lines(parts, count)
    tempi = _tempi(parts)
    writer = _ScoreWriter(parts, groups, Lengths(scale), lengths)
    voices = writer.voices(bar_lines, first_line, tempi)
    header = [Field("X", "1"), *_titles(root), *writer.header(tempi)]
    return Tune(tuple(header), voices, path)


def _common_scale(root: etree._Element) -> int:
    """Ticks of a quarter note such that every division of the score is a whole number of them."""
    scale = 1
    for text in {element.text for element in root.iter("divisions")}:
        divisions = read_divisions(text)
        scale = lcm(scale, divisions.numerator)
    if scale > _SCALE_LIMIT:
        raise MusicZooError(
            "the divisions of the measures have no common multiple that music could need.",
            remedy="Export the score again.",
        )
    return scale


def _read_parts(
    root: etree._Element, entries: list[PartEntry], scale: int
) -> list[tuple[PartEntry, list[Measure]]]:
    known = {entry.id: entry for entry in entries}
    measures: dict[str, list[Measure]] = {}
    if root.tag == "score-partwise":
        for part in root.iterfind("part"):
            name = part.get("id", "")
            reader = PartReader(scale, name)
            measures.setdefault(name, []).extend(
                [
                    reader.read(measure, measure.get("number", "?"))
                    for measure in part.iterfind("measure")
                ]
            )
    else:
        readers: dict[str, PartReader] = {}
        for measure in root.iterfind("measure"):
            for part in measure.iterfind("part"):
                name = part.get("id", "")
                reader = readers.setdefault(name, PartReader(scale, name))
                measures.setdefault(name, []).append(reader.read(part, measure.get("number", "?")))
    for name in measures:
        if name not in known:
            raise MusicZooError(
                f"part {name!r} is not in the part list.",
                remedy="Export the score again from a notation program.",
            )
    return [(entry, measures[entry.id]) for entry in entries if measures.get(entry.id)]


def _bar_lengths(parts: list[_Part], count: int, scale: int) -> list[Ticks]:
    """The length of each measure for all parts: that of the longest which sounds, so that what stands together stays together.

    Rests say little in real files (whole rests in short bars, two whole rests in one bar, a rest
    behind the last beat): what is written after the last note of all parts counts only where it
    fills the meter, and a measure without notes has the length of the meter if any part does.
    """
    lengths: list[Ticks] = []
    for index in range(count):
        measures = [part.measures[index] for part in parts]
        meter = next((measure.meter for measure in measures if measure.meter is not None), None)
        longest = max([measure.sounding for measure in measures])
        if not longest:
            written = [measure.length for measure in measures if measure.length]
            length = (
                meter
                if meter is not None and (meter in written or not written)
                else max(written, default=4 * scale)
            )
        else:
            length = max([measure.length for measure in measures if measure.sounding])
            if length != longest and meter is not None and length > meter:
                length = max(longest, meter)
        lengths.append(length)
    return lengths


def _bar_lines(parts: list[_Part], count: int) -> tuple[list[str], str]:
    """The bar-line at the end of each measure, the same for all voices, and the one before the first."""
    right = ["|"] * count
    left = [""] * count
    for index in range(count):
        for part in parts:
            measure = part.measures[index]
            if measure.bar_right and right[index] == "|":
                right[index] = measure.bar_right
            if measure.bar_left and not left[index]:
                left[index] = measure.bar_left
    for index in range(1, count):
        if left[index]:
            right[index - 1] = merged_bar_line(right[index - 1], left[index])
    return right, merged_bar_line("|", left[0]) if left[0] else ""


def _tempi(parts: list[_Part]) -> dict[int, list[tuple[Ticks, str]]]:
    """Tempo marks by measure; files often repeat them in every part."""
    tempi: dict[int, dict[Ticks, str]] = {}
    for part in parts:
        for index, measure in enumerate(part.measures):
            for time, _, name, value in measure.changes:
                if name == "Q":
                    tempi.setdefault(index, {}).setdefault(time, value)
    return {index: sorted(marks.items()) for index, marks in tempi.items()}


def _titles(root: etree._Element) -> list[Field]:
    fields = []
    title = plain_text(root.findtext("work/work-title")) or plain_text(
        root.findtext("movement-title")
    )
    if title:
        fields.append(Field("T", title))
    composer = next(
        (
            plain_text(creator.text)
            for creator in root.iterfind("identification/creator")
            if creator.get("type", "composer") == "composer"
        ),
        "",
    )
    if composer:
        fields.append(Field("C", composer))
    return fields


class _Signature:
    """Key, meter, clef and transposition in force on one staff."""

    __slots__ = ("clef", "key", "meter", "transpose")

    def __init__(self, key: str = "", meter: str = "none", clef: str = "treble") -> None:
        self.key = key
        self.meter = meter
        self.clef = clef
        self.transpose = "0"

    def take(self, name: str, value: str) -> bool:
        """Put a value in force; False when it was already.

        Files tend to tell the mode in one part only, so a key of the same signature is no change.
        """
        attribute = {"K": "key", "M": "meter"}.get(name, name)
        before = getattr(self, attribute)
        if before == value or (
            name == "K" and before and parse_key(before).alters == parse_key(value).alters
        ):
            return False
        setattr(self, attribute, value)
        return True


class _ScoreWriter:
    """Numbers the voices, writes header and bars."""

    def __init__(
        self,
        parts: list[_Part],
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

    def define(self, number: str, part: _Part, signature: _Signature, *, first: bool) -> None:
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
        part: _Part,
        lane: Lane,
        signature: _Signature,
        bar_rest: str,
        tempi: dict[int, list[tuple[Ticks, str]]],
    ) -> list[str]:
        """The music code of every bar of one lane; ``signature`` is what holds at its start and is carried along."""
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


def _opening(part: _Part, staff: int, signature: _Signature) -> _Signature:
    """What holds at the start of a staff."""
    for time, number, name, value in part.measures[0].changes:
        if time == 0 and name != "Q" and number in (0, staff):
            signature.take(name, value)
    return signature


def _inline_fields(
    measure: Measure, staff: int, signature: _Signature, *, opening: bool
) -> list[tuple[Ticks, str, str]]:
    """The changes of a measure that concern a staff, as inline fields.

    What is in force already is not said again.
    """
    fields: list[tuple[Ticks, str, str]] = []
    for time, number, name, value in measure.changes:
        if (
            name == "Q"
            or number not in (0, staff)
            or (opening and time == 0)
            or not signature.take(name, value)
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
