"""Transposition of a tune to one of the 15 major signatures, with the spelling of the target key.

The rule is that of the published key augmentation (Wang et al. 2025, NotaGen): the interval is the
difference of the tonics of the two major keys with the same signatures, 0 to 6 semitones up or 7 to
11 as 5 to 1 down; minor and modal pieces keep their mode. The text is rewritten token by token, so
lengths, ties, tuplets, decorations, annotations and white space stay as they are. Percussion voices
stay untouched, and so does the field ``K:none`` (its notes move with explicit accidentals).
"""

from __future__ import annotations

import re
from functools import lru_cache

from musiczoo.music.abc.keys import ACCIDENTAL_ALTER, parse_key
from musiczoo.music.abc.parse import accidental_scope
from musiczoo.music.abc.score import voice_definitions
from musiczoo.music.abc.tune import STEP_SEMITONES, STEPS, Bar, Field, Tune, Voice
from musiczoo.music.errors import MusicZooError

#: The 15 major keys in the order of the reference, and the sharps (flats negative) of their signatures.
KEY_FIFTHS = {
    "Cb": -7,
    "C": 0,
    "C#": 7,
    "Db": -5,
    "D": 2,
    "Eb": -3,
    "E": 4,
    "F": -1,
    "F#": 6,
    "Gb": -6,
    "G": 1,
    "Ab": -4,
    "A": 3,
    "Bb": -2,
    "B": 5,
}
KEYS: tuple[str, ...] = tuple(KEY_FIFTHS)
_KEY_NAMES = {fifths: name for name, fifths in KEY_FIFTHS.items()}

_SEMITONES = tuple(STEP_SEMITONES[step] for step in STEPS)
_ACCIDENTALS = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}
_SIGNS = {-2: "bb", -1: "b", 0: "", 1: "#", 2: "##"}

#: What transposition looks at: notes without their lengths, opaque stretches, inline fields, and the signs that group and tie notes.
_PART = re.compile(
    r"""(?P<accidental>\^\^?|__?|=)?(?P<letter>[A-Ga-g])(?P<marks>[,']*)
    | (?P<quote>"[^"\n]*"?)
    | (?P<field>\[[A-Za-z]:[^\]\n]{0,400}\])
    | (?P<opaque>![^!\s|]+!|\+[^+\s|]+\+)
    | (?P<sign>[-\[\]{}&zxZX])""",
    re.VERBOSE,
)
#: Chord symbols, told from words such as "Coda" and "Allegro" by what may follow the root.
_SYMBOL = re.compile(
    r"(?P<root>[A-G])(?P<sign>[#b]?)(?P<quality>(?:maj|min|dim|aug|sus|add|alt|omit|no|dom|[mMjo\u00b0\u00f8\u0394+\-#b\d(),"
    r" ^])*)"
    r"(?:/(?P<bass>[A-Ga-g])(?P<bass_sign>[#b]?))?$"
)
_TONIC = re.compile(r"(?P<before>\s*)(?P<letter>[A-G])(?P<sign>[#b]?)")
_EXPLICIT = re.compile(r"(\^\^?|__?|=)([A-Ga-g])(?![A-Za-z])")


