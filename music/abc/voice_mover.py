"""The music code of one voice, moved to another key bar by bar."""

from __future__ import annotations

import re
from collections.abc import Callable

from musiczoo.music.abc.key_shift import Shift, diatonic_number
from musiczoo.music.abc.keys import ACCIDENTAL_ALTER, ACCIDENTAL_MARKS, parse_key
from musiczoo.music.abc.notation import STEPS

#: How an alteration stands in the name of a key or chord.
SIGNS = {-2: "bb", -1: "b", 0: "", 1: "#", 2: "##"}

# What transposition needs of a bar: notes without their lengths, stretches that stay as they are,
# inline fields, and the signs that group and tie notes.
_PART = re.compile(
    r"""(?P<accidental>\^\^?|__?|=)?(?P<letter>[A-Ga-g])(?P<marks>[,']*)
    | (?P<quote>"[^"\n]*"?)
    | (?P<field>\[[A-Za-z]:[^\]\n]{0,400}\])
    | (?P<opaque>![^!\s|]+!|\+[^+\s|]+\+)
    | (?P<sign>[-\[\]{}&zxZX])""",
    re.VERBOSE,
)
# Chord symbols. What may follow the root distinguishes them from words ("Coda", "Allegro").
_SYMBOL = re.compile(
    r"(?P<root>[A-G])(?P<sign>[#b]?)(?P<quality>(?:maj|min|dim|aug|sus|add|alt|omit|no|dom|[mMjo\u00b0\u00f8\u0394+\-#b\d(),"
    r" ^])*)"
    r"(?:/(?P<bass>[A-Ga-g])(?P<bass_sign>[#b]?))?$"
)

# Diatonic numbers of notes with their alterations.
_Alters = dict[int, int]


def moved_symbol(text: str, shift: Shift) -> str:
    """A chord symbol moved; any other quoted text as it is."""
    match = _SYMBOL.match(text)
    if match is None:
        return text
    number, alter = shift.note(
        STEPS.index(match["root"]), {"#": 1, "b": -1}.get(match["sign"], 0), most=1
    )
    moved = STEPS[number % 7] + SIGNS[alter] + match["quality"]
    if match["bass"]:
        number, alter = shift.note(
            STEPS.index(match["bass"].upper()), {"#": 1, "b": -1}.get(match["bass_sign"], 0), most=1
        )
        moved += (
            "/"
            + (STEPS[number % 7].lower() if match["bass"].islower() else STEPS[number % 7])
            + SIGNS[alter]
        )
    return moved


class VoiceMover:
    """Rewrites the bars of one voice in order.

    Ties over a bar-line are kept between the bars.

    Args:
        shift: How notes move at the start.
        scope: How far accidentals hold (:func:`~musiczoo.music.abc.score.accidental_scope`).
        shift_of: How notes move under another ``K:`` value.
        key_text: A ``K:`` value moved.
        explicit: Write the accidental of every altered note, also where it holds already.
    """

    def __init__(
        self,
        shift: Shift,
        scope: str,
        shift_of: Callable[[str], Shift],
        key_text: Callable[[str], str],
        explicit: bool = False,
    ) -> None:
        self.shift, self.shift_of, self.key_text = shift, shift_of, key_text
        self.explicit = explicit
        self.octaves, self.carries = scope == "octave", scope != "not"
        # By layer, the notes that a tie leads from, before and after the move.
        self.tied: dict[int, tuple[_Alters, _Alters]] = {}

    def bar(self, text: str) -> str:
        """The music code of one bar moved."""
        # Accidentals in force in this bar, before and after the move.
        self.source: _Alters = {}
        self.moved: _Alters = {}
        self.layer = 0
        self.chord = self.grace = False
        self.begin_event(None)
        out: list[str] = []
        place = 0
        note = self.note
        for match in _PART.finditer(text):
            accidental, letter, marks, quote, field, _opaque, sign = match.groups()
            if letter:
                new = note(accidental, letter, marks)
            elif sign:
                self.sign(sign)
                continue
            elif quote:
                new = self.quote(quote)
            elif field and field[1] == "K":
                new = self.key_field(field)
            else:
                continue
            start, end = match.span()
            out.append(text[place:start])
            out.append(new)
            place = end
        out.append(text[place:])
        return "".join(out)

    def begin_event(self, pending: tuple[_Alters, _Alters] | None) -> None:
        """Begin a note or chord; ``pending`` is what ties lead into it."""
        self.pending = pending
        self.event: _Alters = {}
        self.written: _Alters = {}

    def note(self, accidental: str | None, letter: str, marks: str) -> str:
        """A note moved, with the accidental that it needs."""
        shift, octaves, grace = self.shift, self.octaves, self.grace
        number = diatonic_number(letter, marks)
        if not (self.chord or grace):
            self.pending = self.tied.pop(self.layer, None) if self.tied else None
            self.event, self.written = {}, {}
        pending = None if grace else self.pending
        # 1. The alteration of the note as it is written.
        slot = number if octaves else number % 7
        if accidental:
            alter = ACCIDENTAL_ALTER[accidental]
            if self.carries:
                self.source[slot] = alter
        else:
            held = self.source.get(slot) if self.source else None
            if held is None and pending:
                held = pending[0].get(number)
            alter = shift.alters[number % 7] if held is None else held
        # 2. The moved note, and the alteration that it would have without an accidental.
        found = shift.known.get((number, alter)) or shift.written(number, alter)
        new, wanted, text = found
        slot = new if octaves else new % 7
        without = self.moved.get(slot) if self.moved else None
        if without is None and pending:
            without = pending[1].get(new)
        if without is None:
            without = shift.moved_alters[new % 7]
        if not grace:
            self.event[number], self.written[new] = alter, wanted
            self.last, self.last_new = number, new
        if wanted == without and not (self.explicit and wanted):
            return text
        if self.carries:
            self.moved[slot] = wanted
        return ACCIDENTAL_MARKS[wanted] + text

    def sign(self, sign: str) -> None:
        """A tie, a bracket or brace, an overlay or a rest: it stays, and changes what holds."""
        if sign == "-":
            if not self.grace and self.event:
                before, after = self.tied.setdefault(self.layer, ({}, {}))
                before.update({self.last: self.event[self.last]} if self.chord else self.event)
                after.update(
                    {self.last_new: self.written[self.last_new]} if self.chord else self.written
                )
        elif sign == "[":
            self.chord = not self.grace
            if self.chord:
                self.begin_event(self.tied.pop(self.layer, None) if self.tied else None)
        elif sign == "]":
            self.chord = False
        elif sign in "{}":
            self.grace = sign == "{"
        elif sign == "&":
            self.layer += 1
            self.source, self.moved = {}, {}
        elif not self.chord and not self.grace:
            self.tied.pop(self.layer, None)

    def quote(self, quote: str) -> str:
        """A quoted text with its chord symbol moved; an annotation stays."""
        inner = quote.strip('"')
        if inner[:1] in "^_<>@":
            return quote
        changed = moved_symbol(inner, self.shift)
        return quote if changed == inner else f'"{changed}"'

    def key_field(self, field: str) -> str:
        """An inline ``K:`` field moved and put in force; one that names no key stays."""
        value = field[3:-1]
        if not parse_key(value).name:
            return field
        self.shift = self.shift_of(value)
        self.source, self.moved = {}, {}
        return f"[K:{self.key_text(value)}]"
