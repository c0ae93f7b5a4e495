"""ABC music code to exact events (ABC standard 2.1, section 4).

Two readings of the standard matter here. Both are those of xml2abc and abc2xml, in whose dialect
the multi-voice corpora are written:

* Accidentals hold until the bar-line in their own octave only. The standard's default is every
  octave; a header line ``%%propagate-accidentals pitch`` (or ``not``) asks for that.
* A clef with ``+8`` or ``-8`` changes no pitch; ``octave=`` does, and ``transpose=`` changes the
  sounding pitch alone.
"""

from __future__ import annotations

from musiczoo.music.abc.keys import NO_KEY, parse_key
from musiczoo.music.abc.notation import Notated, ParsedVoice
from musiczoo.music.abc.rests import bar_duration
from musiczoo.music.abc.score import (
    VoiceDefinition,
    accidental_scope,
    header_meter,
    header_unit,
    voice_definitions,
)
from musiczoo.music.abc.voice_parser import VoiceParser
from musiczoo.music.errors import MusicZooError

__all__ = ["accidental_scope", "bar_duration", "header_meter", "header_unit", "parse_tune"]


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
        first_key = NO_KEY if definition.percussion or not key.name else key
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
