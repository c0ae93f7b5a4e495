"""ABC music code to exact events (ABC standard 2.1, section 4).

Two readings of the standard matter here. Both are those of xml2abc and abc2xml, in whose dialect
the multi-voice corpora are written:

* Accidentals hold until the bar-line in their own octave only. The standard's default is every
  octave; a header line ``%%propagate-accidentals pitch`` (or ``not``) asks for that.
* A clef with ``+8`` or ``-8`` changes no pitch; ``octave=`` does, and ``transpose=`` changes the
  sounding pitch alone.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from musiczoo.music.abc.keys import Key, default_unit, parse_key, parse_meter, parse_unit
from musiczoo.music.abc.notation import Notated, ParsedVoice
from musiczoo.music.abc.score import VoiceDefinition, voice_definitions
from musiczoo.music.abc.voice_parser import VoiceParser
from musiczoo.music.errors import MusicZooError

_NO_KEY = Key("none", 0, (0,) * 7)


def header_meter(tune: Notated) -> tuple[int, int] | None:
    """The meter that holds at the start of a tune; None for ``M:none`` and without ``M:``."""
    value = tune.field("M")
    return None if value is None else parse_meter(value)


def header_unit(tune: Notated) -> Fraction:
    """The unit note length that holds at the start of a tune, in quarter notes."""
    value = tune.field("L")
    return (parse_unit(value) if value else None) or default_unit(header_meter(tune))


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


def parse_tune(tune: Notated) -> tuple[ParsedVoice, ...]:
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
        parser = VoiceParser(
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
    parser = VoiceParser(unit, meter, _NO_KEY)
    parser.read_bar(text)
    return parser.spans[0].duration
