"""ABC without the fields that state what the notes show: key, meter, tempo and rhythm."""

from __future__ import annotations

import re

from musiczoo.music.abc.key_shift import Shift
from musiczoo.music.abc.keys import parse_key, unit_of
from musiczoo.music.abc.score import accidental_scope, percussion_voices
from musiczoo.music.abc.tune import Bar, Field, Tune, Voice
from musiczoo.music.abc.voice_mover import VoiceMover
from musiczoo.music.abc.writer import interleaved_lines

_STATED = re.compile(r"\[[KMQR]:[^\]\n]*\]\s*")
_QUOTED = re.compile(r'"[^"\n]*"?')


def bare_abc(tune: Tune) -> str:
    r"""The notes of a tune as ABC whose header states nothing about them.

    The key is ``K:none`` and every altered note carries its accidental; ``L:`` stays; ``M:``,
    ``Q:``, ``R:``, titles, names of voices and quoted texts go. The notes are the same, except
    those whose length only the meter states (a ``Z`` rest, ``(5``, ``(7`` or ``(9`` in compound
    meter).

    Args:
        tune: The tune.

    Returns:
        ``L:`` and ``K:none``, then line by line the bars of all voices.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> print(bare_abc(read_abc("T:Air\nM:3/4\nL:1/8\nK:D\nF2 f2 c2|D6|]\n")))
        L:1/8
        K:none
        [V:1]^F2 ^f2 ^c2|
        [V:1]D6|]
    """
    scope, percussion = accidental_scope(tune), percussion_voices(tune)
    start = tune.field("K") or "none"
    voices = tuple(
        voice if voice.id in percussion else _bare_voice(voice, start, scope)
        for voice in tune.voices
    )
    header = (Field("L", str(unit_of(tune.header) / 4)), Field("K", "none"))
    body = interleaved_lines(Tune(header, voices))
    return "\n".join([*(line.text for line in header), *body])


def _bare_voice(voice: Voice, key: str, scope: str) -> Voice:
    mover = VoiceMover(_unmoved(key), scope, _unmoved, lambda value: "none", explicit=True)
    bars = []
    for bar in voice.bars:
        moved = mover.bar(_QUOTED.sub("", bar.text))
        bars.append(Bar(_STATED.sub("", moved).strip(), bar.right, bar.left))
    return Voice(voice.id, tuple(bars))


def _unmoved(key: str) -> Shift:
    """Notes stay where they are, and lose their signature."""
    parsed = parse_key(key)
    shift = Shift(parsed.tonal_fifths, parsed.tonal_fifths, 0, parsed.alters, keeps_none=False)
    shift.moved_alters = (0,) * 7
    return shift
