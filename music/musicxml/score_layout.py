"""Clefs, and the staves and parts that ABC's ``%%score`` groups make in MusicXML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from musiczoo.music.abc.score import score_layout, voice_definitions
from musiczoo.music.abc.tune import Tune

_CLEF = re.compile(
    r"^(?P<name>treble|bass|tenor|alto|soprano|mezzosoprano|mezzo|baritone|perc(?:ussion)?|none|[GFCP])(?P<line>[1-5])?(?P<octave>[+^_-](?:8|15))?$"
)
_CLEF_SIGNS = {
    "treble": ("G", 2),
    "bass": ("F", 4),
    "tenor": ("C", 4),
    "alto": ("C", 3),
    "soprano": ("C", 1),
    "mezzo": ("C", 2),
    "mezzosoprano": ("C", 2),
    "baritone": ("F", 3),
    "perc": ("percussion", 2),
    "percussion": ("percussion", 2),
    "none": ("none", 2),
    "G": ("G", 2),
    "F": ("F", 4),
    "C": ("C", 3),
    "P": ("percussion", 2),
}


@dataclass(frozen=True, slots=True)
class Clef:
    """A clef as MusicXML names it: sign, line from below, octaves up or down."""

    sign: str = "G"
    line: int = 2
    octave: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One part: for each staff the identifiers of its voices."""

    staves: tuple[tuple[str, ...], ...]

    @property
    def voices(self) -> tuple[str, ...]:
        """All voices from the top staff down."""
        return tuple(voice for staff in self.staves for voice in staff)


@dataclass(frozen=True, slots=True)
class Group:
    """Parts from index ``first`` to ``last`` joined by a bracket or brace."""

    first: int
    last: int
    symbol: Literal["bracket", "brace"]
    joined_barlines: bool


def parse_clef(text: str) -> Clef | None:
    """The first clef named in a ``V:`` or ``K:`` text (``clef=bass``, ``treble-8``), or None."""
    for token in re.sub(r'"[^"]*"', " ", text).split():
        explicit = token.startswith("clef=")
        found = _CLEF.match(token.removeprefix("clef="))
        # A lone letter is a clef only after clef=: "K:G" is a key.
        if not found or (len(found["name"]) == 1 and not explicit):
            continue
        sign, line = _CLEF_SIGNS[found["name"]]
        octave = found["octave"] or ""
        octaves = (2 if octave.endswith("15") else 1 if octave else 0) * (
            -1 if octave[:1] in ("-", "_") else 1
        )
        return Clef(sign, int(found["line"] or line), octaves)
    return None


def opening_clefs(tune: Tune) -> dict[str, Clef]:
    """The clef of each voice from its ``V:`` line, else from the ``K:`` line, else treble."""
    common = parse_clef(tune.field("K") or "") or Clef()
    return {
        name: parse_clef(f"clef={item.clef}") or common if item.clef else common
        for name, item in voice_definitions(tune).items()
    }


def part_layout(tune: Tune) -> tuple[list[Part], list[Group]]:
    """The parts of a tune from top to bottom, and what joins them, inner groups first.

    A brace makes its staves one part; a square bracket becomes a part group. Identifiers in
    ``%%score`` that no voice has are passed over.
    """
    layout = score_layout(tune)
    known = {voice.id for voice in tune.voices}
    staves: list[tuple[str, ...]] = []
    for staff in layout.staves:
        present = tuple(voice for voice in dict.fromkeys(staff) if voice in known)
        known -= set(present)
        if present:
            staves.append(present)
    place = {voice: index for index, staff in enumerate(staves) for voice in staff}
    part_of_staff = list(range(len(staves)))
    for group in layout.groups:
        if group.kind == "{":
            inside = sorted(
                {place[voice] for staff in group.staves for voice in staff if voice in place}
            )
            for index in inside:
                part_of_staff[index] = part_of_staff[inside[0]]
    numbers = {first: index for index, first in enumerate(dict.fromkeys(part_of_staff))}
    parts = [
        Part(
            tuple(staff for staff, part in zip(staves, part_of_staff, strict=True) if part == first)
        )
        for first in numbers
    ]
    joined = any(
        "|" in item.value
        for item in tune.header
        if item.name in ("%%", "I") and item.value.startswith(("score", "staves"))
    )
    groups = []
    for group in layout.groups:
        inside = sorted(
            {
                numbers[part_of_staff[place[voice]]]
                for staff in group.staves
                for voice in staff
                if voice in place
            }
        )
        if group.kind == "[" and inside:
            groups.append(Group(inside[0], inside[-1], "bracket", joined))
    return parts, groups
