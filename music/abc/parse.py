"""ABC music code to exact events (ABC standard 2.1, section 4).

Two readings of the standard that matter, both those of xml2abc and abc2xml, in whose dialect the
multi-voice corpora are written:

* Accidentals hold until the bar-line in their own octave only. The standard's default is every octave; a header line
  ``%%propagate-accidentals pitch`` (or ``not``) asks for that.
* A clef with ``+8`` or ``-8`` changes no pitch; ``octave=`` does, and ``transpose=`` changes the sounding pitch alone.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

from musiczoo.music.abc.keys import (
    ACCIDENTAL_ALTER,
    Key,
    default_unit,
    is_compound,
    parse_key,
    parse_meter,
    parse_unit,
)
from musiczoo.music.abc.score import VoiceDefinition, voice_definitions
from musiczoo.music.abc.tokens import NOTE_PARTS, SHORT_DECORATIONS, TOKEN, length_factor
from musiczoo.music.abc.tune import STEPS, BarSpan, Event, Field, NoteHead, ParsedVoice, Pitch, Tune
from musiczoo.music.errors import MusicZooError

_MOST_NESTED = 8
_ZERO = Fraction(0)
_ONE = Fraction(1)
_NO_KEY = Key("none", 0, (0,) * 7)
#: What may stand inside a chord: notes with their ties, decorations, fingerings.
_CHORD_PART = re.compile(
    rf'(?P<note>{NOTE_PARTS.pattern})(?P<tie>\.?-)?|"[^"]*"|![^!\s]+!|(?P<short>[.~HLMOPSTuv])'
)
#: The placement characters of annotations (standard 4.19); other quoted texts are chord symbols.
_ANNOTATION = "^_<>@"

# Drafts of events: broken rhythms, ties and tuplet ends change an event after it was read.
_BAR, _ONSET, _DURATION, _HEADS, _REST, _GRACE, _LAYER, _NOTATED, _TUPLET, _START, _STOP = range(11)
_DECORATIONS, _ANNOTATIONS, _SYMBOL, _SLUR_STARTS, _SLUR_STOPS, _BEAM_BREAK = range(11, 17)
_Draft = list[Any]


@lru_cache(maxsize=65536)
def _note_parts(text: str) -> tuple[str, str, int, str]:
    """Accidental, step, octave and written length of a note token."""
    match = NOTE_PARTS.match(text)
    assert match is not None
    accidental, letter, marks, length = match.groups()
    octave = (5 if letter.islower() else 4) + marks.count("'") - marks.count(",")
    return accidental or "", letter.upper(), octave, length


@lru_cache(maxsize=4096)
def _pitch(step: str, alter: int, octave: int) -> Pitch:
    return Pitch(step, alter, octave)


class _Tuplet:
    __slots__ = ("actual", "fresh", "left", "normal")

    def __init__(self, actual: int, normal: int, left: int) -> None:
        self.actual, self.normal, self.left, self.fresh = actual, normal, left, True


class _VoiceParser:
    """Reads the bars of one voice in order and keeps what holds on from bar to bar."""

    def __init__(
        self,
        unit: Fraction,
        meter: tuple[int, int] | None,
        key: Key,
        octave: int = 0,
        propagate: str = "octave",
        keyless: bool = False,
    ) -> None:
        self.meter = meter
        self.key = key
        self.octave = octave + (key.octave or 0)
        self.base_octave = octave
        self.propagate = propagate
        self.keyless = keyless
        self.drafts: list[_Draft] = []
        self.spans: list[BarSpan] = []
        self.time = _ZERO
        self.set_unit(unit)
        self.tuplets: list[_Tuplet] = []
        self.broken = _ONE
        self.last: _Draft | None = None
        # Pitches that a tie leads from, by layer: a tied note keeps its accidental over the
        # bar-line.
        self.tied: dict[int, dict[tuple[str, int], int]] = {}

    def set_unit(self, unit: Fraction) -> None:
        self.unit = unit
        self.lengths: dict[str, Fraction] = {}

    def length(self, text: str) -> Fraction:
        found = self.lengths.get(text)
        if found is None:
            found = self.lengths[text] = length_factor(text) * self.unit
        return found

    def read_bar(self, text: str, left: str = "", right: str = "|") -> None:
        """Read one bar: append its events to ``drafts`` and its span to ``spans``."""
        self.bar = len(self.spans)
        self.layer = 0
        self.start = end = self.time
        meter, key = self.meter, self.key
        fields: list[tuple[Fraction, Field]] = []
        self.accidentals: dict[Any, int] = {}
        self.clear_pending()
        for match in TOKEN.finditer(text):
            kind = match.lastgroup
            if kind == "note":
                self.add_note(match.group())
            elif kind == "space":
                if self.last is not None and self.last[_BAR] == self.bar:
                    self.last[_BEAM_BREAK] = True
            elif kind == "chord":
                self.add_chord(match.group(), match["chord_length"])
            elif kind == "rest":
                self.add_rest(match.group()[0], match["rest_length"])
            elif kind == "tie":
                if self.last is not None and self.last[_HEADS]:
                    for head in self.last[_HEADS]:
                        head[3] = True
                        self.tied.setdefault(self.last[_LAYER], {})[
                            (head[0].step, head[0].octave)
                        ] = head[0].alter
            elif kind == "broken":
                self.add_broken(match.group())
            elif kind == "tuplet":
                self.add_tuplet(match["tuplet_p"], match["tuplet_q"], match["tuplet_r"])
            elif kind == "slur_start":
                self.slur_starts += 1
            elif kind == "slur_stop":
                if self.last is not None:
                    self.last[_SLUR_STOPS] += 1
            elif kind == "decoration":
                self.decorations.append(match.group()[1:-1])
            elif kind == "short":
                self.decorations.append(SHORT_DECORATIONS[match.group()])
            elif kind == "quote":
                self.add_quote(match.group().strip('"'))
            elif kind == "grace":
                self.add_graces(match.group()[1:-1])
            elif kind == "field":
                found = Field(match.group()[1], match.group()[3:-1].strip())
                fields.append((self.time - self.start, found))
                self.apply(found)
            elif kind == "overlay":
                end = max(end, self.time)
                self.time = self.start
                self.layer += 1
                self.accidentals = {}
                self.tuplets, self.broken = [], _ONE
        self.time = max(end, self.time)
        duration = self.time - self.start
        self.spans.append(
            BarSpan(self.start, duration, meter, key.name, key.fifths, tuple(fields), left, right)
        )

    def clear_pending(self) -> None:
        self.decorations: list[str] = []
        self.annotations: list[str] = []
        self.symbol = ""
        self.slur_starts = 0

    def apply(self, found: Field) -> None:
        if found.name == "L":
            self.set_unit(parse_unit(found.value) or self.unit)
        elif found.name == "M":
            self.meter = parse_meter(found.value)
        elif found.name == "K":
            key = parse_key(found.value)
            if key.octave is not None:
                self.octave = self.base_octave + key.octave
            if key.name and not self.keyless:
                self.key = key
                self.accidentals = {}

    def head(
        self, text: str, duration: Fraction | None, tied: dict[tuple[str, int], int] | None
    ) -> list[Any]:
        """A draft of a note head: pitch, accidental, duration, tie."""
        accidental, step, octave, length = _note_parts(text)
        octave += self.octave
        name = step if self.propagate == "pitch" else (step, octave)
        if accidental:
            alter = ACCIDENTAL_ALTER[accidental]
            if self.propagate != "not":
                self.accidentals[name] = alter
        else:
            found = self.accidentals.get(name)
            if found is None and tied:
                found = tied.get((step, octave))
            alter = self.key.alters[STEPS.index(step)] if found is None else found
        return [
            _pitch(step, alter, octave),
            accidental,
            self.length(length) if duration is None else duration,
            False,
        ]

    def place(self, notated: Fraction, heads: list[list[Any]], rest: str) -> None:
        """Put an event that takes time at the current time, with tuplet, broken rhythm and pending marks applied."""
        if self.broken is not _ONE:
            notated *= self.broken
            for head in heads:
                head[2] *= self.broken
            self.broken = _ONE
        duration = notated
        tuplet, start, stop = None, False, False
        if self.tuplets:
            inner = self.tuplets[-1]
            tuplet, start, stop = (inner.actual, inner.normal), inner.fresh, inner.left == 1
            scale = _ONE
            for group in self.tuplets:
                scale *= Fraction(group.normal, group.actual)
                group.left -= 1
                group.fresh = False
            self.tuplets = [group for group in self.tuplets if group.left > 0]
            duration = notated * scale
            for head in heads:
                head[2] *= scale
        draft = [
            self.bar,
            self.time,
            duration,
            heads,
            rest,
            False,
            self.layer,
            notated,
            tuplet,
            start,
            stop,
        ]
        draft += [
            tuple(self.decorations),
            tuple(self.annotations),
            self.symbol,
            self.slur_starts,
            0,
            False,
        ]
        if self.decorations or self.annotations or self.symbol or self.slur_starts:
            self.clear_pending()
        self.drafts.append(draft)
        self.last = draft
        self.time += duration

    def add_note(self, text: str) -> None:
        head = self.head(text, None, self.tied.pop(self.layer, None) if self.tied else None)
        self.place(head[2], [head], "")

    def add_chord(self, text: str, outer: str) -> None:
        tied = self.tied.pop(self.layer, None) if self.tied else None
        factor = length_factor(outer)
        heads: list[list[Any]] = []
        leading: dict[tuple[str, int], int] = {}
        for match in _CHORD_PART.finditer(text, 1, text.rindex("]")):
            if match["note"]:
                head = self.head(match["note"], None, tied)
                head[2] *= factor
                if match["tie"]:
                    head[3] = True
                    leading[(head[0].step, head[0].octave)] = head[0].alter
                heads.append(head)
            elif match["short"]:
                self.decorations.append(SHORT_DECORATIONS[match["short"]])
            elif match.group().startswith("!"):
                self.decorations.append(match.group()[1:-1])
        if not heads:
            return
        self.place(heads[0][2], heads, "")
        if leading:
            self.tied[self.layer] = leading

    def add_rest(self, letter: str, length: str) -> None:
        if letter == "y":
            draft = [
                self.bar,
                self.time,
                _ZERO,
                [],
                "y",
                False,
                self.layer,
                _ZERO,
                None,
                False,
                False,
            ]
            draft += [tuple(self.decorations), tuple(self.annotations), self.symbol, 0, 0, False]
            self.decorations, self.annotations, self.symbol = [], [], ""
            self.drafts.append(draft)
            return
        self.tied.pop(self.layer, None)
        if letter in "ZX":
            bars = length_factor(length)
            self.place(bars * _full_bar(self.meter), [], letter.lower())
        else:
            self.place(self.length(length), [], letter)

    def add_broken(self, mark: str) -> None:
        last = self.last
        if last is None or last[_BAR] != self.bar or last[_LAYER] != self.layer or len(mark) > 6:
            return
        small = Fraction(1, 2 ** len(mark))
        factor = 2 - small if mark[0] == ">" else small
        self.broken = 2 - factor
        self.time += last[_DURATION] * (factor - 1)
        last[_DURATION] *= factor
        last[_NOTATED] *= factor
        for head in last[_HEADS]:
            head[2] *= factor

    def add_tuplet(self, p: str, q: str | None, r: str | None) -> None:
        if max(len(p), len(q or ""), len(r or "")) > 4:
            raise MusicZooError(f"the tuplet ({p}:{q or ''}:{r or ''} is out of all proportion")
        actual = int(p)
        if q:
            normal = int(q)
        elif actual in (3, 6):
            normal = 2
        elif actual in (2, 4, 8):
            normal = 3
        else:
            normal = 3 if is_compound(self.meter) else 2
        count = int(r) if r else actual
        if normal == 0 or count == 0:
            raise MusicZooError(f"the tuplet ({p}:{q or ''}:{r or ''} contains a zero")
        if len(self.tuplets) == _MOST_NESTED:
            raise MusicZooError(f"more than {_MOST_NESTED} tuplets are nested")
        self.tuplets.append(_Tuplet(actual, normal, count))

    def add_quote(self, text: str) -> None:
        if text[:1] in _ANNOTATION and text:
            self.annotations.append(text)
        elif text:
            self.symbol = text

    def add_graces(self, text: str) -> None:
        slashed = text.startswith("/")
        for match in TOKEN.finditer(text):
            if match.lastgroup == "note":
                heads = [self.head(match.group(), None, None)]
            elif match.lastgroup == "chord":
                inner = match.group()
                heads = [
                    self.head(part["note"], None, None)
                    for part in _CHORD_PART.finditer(inner, 1, inner.rindex("]"))
                    if part["note"]
                ]
            else:
                continue
            if heads:
                names = ("acciaccatura",) if slashed else ()
                draft = [
                    self.bar,
                    self.time,
                    _ZERO,
                    heads,
                    "",
                    True,
                    self.layer,
                    heads[0][2],
                    None,
                    False,
                    False,
                ]
                self.drafts.append([*draft, names, (), "", 0, 0, False])

    def events(self) -> tuple[Event, ...]:
        for draft in self.drafts:
            draft[_HEADS] = tuple([NoteHead(*head) for head in draft[_HEADS]])
        return tuple([Event(*draft) for draft in self.drafts])


def _full_bar(meter: tuple[int, int] | None) -> Fraction:
    # Without a meter a bar rest has no length of its own; four quarters is what abcm2ps and
    # abc2midi take.
    return Fraction(4) if meter is None else Fraction(4 * meter[0], meter[1])


def header_meter(tune: Tune) -> tuple[int, int] | None:
    """The meter that holds at the start of a tune; None for ``M:none`` and without ``M:``."""
    value = tune.field("M")
    return None if value is None else parse_meter(value)


def header_unit(tune: Tune) -> Fraction:
    """The unit note length that holds at the start of a tune, in quarter notes."""
    value = tune.field("L")
    return (parse_unit(value) if value else None) or default_unit(header_meter(tune))


def accidental_scope(tune: Tune) -> str:
    """How far accidentals hold within the bar: ``"octave"`` (the default here), ``"pitch"`` (every octave) or ``"not"``."""
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


def parse_tune(tune: Tune) -> tuple[ParsedVoice, ...]:
    """Read every voice of a tune into exact events; times are quarter notes.

    What the tokenizer does not know is skipped, as the standard asks of readers.

    Raises:
        MusicZooError: A length or tuplet that divides by zero or is out of all proportion, with
            voice and bar.
    """
    definitions = voice_definitions(tune)
    meter, unit, key, propagate = (
        header_meter(tune),
        header_unit(tune),
        parse_key(tune.field("K") or "none"),
        accidental_scope(tune),
    )
    voices = []
    for voice in tune.voices:
        definition = definitions.get(voice.id, VoiceDefinition(voice.id))
        # Percussion has no key: signatures neither alter its notes nor change with transposition.
        first_key = _NO_KEY if definition.percussion or not key.name else key
        parser = _VoiceParser(
            unit, meter, first_key, definition.octave, propagate, keyless=definition.percussion
        )
        for index, bar in enumerate(voice.bars):
            try:
                parser.read_bar(bar.text, bar.left, bar.right)
            except MusicZooError as error:
                raise error.at(path=tune.path, where=f"voice {voice.id}, bar {index + 1}") from None
        voices.append(ParsedVoice(voice.id, parser.events(), tuple(parser.spans)))
    return tuple(voices)


@lru_cache(maxsize=65536)
def bar_duration(text: str, unit: Fraction, meter: tuple[int, int] | None) -> Fraction:
    """Exact length in quarter notes of what one bar's music code contains (its longest layer).

    Args:
        text: The bar's ABC music code without bar-lines.
        unit: The unit note length (``L:``) in quarter notes.
        meter: The meter in force, for bar rests and the tuplet rules.

    Raises:
        MusicZooError: A length or tuplet that divides by zero or is out of all proportion.
    """
    parser = _VoiceParser(unit, meter, _NO_KEY)
    parser.read_bar(text)
    return parser.spans[0].duration
