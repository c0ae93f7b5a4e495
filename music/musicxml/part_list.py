"""The parts of a score and their groups: <part-list> as names and a ``%%score`` directive."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from musiczoo.music.musicxml.texts import plain_text

_BRACKETS = {"brace": "{}", "bracket": "[]", "square": "[]"}


@dataclass(frozen=True, slots=True)
class PartEntry:
    """A <score-part>: its identifier, name and abbreviation on one line each."""

    id: str
    name: str
    short_name: str


@dataclass(frozen=True, slots=True)
class PartGroup:
    """A <part-group>.

    Attributes:
        first: Index of its first part.
        last: Index of its last part.
        brackets: ``"{}"``, ``"[]"`` or ``""``.
        barline: Whether bar-lines run through all of its staves.
    """

    first: int
    last: int
    brackets: str
    barline: bool


def read_part_list(score: etree._Element) -> tuple[list[PartEntry], list[PartGroup]]:
    """The parts in score order and their groups."""
    parts: list[PartEntry] = []
    groups: list[PartGroup] = []
    starts: dict[str, tuple[int, str, bool]] = {}
    for element in score.iterfind("part-list/*"):
        number = element.get("number", "1")
        if element.tag == "score-part":
            name, short = (
                plain_text(element.findtext("part-name")),
                plain_text(element.findtext("part-abbreviation")),
            )
            parts.append(PartEntry(element.get("id", ""), name, short))
        elif element.tag == "part-group" and element.get("type") == "start":
            barline = (element.findtext("group-barline") or "").strip() == "yes"
            starts[number] = (
                len(parts),
                _BRACKETS.get((element.findtext("group-symbol") or "").strip(), ""),
                barline,
            )
        elif element.tag == "part-group" and number in starts:
            first, brackets, barline = starts.pop(number)
            if first < len(parts):
                groups.append(PartGroup(first, len(parts) - 1, brackets, barline))
    groups += [
        PartGroup(first, len(parts) - 1, brackets, barline)
        for first, brackets, barline in starts.values()
        if first < len(parts)
    ]
    return parts, groups


def score_directive(staves: list[list[list[str]]], groups: list[PartGroup]) -> str:
    """The ``%%score`` directive (without the percent signs).

    Args:
        staves: For each part, for each of its staves, the identifiers of its voices.
        groups: Groups of parts; those that overlap without nesting are left out.
    """
    nested: list[PartGroup] = []
    for group in sorted(groups, key=lambda group: group.first - group.last):
        crossing = any(
            other.first < group.first <= other.last < group.last
            or group.first < other.first <= group.last < other.last
            for other in nested
        )
        if group.last < len(staves) and not crossing:
            nested.append(group)
    tokens = ["score"]
    for index, part in enumerate(staves):
        opening = [group for group in nested if group.first == index and group.brackets]
        # A brace around one part with two staves is the brace that the part has anyway.
        alone = [
            group
            for group in opening
            if group.last == index and (group.brackets == "{}" or len(part) == 1)
        ]
        tokens += [group.brackets[0] for group in opening if group not in alone]
        inner = [" ".join(staff) if len(staff) == 1 else f"( {' '.join(staff)} )" for staff in part]
        tokens.append(inner[0] if len(inner) == 1 else f"{{ {' | '.join(inner)} }}")
        tokens += [
            group.brackets[1]
            for group in reversed(nested)
            if group.last == index and group.brackets and group not in alone
        ]
        if any(group.barline and group.first <= index < group.last for group in nested):
            tokens.append("|")
    return " ".join(tokens)
