"""What the header states: meter, unit length, scope of accidentals, voices, staves and groups."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from musiczoo.music.abc.keys import meter_of, unit_of
from musiczoo.music.abc.notation import Notated

_PROPERTY = re.compile(
    r'(?P<name>[A-Za-z]+)\s*=\s*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^\s"]+))|(?P<word>[^\s"]+)'
)
_CLEF = re.compile(
    r"(?:treble|bass|alto|tenor|soprano|mezzosoprano|mezzo|baritone|perc|none|[CFGP])\d?(?:[+\-^_](?:8|15))?$"
)
_SCORE_TOKEN = re.compile(r"[(){}\[\]|]|[^\s(){}\[\]|]+")


def header_meter(tune: Notated) -> tuple[int, int] | None:
    """The meter that holds at the start of a tune; None for ``M:none`` and without ``M:``."""
    return meter_of(tune.header)


def header_unit(tune: Notated) -> Fraction:
    """The unit note length that holds at the start of a tune, in quarter notes."""
    return unit_of(tune.header)


def accidental_scope(tune: Notated) -> str:
    """How far accidentals hold within the bar.

    Returns:
        ``"octave"`` (the default here), ``"pitch"`` (every octave) or ``"not"``.
    """
    for item in tune.header:
        if item.name in ("%%", "I"):
            words = item.value.split()
            if (
                len(words) == 2
                and words[0] == "propagate-accidentals"
                and words[1] in ("not", "octave", "pitch")
            ):
                return words[1]
    return "octave"


@dataclass(frozen=True, slots=True)
class VoiceDefinition:
    """One ``V:`` header line understood.

    Attributes:
        id: Identifier of the voice.
        clef: ``"treble"``, ``"bass"``, ``"treble-8"``, ``"perc"`` ..., ``""`` without one.
        name: ``nm=`` or ``name=``, ``""`` without one.
        short_name: ``snm=``, ``subname=`` or ``sname=``, ``""`` without one.
        transpose: ``transpose=`` in semitones: from the notated to the sounding pitch.
        octave: ``octave=``: octaves added to every notated pitch.
    """

    id: str
    clef: str = ""
    name: str = ""
    short_name: str = ""
    transpose: int = 0
    octave: int = 0

    @property
    def percussion(self) -> bool:
        """Whether the voice stands in the percussion clef."""
        return self.clef.startswith("perc")


def parse_voice_field(value: str) -> VoiceDefinition:
    """Read the value of a ``V:`` field, such as ``1 bass nm="Cello" snm="Vc."``."""
    identifier, _, rest = value.strip().partition(" ")
    found: dict[str, str] = {}
    for match in _PROPERTY.finditer(rest):
        if match["name"]:
            found.setdefault(
                match["name"].lower(),
                match["quoted"] if match["quoted"] is not None else match["plain"],
            )
        elif _CLEF.match(match["word"]):
            found.setdefault("clef", match["word"])
    return VoiceDefinition(
        id=identifier,
        clef=found.get("clef", ""),
        name=found.get("nm", found.get("name", "")),
        short_name=found.get("snm", found.get("subname", found.get("sname", ""))),
        transpose=_integer(found.get("transpose")),
        octave=_integer(found.get("octave")),
    )


def _integer(text: str | None) -> int:
    return int(text) if text and re.fullmatch(r"[+-]?\d{1,3}", text) else 0


def voice_definitions(tune: Notated) -> dict[str, VoiceDefinition]:
    """The ``V:`` definitions of the header by identifier, in the header's order.

    Voices without one are added with plain values.
    """
    definitions: dict[str, VoiceDefinition] = {}
    for item in tune.header:
        if item.name == "V":
            definition = parse_voice_field(item.value)
            definitions.setdefault(definition.id, definition)
    for voice in tune.voices:
        definitions.setdefault(voice.id, VoiceDefinition(voice.id))
    return definitions


def percussion_voices(tune: Notated) -> frozenset[str]:
    """The identifiers of the voices in the percussion clef."""
    definitions = voice_definitions(tune)
    return frozenset(name for name, definition in definitions.items() if definition.percussion)


@dataclass(frozen=True, slots=True)
class StaffGroup:
    """A bracketed part of a ``%%score`` directive.

    Attributes:
        kind: ``"["`` bracket (a family), ``"{"`` brace (one instrument on several staves).
        staves: Identifiers of the voices on each staff of the group, in order.
    """

    kind: str
    staves: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class ScoreLayout:
    """A ``%%score`` directive understood.

    Attributes:
        staves: Identifiers of the voices on each staff, top to bottom.
        groups: Braces and brackets, inner ones first.
    """

    staves: tuple[tuple[str, ...], ...]
    groups: tuple[StaffGroup, ...] = ()


def parse_score(value: str) -> ScoreLayout:
    """Read a ``%%score`` or ``%%staves`` directive without its name: ``{ ( 1 2 ) | 3 } [ 4 5 ]``.

    Round brackets put voices on one staff; stray closing brackets are passed over and open ones are
    closed at the end.
    """
    staves: list[list[str]] = []
    groups: list[StaffGroup] = []
    open_groups: list[tuple[str, int]] = []
    shared = False
    for token in _SCORE_TOKEN.findall(value):
        if token == "(":
            staves.append([])
            shared = True
        elif token == ")":
            shared = False
        elif token in "{[":
            open_groups.append((token, len(staves)))
        elif token in "}]":
            if open_groups:
                kind, first = open_groups.pop()
                groups.append(StaffGroup(kind, _frozen(staves[first:])))
        elif token == "|":
            continue
        elif shared:
            staves[-1].append(token)
        else:
            staves.append([token])
    while open_groups:
        kind, first = open_groups.pop()
        groups.append(StaffGroup(kind, _frozen(staves[first:])))
    return ScoreLayout(_frozen(staves), tuple(group for group in groups if group.staves))


def _frozen(staves: list[list[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(staff) for staff in staves if staff)


def score_layout(tune: Notated) -> ScoreLayout:
    """How the voices of a tune stand on staves; without a directive every voice has its own staff.

    Voices that the directive does not name follow at the end, a staff each.
    """
    layout = ScoreLayout(())
    for item in tune.header:
        name, _, value = item.value.partition(" ")
        if item.name in ("%%", "I") and name in ("score", "staves"):
            layout = parse_score(value)
            break
    named = {voice for staff in layout.staves for voice in staff}
    others = tuple((voice,) for voice in voice_definitions(tune) if voice not in named)
    return ScoreLayout(layout.staves + others, layout.groups)


def staff_count(tune: Notated) -> int:
    """Number of staves of a tune."""
    return len(score_layout(tune).staves)
