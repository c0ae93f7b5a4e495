"""The key of a set of notes, and the spelling of pitches in a key."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from musiczoo.music.abc.keys import SHARP_ORDER, tonic
from musiczoo.music.abc.notation import STEP_SEMITONES, Pitch

# Probe-tone ratings of Krumhansl and Kessler (1982), as used in Krumhansl, Cognitive Foundations of
# Musical Pitch (1990), chapter 4.
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


def key_text(fifths: int, minor: bool) -> str:
    """The ABC name of a key by its signature: ``key_text(-3, True)`` is ``"Cmin"``.

    Signatures beyond seven are brought within it.
    """
    fifths = (fifths + 5) % 12 - 5 if abs(fifths) > 7 else fifths
    return f"{tonic(fifths + 3)}min" if minor else tonic(fifths)


def estimate_key(notes: Iterable[tuple[int, float]]) -> tuple[int, bool]:
    """The key by the Krumhansl-Schmuckler method.

    It is the key whose profile correlates best with the total length of each pitch class.

    Args:
        notes: (MIDI pitch, length) of each note.

    Returns:
        Sharps of the signature (flats negative, -5 to 6), and whether the key is minor. Without
        notes C major.
    """
    histogram = np.zeros(12)
    for pitch, length in notes:
        histogram[pitch % 12] += length
    if not histogram.std():
        return 0, False
    best = max(
        (float(np.corrcoef(np.roll(profile, tonic), histogram)[0, 1]), tonic, minor)
        for minor, profile in ((False, _MAJOR), (True, _MINOR))
        for tonic in range(12)
    )
    _, tonic, minor = best
    fifths = 7 * (tonic + (3 if minor else 0)) % 12
    return (fifths - 12 if fifths > 6 else fifths), minor


def spell(midi: int, fifths: int) -> Pitch:
    """Spell a pitch in the key of that signature.

    The twelve names are those on the line of fifths from three below the major tonic to eight above
    it, which holds the scale, the flat third, sixth and seventh of major, and the raised sixth and
    seventh of the relative minor (in C: Eb Bb F C G D A E B F# C# G#).

    >>> spell(61, 0).step, spell(61, 0).alter, spell(61, -4).step
    ('C', 1, 'D')
    """
    place = fifths - 3 + (7 * midi - (fifths - 3)) % 12
    step = SHARP_ORDER[(place + 1) % 7]
    alter = (place + 1) // 7
    return Pitch(step, alter, (midi - alter - STEP_SEMITONES[step]) // 12 - 1)
