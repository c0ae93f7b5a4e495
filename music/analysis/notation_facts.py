"""Facts of notated pieces: mode, voices, range, density, rhythm type, cadence, close.

Each follows from the notes, or from the field that :data:`STATED_IN` names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from musiczoo.music.abc.keys import parse_key, tonic_fifths
from musiczoo.music.abc.tune import Note, Tune

#: Where each fact comes from.
STATED_IN = {
    "mode": "the K: field",
    "voices": "the voices with notes",
    "range": "the highest and the lowest note",
    "density": "the notes and the length of the piece",
    "rhythm": "the R: field",
    "source": "the collection",
    "cadence": "the K: field and the last notes of the lowest voice",
    "close": "the last two notes of the highest voice",
}

_MODES = {0: "major", -3: "minor", -2: "dorian", -1: "mixolydian", 1: "lydian", -4: "phrygian"}
_TONIC = re.compile(r"(?P<letter>[A-G])(?P<sign>[#b]?)")
_RHYTHMS = {
    "reel": "reel",
    "jig": "jig",
    "double jig": "jig",
    "single jig": "jig",
    "hornpipe": "hornpipe",
    "slip jig": "slip jig",
    "slipjig": "slip jig",
    "strathspey": "strathspey",
    "air": "air",
    "waltz": "waltz",
    "march": "march",
    "polka": "polka",
}
# Semitones up to which a range has its name.
_RANGES = (
    (12, "an octave or less"),
    (17, "between an octave and an octave and a half"),
    (24, "between an octave and a half and two octaves"),
)
_WIDEST = "more than two octaves"
# Notes of all voices for each quarter note, up to which a density has its name.
_DENSITIES = ((Fraction(3, 2), "low"), (Fraction(21, 10), "medium"))
_DENSEST = "high"


@dataclass(frozen=True)
class NotationFacts:
    """What is known of a piece; None where the piece does not say.

    Attributes:
        mode: ``"major"``, ``"minor"``, ``"dorian"`` ...
        voices: Voices that have a note.
        range: The distance of the highest and the lowest note, in words.
        semitones: The same in semitones.
        density: ``"low"`` (up to 1.5 notes for each quarter note), ``"medium"`` (up to 2.1) or
            ``"high"``.
        notes_per_quarter: The same as a number.
        rhythm: The type of dance or song, such as ``"reel"``.
        cadence: How the lowest voice comes to its last note: ``"from the dominant to the tonic"``,
            ``"by step to the tonic"``, ``"by leap to the tonic"`` or ``"away from the tonic"``.
        close: Whether the last interval of the highest voice is ``"ascending"``,
            ``"descending"`` or ``"level"``.
    """

    mode: str | None
    voices: int
    range: str | None
    semitones: int
    density: str | None
    notes_per_quarter: float
    rhythm: str | None
    cadence: str | None
    close: str | None


def notation_facts(tune: Tune) -> NotationFacts:
    """The facts of a tune, repeats not played.

    Args:
        tune: The tune, with its fields.

    Raises:
        MusicZooError: Music code that cannot be read, with voice and bar.
    """
    notes = tune.notes()
    pitches = [note.pitch for note in notes]
    semitones = max(pitches) - min(pitches) if pitches else 0
    length = max((note.onset + note.duration for note in notes), default=Fraction(0))
    density = len(notes) / length if length else Fraction(0)
    key = parse_key(tune.field("K") or "none")
    tonic = _TONIC.match(key.name)
    mode = tonic_class = None
    if tonic:
        of_major = tonic_fifths(tonic["letter"], tonic["sign"])
        mode = _MODES.get(key.tonal_fifths - of_major)
        tonic_class = 7 * of_major % 12
    by_voice = _by_height(notes)
    return NotationFacts(
        mode=mode,
        voices=len(by_voice),
        range=_named(semitones, _RANGES, _WIDEST) if pitches else None,
        semitones=semitones,
        density=_named(density, _DENSITIES, _DENSEST) if pitches else None,
        notes_per_quarter=float(density),
        rhythm=_RHYTHMS.get(" ".join((tune.field("R") or "").lower().split())),
        cadence=_cadence(by_voice[0], tonic_class)
        if by_voice and tonic_class is not None
        else None,
        close=_close(by_voice[-1]) if by_voice else None,
    )


def _named(value: int | Fraction, names: Sequence[tuple[int | Fraction, str]], last: str) -> str:
    return next((name for most, name in names if value <= most), last)


def _by_height(notes: Sequence[Note]) -> list[list[Note]]:
    """The notes of each voice, the lowest voice first."""
    voices: dict[str, list[Note]] = {}
    for note in notes:
        voices.setdefault(note.voice, []).append(note)
    return sorted(voices.values(), key=lambda some: sum(n.pitch for n in some) / len(some))


def _cadence(notes: Sequence[Note], tonic: int) -> str | None:
    line = _line(notes, lowest=True)
    last = line[-1]
    before = next((pitch for pitch in reversed(line) if pitch != last), None)
    if before is None:
        return None
    if last % 12 != tonic:
        return "away from the tonic"
    if before % 12 == (tonic + 7) % 12:
        return "from the dominant to the tonic"
    return "by step to the tonic" if abs(before - last) <= 2 else "by leap to the tonic"


def _close(notes: Sequence[Note]) -> str | None:
    line = _line(notes, lowest=False)
    if len(line) < 2:
        return None
    if line[-1] == line[-2]:
        return "level"
    return "ascending" if line[-1] > line[-2] else "descending"


def _line(notes: Sequence[Note], *, lowest: bool) -> list[int]:
    """One pitch an onset: of a chord the outer one."""
    found: dict[Fraction, int] = {}
    for note in notes:
        other = found.get(note.onset, note.pitch)
        found[note.onset] = min(other, note.pitch) if lowest else max(other, note.pitch)
    return [found[onset] for onset in sorted(found)]
