"""NotaGen's six instrumentations from the instruments that a corpus gives.

The paper (arXiv 2502.18008, section 3.3) describes them in words: Keyboard (piano and organ),
Chamber (a small group, each a part of its own), Orchestral, Art Song (one or two voices with
piano), Choral, Vocal-Orchestral. The numbers here are ours.
"""

from __future__ import annotations

from collections.abc import Iterable

_SMALL_GROUP = 9
_KEYBOARD_PROGRAMS = frozenset({*range(8), *range(16, 21)})
_VOICE_PROGRAMS = frozenset({52, 53, 54})
# Celesta to dulcimer, the nylon guitar, strings with timpani, string ensembles, brass, reeds,
# pipes.
_INSTRUMENT_PROGRAMS = frozenset(
    {*range(8, 16), 24, *range(40, 50), *range(56, 62), *range(64, 76)}
)

_KEYBOARD_CODES = frozenset(
    {"piano", "pianoforte", "fortp", "cemba", "clavi", "organ", "harmn", "porga", "keys"}
)
# fmt: off
_VOICE_CODES = frozenset({
    "vox", "cant", "canto", "soprn", "soprano", "mezzo", "alto", "calto", "icalto", "contrl",
    "contr", "tenor", "tenort", "barit", "bass", "bassus", "basspr", "quint", "quinto", "sesto",
    "sexto", "feme", "male", "nfant", "lyrsp", "drmsp", "colsp", "lyrtn", "drmtn", "heltn",
    "cantus", "altus",
})
# fmt: on


def of_ensemble(keyboards: int, voices: int, others: int) -> str | None:
    """The instrumentation of numbers of keyboards, singing voices and other instruments.

    None where none of the six fits.

    >>> of_ensemble(keyboards=1, voices=1, others=0)
    'Art Song'
    """
    if not voices:
        if not others:
            return "Keyboard" if keyboards else None
        return "Chamber" if keyboards + others <= _SMALL_GROUP else "Orchestral"
    if others:
        return "Vocal-Orchestral" if others >= 4 else None
    if voices <= 2:
        return "Art Song" if keyboards else None
    return "Choral"


def of_programs(programs: Iterable[int]) -> str | None:
    """The instrumentation of parts with these General MIDI programs (from 0).

    None with an instrument that no such piece has.
    """
    parts = list(programs)
    if not set(parts) <= _KEYBOARD_PROGRAMS | _VOICE_PROGRAMS | _INSTRUMENT_PROGRAMS:
        return None
    keyboards = sum(part in _KEYBOARD_PROGRAMS for part in parts)
    voices = sum(part in _VOICE_PROGRAMS for part in parts)
    return of_ensemble(keyboards, voices, len(parts) - keyboards - voices)


def of_humdrum(codes: Iterable[str]) -> str | None:
    """The instrumentation of spines with these Humdrum instrument codes.

    Such as ``"piano"`` of ``*Ipiano``. Staves of a keyboard count once.
    """
    spines = list(codes)
    keyboards = len({code for code in spines if code in _KEYBOARD_CODES})
    voices = sum(code in _VOICE_CODES for code in spines)
    return of_ensemble(
        keyboards, voices, sum(code not in _KEYBOARD_CODES | _VOICE_CODES for code in spines)
    )
