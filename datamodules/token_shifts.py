"""Pieces of tokens transposed, made louder or softer, faster or slower, each by one constant."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.errors import MusicZooError


class TokenShifts:
    """Shifts of the pitches, velocities and tempos of REMI tokens.

    Each access draws one constant for each, uniformly among those that keep all its tokens inside
    the vocabulary; not to shift at all is always one of them. Drums are not transposed.

    Args:
        vocabulary: The tokens in the order of their ids, such as ``"Pitch_60"``.
        transpose: Semitones up and down at most.
        velocity: Steps of the vocabulary's velocities up and down at most.
        tempo: Steps of its tempos up and down at most.

    Raises:
        MusicZooError: A negative shift, or a shift of tokens that the vocabulary does not list as
            one row of ascending values.
    """

    def __init__(
        self, vocabulary: Sequence[str], *, transpose: int = 0, velocity: int = 0, tempo: int = 0
    ) -> None:
        if min(transpose, velocity, tempo) < 0:
            raise MusicZooError(
                "A shift is given by its size.",
                where="transpose, velocity_shift, tempo_shift",
                remedy="Give 0 or more; both directions are drawn.",
            )
        kinds = (
            ("Pitch", transpose, "transpose"),
            ("Velocity", velocity, "velocity_shift"),
            ("Tempo", tempo, "tempo_shift"),
        )
        self._blocks = [
            (*_block(vocabulary, kind, where), most, kind == "Pitch")
            for kind, most, where in kinds
            if most
        ]
        # In REMI+ the program is the token before its pitch; drums use the same pitch tokens as the
        # other instruments.
        self._drums = next(
            (number for number, token in enumerate(vocabulary) if token == "Program_-1"), -1
        )

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def __call__(
        self, ids: NDArray[np.int64], rng: random.Random, before: int = -1
    ) -> NDArray[np.int64]:
        """The ids with shifts that are drawn for this call.

        Args:
            ids: (tokens,) int64. They are not changed.
            rng: Draws the shifts.
            before: The id before the first of ``ids`` in the piece; -1 at its beginning.

        Returns:
            (tokens,) int64.
        """
        result = ids.copy()
        for first, last, most, is_pitch in self._blocks:
            mask = (ids >= first) & (ids <= last)
            if is_pitch and self._drums >= 0:
                mask &= np.r_[before, ids[:-1]] != self._drums
            values = ids[mask]
            low, high = (
                (max(-most, first - int(values.min())), min(most, last - int(values.max())))
                if len(values)
                else (0, 0)
            )
            result[mask] += rng.randint(low, high)
        return result


def _block(vocabulary: Sequence[str], kind: str, where: str) -> tuple[int, int]:
    """First and last id of a kind of token, whose values ascend with the ids."""
    ids = [number for number, token in enumerate(vocabulary) if token.partition("_")[0] == kind]
    values = [float(vocabulary[number].partition("_")[2]) for number in ids]
    if not ids or ids != list(range(ids[0], ids[-1] + 1)) or values != sorted(values):
        raise MusicZooError(
            f"The vocabulary has no row of {kind} tokens to shift along.",
            where=where,
            remedy="Leave it at 0 for this representation.",
        )
    return ids[0], ids[-1]
