"""The music code of one voice as exact events, bar by bar (ABC standard 2.1, section 4)."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

from musiczoo.music.abc.keys import (
    ACCIDENTAL_ALTER,
    Key,
    full_bar,
    parse_key,
    parse_meter,
    parse_unit,
)
from musiczoo.music.abc.notation import STEPS, BarSpan, Event, Field, NoteHead, Pitch
from musiczoo.music.abc.tokens import (
    NOTE_PARTS,
    SHORT_DECORATIONS,
    TOKEN,
    length_factor,
    note_parts,
)
from musiczoo.music.abc.tuplets import Tuplet, read_tuplet
from musiczoo.music.errors import MusicZooError

_MOST_NESTED = 8
_ZERO = Fraction(0)
_ONE = Fraction(1)
# What may stand inside a chord: notes with their ties, decorations, fingerings.
_CHORD_PART = re.compile(
    rf'(?P<note>{NOTE_PARTS.pattern})(?P<tie>\.?-)?|"[^"]*"|![^!\s]+!|(?P<short>[.~HLMOPSTuv])'
)
# The placement characters of annotations (standard 4.19); other quoted texts are chord symbols.
_ANNOTATION = "^_<>@"

# An event is a list of its fields in order until its voice has ended: broken rhythms, ties and
# tuplet ends change an event after it was read. A head is a list as well.
_BAR, _ONSET, _DURATION, _HEADS, _REST, _GRACE, _LAYER, _NOTATED, _TUPLET, _START, _STOP = range(11)
_DECORATIONS, _ANNOTATIONS, _SYMBOL, _SLUR_STARTS, _SLUR_STOPS, _BEAM_BREAK = range(11, 17)
_Draft = list[Any]


@lru_cache(maxsize=4096)
def _pitch(step: str, alter: int, octave: int) -> Pitch:
    return Pitch(step, alter, octave)


class VoiceParser:
    """Reads the bars of one voice in order and keeps what holds from bar to bar.

    Args:
        unit: The unit note length at the start, in quarter notes.
        meter: The meter at the start.
        key: The key at the start.
        octave: Octaves added to every note (``octave=`` of the ``V:`` line).
        propagate: How far accidentals hold, as
            :func:`~musiczoo.music.abc.score.accidental_scope` gives it.
        keyless: Whether keys change no note (percussion).
    """

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
        self.tuplets: list[Tuplet] = []
        self.broken = _ONE
        self.last: _Draft | None = None
        # Pitches that a tie leads from, by layer: a tied note keeps its accidental over the
        # bar-line.
        self.tied: dict[int, dict[tuple[str, int], int]] = {}

    def set_unit(self, unit: Fraction) -> None:
        """Put a unit note length in force."""
        self.unit = unit
        self.lengths: dict[str, Fraction] = {}

    def length(self, text: str) -> Fraction:
        """A written length in quarter notes."""
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
        """Forget what waits for the next note."""
        self.decorations: list[str] = []
        self.annotations: list[str] = []
        self.symbol = ""
        self.slur_starts = 0

    def apply(self, found: Field) -> None:
        """Put an inline field in force."""
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
        """The draft of a note head: pitch, accidental, duration, tie."""
        accidental, step, octave, length = note_parts(text)
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
        """Put an event at the current time and advance it by the event's duration.

        Broken rhythm, tuplets and pending decorations are applied.
        """
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
            *(self.bar, self.time, duration, heads, rest, False, self.layer),
            *(notated, tuplet, start, stop),
            *(tuple(self.decorations), tuple(self.annotations), self.symbol),
            *(self.slur_starts, 0, False),
        ]
        if self.decorations or self.annotations or self.symbol or self.slur_starts:
            self.clear_pending()
        self.drafts.append(draft)
        self.last = draft
        self.time += duration

    def add_note(self, text: str) -> None:
        """Read a note."""
        head = self.head(text, None, self.tied.pop(self.layer, None) if self.tied else None)
        self.place(head[2], [head], "")

    def add_chord(self, text: str, outer: str) -> None:
        """Read a chord; ``outer`` is the length after its bracket."""
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
        """Read a rest or a space (``y``)."""
        if letter == "y":
            marks = (tuple(self.decorations), tuple(self.annotations), self.symbol)
            self.add_timeless([], "y", _ZERO, marks)
            self.decorations, self.annotations, self.symbol = [], [], ""
            return
        self.tied.pop(self.layer, None)
        if letter in "ZX":
            bars = length_factor(length)
            self.place(bars * full_bar(self.meter), [], letter.lower())
        else:
            self.place(self.length(length), [], letter)

    def add_broken(self, mark: str) -> None:
        """Apply a broken rhythm to the last event, and remember it for the next one."""
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
        """Open a tuplet ``(p:q:r``: p notes in the time of q, for the next r notes."""
        group = read_tuplet(p, q, r, self.meter)
        if len(self.tuplets) == _MOST_NESTED:
            raise MusicZooError(f"more than {_MOST_NESTED} tuplets are nested")
        self.tuplets.append(group)

    def add_quote(self, text: str) -> None:
        """Read a quoted text: an annotation or a chord symbol."""
        if text[:1] in _ANNOTATION and text:
            self.annotations.append(text)
        elif text:
            self.symbol = text

    def add_graces(self, text: str) -> None:
        """Read the grace notes between braces."""
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
                self.add_timeless(heads, "", heads[0][2], (names, (), ""))

    def add_timeless(
        self,
        heads: list[list[Any]],
        rest: str,
        notated: Fraction,
        marks: tuple[tuple[str, ...], tuple[str, ...], str],
    ) -> None:
        """Put a grace note or a space, which take no time, at the current time."""
        draft = [self.bar, self.time, _ZERO, heads, rest, bool(heads), self.layer, notated]
        self.drafts.append([*draft, None, False, False, *marks, 0, 0, False])

    def events(self) -> tuple[Event, ...]:
        """The events of all bars read; the drafts are used up."""
        for draft in self.drafts:
            draft[_HEADS] = tuple([NoteHead(*head) for head in draft[_HEADS]])
        return tuple([Event(*draft) for draft in self.drafts])
