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
from musiczoo.music.abc.tune import Field, Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.musicxml.bar_text import Lengths
from musiczoo.music.musicxml.events import Measure, Ticks
from musiczoo.music.musicxml.measures import PartReader, read_divisions
from musiczoo.music.musicxml.part_list import PartEntry, read_part_list
from musiczoo.music.musicxml.score_voices import ScorePart, ScoreVoices
from musiczoo.music.musicxml.source import parse_musicxml
from musiczoo.music.musicxml.texts import plain_text

# Ticks of a quarter note at most. Divisions of different parts that need more are not music.
_SCALE_LIMIT = 10**9


def read_musicxml(source: str | Path | bytes, *, path: str | Path | None = None) -> Tune:
    """Read a MusicXML (.musicxml, .xml) or compressed MusicXML (.mxl) file.

    Args:
        source: A file name, or the bytes of a file.
        path: Where bytes came from, for messages and :attr:`Tune.path`.

    Returns:
        The score as a tune: title and composer as ``T:`` and ``C:``, a voice for every voice of
        each staff that sounds, all voices with equally many bars of equal lengths. Pitches are the
        notated ones; transposing instruments have ``transpose=``.

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


def _read_score(root: etree._Element, path: str | None) -> Tune:
    scale = _common_scale(root)
    entries, groups = read_part_list(root)
    parts = [ScorePart(entry, measures) for entry, measures in _read_parts(root, entries, scale)]
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
    score = ScoreVoices(parts, groups, Lengths(scale), lengths)
    voices = score.voices(bar_lines, first_line, tempi)
    header = [Field("X", "1"), *_titles(root), *score.header(tempi)]
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


def _bar_lengths(parts: list[ScorePart], count: int, scale: int) -> list[Ticks]:
    """The length of each measure for all parts: that of the longest which sounds.

    So what stands together stays together. Rests mean little in real files (whole rests in short
    bars, two whole rests in one bar, a rest after the last beat): what is written after the last
    note of all parts counts only where it fills the meter, and a measure without notes has the
    length of the meter if any part does.
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


def _bar_lines(parts: list[ScorePart], count: int) -> tuple[list[str], str]:
    """The bar-line at the end of each measure, for all voices, and the one before the first."""
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


def _tempi(parts: list[ScorePart]) -> dict[int, list[tuple[Ticks, str]]]:
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