class _Shift:
    """How notes move under one key signature: by how many letters, and what that does to each letter's alteration."""

    def __init__(
        self, source: int, target: int, interval: int, alters: tuple[int, ...], keeps_none: bool
    ) -> None:
        self.source, self.target, self.interval = source, target, interval
        letters = _tonic_step(target) - _tonic_step(source)
        # Of the octaves that this letter distance may have, the one nearest to the interval.
        self.steps = letters + 7 * round((interval * 7 / 12 - letters) / 7)
        self.change = tuple(
            _SEMITONES[index]
            + interval
            - _SEMITONES[(index + self.steps) % 7]
            - 12 * ((index + self.steps) // 7)
            for index in range(7)
        )
        self.alters = alters
        moved = [0] * 7
        if not keeps_none:
            for index in range(7):
                moved[(index + self.steps) % 7] = alters[index] + self.change[index]
        self.moved_alters = tuple(moved)

    def note(self, number: int, alter: int, most: int = 2) -> tuple[int, int]:
        """Diatonic number (octave * 7 + step) and alteration of a moved note.

        More than ``most`` accidentals are spelled anew.
        """
        new = number + self.steps
        changed = alter + self.change[number % 7]
        while abs(changed) > most:
            direction = 1 if changed > 0 else -1
            changed -= _semitone(new + direction) - _semitone(new)
            new += direction
        return new, changed


def _semitone(number: int) -> int:
    return 12 * (number // 7) + _SEMITONES[number % 7]


def _tonic_step(fifths: int) -> int:
    """Index in ``CDEFGAB`` of the tonic of the major key with so many sharps."""
    return (4 * fifths) % 7


@lru_cache(maxsize=4096)
def _shift(
    source: int, target: int, interval: int, alters: tuple[int, ...], keeps_none: bool
) -> _Shift:
    return _Shift(source, target, interval, alters, keeps_none)


@lru_cache(maxsize=4096)
def _diatonic(letter: str, marks: str) -> int:
    octave = (5 if letter.islower() else 4) + marks.count("'") - marks.count(",")
    return 7 * octave + STEPS.index(letter.upper())


@lru_cache(maxsize=4096)
def _note_text(number: int) -> str:
    octave, step = divmod(number, 7)
    return (
        STEPS[step].lower() + "'" * (octave - 5)
        if octave >= 5
        else STEPS[step] + "," * (4 - octave)
    )


def signature_key(tune: Tune) -> str:
    """The major key with the signature of the tune: ``"A"`` for ``K:F#min``, ``"C"`` for ``K:Ddor`` and ``K:none``."""
    return _KEY_NAMES[_wrapped(parse_key(tune.field("K") or "none").tonal_fifths)]


def _wrapped(fifths: int) -> int:
    """The enharmonic signature within seven sharps or flats."""
    while fifths > 7:
        fifths -= 12
    while fifths < -7:
        fifths += 12
    return fifths


def key_interval(source: str, target: str) -> int:
    """Semitones from one of the 15 keys to another by the reference's rule: -5 to 6."""
    interval = 7 * (KEY_FIFTHS[target] - KEY_FIFTHS[source]) % 12
    return interval - 12 if interval > 6 else interval


def transpose(tune: Tune, key: str) -> Tune:
    """The tune moved so that its signature becomes that of the major key ``key``.

    Args:
        tune: The tune; ``K:F#min`` moved to ``"C"`` becomes ``K:Amin``.
        key: One of :data:`KEYS`.

    Raises:
        MusicZooError: A key that is none of the 15.
    """
    if key not in KEY_FIFTHS:
        raise MusicZooError(
            f"{key!r} is no key to transpose to.",
            where="key",
            remedy=f"Choose one of {' '.join(KEYS)}.",
        )
    source = parse_key(tune.field("K") or "none").tonal_fifths
    change = _Change(
        KEY_FIFTHS[key] - source,
        key_interval(_KEY_NAMES[_wrapped(source)], key),
        accidental_scope(tune),
    )
    percussion = {
        name for name, definition in voice_definitions(tune).items() if definition.percussion
    }
    header = tuple(
        Field("K", change.key_text(item.value)) if item.name == "K" else item
        for item in tune.header
    )
    start = change.shift(tune.field("K") or "none")
    voices = tuple(
        voice if voice.id in percussion else change.voice(voice, start) for voice in tune.voices
    )
    return Tune(header, voices, tune.path)


class _Change:
    """One transposition: how far on the circle of fifths and by how many semitones."""

    def __init__(self, fifths: int, interval: int, scope: str) -> None:
        self.fifths = fifths
        self.interval = interval
        self.scope = scope

    def shift(self, value: str) -> _Shift:
        key = parse_key(value)
        return _shift(
            key.tonal_fifths,
            _wrapped(key.tonal_fifths + self.fifths),
            self.interval,
            key.alters,
            key.name == "none",
        )

    def key_text(self, value: str) -> str:
        """The value of a ``K:`` field moved; clefs and other properties stay."""
        key = parse_key(value)
        if key.name in ("", "none"):
            return value
        shift = self.shift(value)
        if key.name in ("HP", "Hp"):
            # The pipes' keys exist in one place only.
            return _KEY_NAMES[shift.target] + value.strip()[2:]
        match = _TONIC.match(value)
        if match is None:
            return value
        rest = value[match.end() :]
        if re.match(r"\s*exp\b", rest, re.IGNORECASE):
            # An explicit signature lists every alteration, and moving makes alterations of
            # naturals.
            listed = " ".join(
                _ACCIDENTALS[alter] + STEPS[index].lower()
                for index, alter in enumerate(shift.moved_alters)
                if alter
            )
            rest = (
                f" exp {listed}" + _EXPLICIT.sub("", rest[rest.lower().index("exp") + 3 :]).rstrip()
            )
        elif " " in key.name:
            rest = _EXPLICIT.sub(lambda found: self._explicit(found, shift), rest)
        number, alter = shift.note(
            STEPS.index(match["letter"]),
            ACCIDENTAL_ALTER[{"#": "^", "b": "_"}.get(match["sign"], "")],
        )
        return match["before"] + STEPS[number % 7] + _SIGNS[alter] + rest

    @staticmethod
    def _explicit(match: re.Match[str], shift: _Shift) -> str:
        number, alter = shift.note(STEPS.index(match[2].upper()), ACCIDENTAL_ALTER[match[1]])
        return _ACCIDENTALS[alter] + STEPS[number % 7].lower()

    def voice(self, voice: Voice, shift: _Shift) -> Voice:
        mover = _Mover(self, shift)
        return Voice(
            voice.id, tuple([Bar(mover.bar(bar.text), bar.right, bar.left) for bar in voice.bars])
        )


def _symbol(text: str, shift: _Shift) -> str:
    """A chord symbol moved; any other quoted text as it is."""
    match = _SYMBOL.match(text)
    if match is None:
        return text
    number, alter = shift.note(
        STEPS.index(match["root"]), {"#": 1, "b": -1}.get(match["sign"], 0), most=1
    )
    moved = STEPS[number % 7] + _SIGNS[alter] + match["quality"]
    if match["bass"]:
        number, alter = shift.note(
            STEPS.index(match["bass"].upper()), {"#": 1, "b": -1}.get(match["bass_sign"], 0), most=1
        )
        moved += (
            "/"
            + (STEPS[number % 7].lower() if match["bass"].islower() else STEPS[number % 7])
            + _SIGNS[alter]
        )
    return moved


class _Mover:
    """Rewrites the bars of one voice in order.

    What ties carry over the bar-line is remembered between them.
    """

    def __init__(self, change: _Change, shift: _Shift) -> None:
        self.change = change
        self.shift = shift
        #: By layer, the notes that a tie leads from (diatonic number to alteration), as they were and as they are now.
        self.tied: dict[int, tuple[dict[int, int], dict[int, int]]] = {}

    def bar(self, text: str) -> str:
        """One bar's music code moved."""
        shift, scope = self.shift, self.change.scope
        octaves, carries = scope == "octave", scope != "not"
        source: dict[int, int] = {}
        moved: dict[int, int] = {}
        out: list[str] = []
        place = layer = 0
        chord = grace = False
        event: dict[int, int] = {}
        written: dict[int, int] = {}
        pending: tuple[dict[int, int], dict[int, int]] | None = None
        last = last_new = 0
        for match in _PART.finditer(text):
            accidental, letter, marks, quote, field, _opaque, sign = match.groups()
            if letter:
                number = _diatonic(letter, marks)
                slot = number if octaves else number % 7
                if not chord and not grace:
                    pending = self.tied.pop(layer, None) if self.tied else None
                    event, written = {}, {}
                if accidental:
                    alter = ACCIDENTAL_ALTER[accidental]
                    if carries:
                        source[slot] = alter
                else:
                    held = source.get(slot)
                    if held is None and pending and not grace:
                        held = pending[0].get(number)
                    alter = shift.alters[number % 7] if held is None else held
                new, wanted = shift.note(number, alter)
                slot = new if octaves else new % 7
                without = moved.get(slot)
                if without is None and pending and not grace:
                    without = pending[1].get(new)
                if without is None:
                    without = shift.moved_alters[new % 7]
                out.append(text[place : match.start()])
                place = match.end()
                if wanted == without:
                    out.append(_note_text(new))
                else:
                    out.append(_ACCIDENTALS[wanted] + _note_text(new))
                    if carries:
                        moved[slot] = wanted
                if not grace:
                    event[number], written[new] = alter, wanted
                    last, last_new = number, new
            elif sign:
                if sign == "-":
                    if not grace and event:
                        before, after = self.tied.setdefault(layer, ({}, {}))
                        before.update({last: event[last]} if chord else event)
                        after.update({last_new: written[last_new]} if chord else written)
                elif sign == "[":
                    chord = not grace
                    if chord:
                        pending = self.tied.pop(layer, None) if self.tied else None
                        event, written = {}, {}
                elif sign == "]":
                    chord = False
                elif sign == "{":
                    grace = True
                elif sign == "}":
                    grace = False
                elif sign == "&":
                    layer += 1
                    source, moved = {}, {}
                elif not chord and not grace:
                    self.tied.pop(layer, None)
            elif quote:
                inner = quote.strip('"')
                if inner[:1] not in "^_<>@":
                    changed = _symbol(inner, shift)
                    if changed != inner:
                        out += (text[place : match.start()], f'"{changed}"')
                        place = match.end()
            elif field and field[1] == "K":
                value = field[3:-1]
                if parse_key(value).name:
                    out += (text[place : match.start()], f"[K:{self.change.key_text(value)}]")
                    place = match.end()
                    shift = self.shift = self.change.shift(value)
                    source, moved = {}, {}
        out.append(text[place:])
        return "".join(out)
