"""The codes of OctupleMIDI: tempos, durations, velocities and time signatures as small numbers.

As MusicBERT defines them (Zeng et al. 2021, arXiv 2106.05630, and its published code).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.errors import MusicZooError

Codes = NDArray[np.int64]

GRID = 16  # positions a quarter note
DENOMINATORS = (1, 2, 4, 8, 16, 32, 64)
#: What holds where a piece states nothing.
DEFAULT_SIGNATURE, DEFAULT_TEMPO = (4, 4), 120.0

#: (numerator, denominator) of each code of a time signature: numerators up to two whole notes.
SIGNATURES: tuple[tuple[int, int], ...] = tuple(
    (above, below) for below in DENOMINATORS for above in range(1, 2 * below + 1)
)
#: The shortest duration of each code, in positions: eight octaves of 16 steps, each twice as wide.
DURATIONS: Codes = np.cumsum([0, *(2**octave for octave in range(8) for _ in range(16))])[:-1]


def tempo_codes(tempos: NDArray[np.float64]) -> Codes:
    """Codes 0 to 48 of quarter notes a minute, twelve an octave from 16 to 256.

    >>> tempo_codes(np.array([1.0, 16.0, 120.0, 999.0])).tolist()
    [0, 0, 35, 48]
    """
    clipped = np.clip(np.nan_to_num(tempos, nan=DEFAULT_TEMPO), 16, 256)
    codes: Codes = np.rint(12 * np.log2(clipped / 16)).astype(np.int64)
    return codes


def tempo_of(code: int) -> float:
    """Quarter notes a minute of a code.

    >>> round(tempo_of(35), 1)
    120.8
    """
    return float(16 * 2 ** (code / 12))


def duration_codes(positions: Codes) -> Codes:
    """Codes 0 to 127 of durations in positions.

    >>> duration_codes(np.array([0, 15, 17, 48, 9_999])).tolist()
    [0, 15, 16, 32, 127]
    """
    return np.searchsorted(DURATIONS, np.maximum(positions, 0), side="right") - 1


def signature_code(numerator: int, denominator: int, where: str | None = None) -> int:
    """The code of a time signature, reduced to one that the table has.

    A denominator above 64 is halved with its numerator; a numerator of more than two whole notes is
    divided by its smallest prime factor.

    Args:
        numerator: Of the time signature.
        denominator: Of the time signature.
        where: The place that an error names.

    >>> signature_code(4, 4), signature_code(3, 4), signature_code(6, 8), signature_code(24, 8)
    (9, 8, 19, 25)

    Raises:
        MusicZooError: A denominator that is no power of two up to 64, or no positive numerator.
    """
    above, below = numerator, denominator
    while below > DENOMINATORS[-1] and above % 2 == below % 2 == 0:
        above, below = above // 2, below // 2
    if above < 1 or below not in DENOMINATORS:
        raise MusicZooError(
            f"OctupleMIDI has no time signature {numerator}/{denominator}.",
            where=where,
            remedy="Give a denominator that is a power of two, at most 64.",
        )
    while above > 2 * below:
        above //= next(factor for factor in range(2, above + 1) if above % factor == 0)
    return 2 * (below - 1) + above - 1


def bar_length(code: int) -> int:
    """Positions of a bar.

    >>> bar_length(9), bar_length(8), bar_length(19)
    (64, 48, 48)
    """
    above, below = SIGNATURES[code]
    return 4 * GRID * above // below
