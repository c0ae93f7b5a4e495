"""Tunes as MusicXML 4.0 partwise documents (https://www.w3.org/2021/06/musicxml40/)."""

from __future__ import annotations

from lxml import etree

from musiczoo.music.abc.programs import guess_program
from musiczoo.music.abc.score import VoiceDefinition, voice_definitions
from musiczoo.music.abc.tune import Tune
from musiczoo.music.musicxml.elements import Element, add
from musiczoo.music.musicxml.part_writer import PartWriter, ScoreMaterial
from musiczoo.music.musicxml.score_layout import Group, Part, opening_clefs, part_layout
from musiczoo.music.musicxml.streams import divisions, voice_streams

_DOCTYPE = '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd">'


def write_musicxml(tune: Tune) -> str:
    """Write a tune as a MusicXML document.

    Voices in round brackets of ``%%score`` share a staff, a brace is one part with several staves,
    a square bracket a part group. Repeats and voltas stay as written. Every duration is exact:
    ``<divisions>`` is the least common multiple of all denominators, and what no note type can show
    is split into tied values or put under a tuplet ratio. ABC's marks that have a MusicXML element
    become that element, other decorations ``<other-notation>``.

    Args:
        tune: The piece.

    Returns:
        The whole document, with XML declaration and document type.

    Raises:
        MusicZooError: Music code that cannot be read, with voice and bar.
    """
    voices = {voice.id: voice for voice in tune.parsed}
    streams = {identifier: voice_streams(voice) for identifier, voice in voices.items()}
    definitions = voice_definitions(tune)
    parts, groups = part_layout(tune)
    root = etree.Element("score-partwise", version="4.0")
    if title := tune.field("T"):
        add(add(root, "work"), "work-title", title)
    identification = add(root, "identification")
    if composer := tune.field("C"):
        add(identification, "creator", composer, type="composer")
    add(add(identification, "encoding"), "software", "musiczoo")
    _write_part_list(root, parts, groups, definitions)
    ticks = divisions(voices.values(), streams.values())
    bars = max((len(voice.bars) for voice in voices.values()), default=0)
    score = ScoreMaterial(tune, voices, streams, definitions, opening_clefs(tune), ticks, bars)
    for index, part in enumerate(parts):
        PartWriter(score, part, leads=index == 0).write(add(root, "part", id=f"P{index + 1}"))
    document: bytes = etree.tostring(
        root, xml_declaration=True, encoding="UTF-8", doctype=_DOCTYPE, pretty_print=True
    )
    return document.decode()


def _write_part_list(
    root: Element, parts: list[Part], groups: list[Group], definitions: dict[str, VoiceDefinition]
) -> None:
    part_list = add(root, "part-list")
    outer_first = list(enumerate(groups, 1))[::-1]
    for index, part in enumerate(parts):
        for number, group in outer_first:
            if group.first == index:
                element = add(part_list, "part-group", type="start", number=str(number))
                add(element, "group-symbol", group.symbol)
                add(element, "group-barline", "yes" if group.joined_barlines else "no")
        score_part = add(part_list, "score-part", id=f"P{index + 1}")
        named = next(
            (definitions[voice] for voice in part.voices if definitions[voice].name),
            VoiceDefinition(""),
        )
        add(score_part, "part-name", named.name)
        if named.short_name:
            add(score_part, "part-abbreviation", named.short_name)
        if named.name:
            instrument = f"P{index + 1}-I1"
            add(add(score_part, "score-instrument", id=instrument), "instrument-name", named.name)
            add(
                add(score_part, "midi-instrument", id=instrument),
                "midi-program",
                guess_program(named.name) + 1,
            )
        for number, group in reversed(outer_first):
            if group.last == index:
                add(part_list, "part-group", type="stop", number=str(number))
