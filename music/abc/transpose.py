"""Transposition of a tune to one of the 15 major signatures, with the spelling of the target key.

The rule is that of the published key augmentation (Wang et al. 2025, NotaGen): the interval is the
difference of the tonics of the two major keys with the same signatures, 0 to 6 semitones up or 7 to
11 as 5 to 1 down; minor and modal pieces keep their mode. The text is rewritten token by token, so
lengths, ties, tuplets, decorations, annotations and white space stay as they are. Percussion voices
stay untouched, and so does the field ``K:none`` (its notes move with explicit accidentals).
"""

from __future__ import annotations

import re

from musiczoo.music.abc.key_shift import (
    KEY_FIFTHS,
    KEY_NAMES,
    KEYS,
    Shift,
    key_interval,
    shift_of,
    signature_key,
    wrapped_fifths,
)
from musiczoo.music.abc.keys import ACCIDENTAL_ALTER, ACCIDENTAL_MARKS, parse_key
from musiczoo.music.abc.score import accidental_scope, percussion_voices
from musiczoo.music.abc.tune import STEPS, Bar, Field, Tune, Voice
from musiczoo.music.abc.voice_mover import SIGNS, VoiceMover
from musiczoo.music.errors import MusicZooError

__all__ = ["KEYS", "KEY_FIFTHS", "key_interval", "signature_key", "transpose"]

_TONIC = re.compile(r"(?P<before>\s*)(?P<letter>[A-G])(?P<sign>[#b]?)")
_EXPLICIT = re.compile(r"(\^\^?|__?|=)([A-Ga-g])(?![A-Za-z])")


def transpose(tune: Tune, key: str) -> Tune:
    """The tune moved so that its signature becomes that of the major key ``key``.

    Args:
        tune: The tune; ``K:F#min`` moved to ``"C"`` becomes ``K:Amin``.
        key: One of :data:`KEYS`.

    Raises:
        MusicZooError: A key that is not one of the 15.
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
        key_interval(KEY_NAMES[wrapped_fifths(source)], key),
        accidental_scope(tune),
    )
    percussion = percussion_voices(tune)
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

    def shift(self, value: str) -> Shift:
        return shift_of(value, self.fifths, self.interval)

    def key_text(self, value: str) -> str:
        """The value of a ``K:`` field moved; clefs and other properties stay."""
        key = parse_key(value)
        if key.name in ("", "none"):
            return value
        shift = self.shift(value)
        if key.name in ("HP", "Hp"):
            # The pipes' keys exist in one place only.
            return KEY_NAMES[shift.target] + value.strip()[2:]
        match = _TONIC.match(value)
        if match is None:
            return value
        rest = value[match.end() :]
        if re.match(r"\s*exp\b", rest, re.IGNORECASE):
            # An explicit signature lists every alteration, and moving makes alterations of
            # naturals.
            listed = " ".join(
                ACCIDENTAL_MARKS[alter] + STEPS[index].lower()
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
        return match["before"] + STEPS[number % 7] + SIGNS[alter] + rest

    @staticmethod
    def _explicit(match: re.Match[str], shift: Shift) -> str:
        number, alter = shift.note(STEPS.index(match[2].upper()), ACCIDENTAL_ALTER[match[1]])
        return ACCIDENTAL_MARKS[alter] + STEPS[number % 7].lower()

    def voice(self, voice: Voice, shift: Shift) -> Voice:
        mover = VoiceMover(shift, self.scope, self.shift, self.key_text)
        return Voice(
            voice.id, tuple([Bar(mover.bar(bar.text), bar.right, bar.left) for bar in voice.bars])
        )
