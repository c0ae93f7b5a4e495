"""Guards: options of generation that mask characters before they are drawn, and delete nothing.

A guard follows a piece character by character and states at each one which may come next; the
sampler gives the others no probability. Under :class:`BarDurations` the voices of every bar have
one length; under :class:`Countdown` the bar counters run from ``[r:0/n]`` to ``[r:n/0]`` and the
piece ends there. :class:`Guards` joins several. The alternative is to throw away, afterwards, the
pieces whose voices have come apart (the "syntax error checks" of Wang et al. 2025, NotaGen, section
3.3) or that never end.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from musiczoo.models.bar_stream.aligned_bars import AlignedBars
from musiczoo.models.bar_stream.bar_counters import LONGEST_PIECE, CountedBars
from musiczoo.models.bar_stream.stream import Guard, PieceGuard
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.bar_stream import VOCABULARY, BarStreamPatches

__all__ = ["LONGEST_PIECE", "BarDurations", "Countdown", "Guard", "Guards", "PieceGuard"]

Mask = NDArray[np.bool_]
_PATCH_SIZE = 16


class Guards:
    """Several guards at once: what all of them allow.

    Args:
        guards: At most one of a kind.
    """

    def __init__(self, guards: Sequence[Guard]) -> None:
        self.guards = tuple(guards)

    def for_piece(self, prompt: str) -> PieceGuard:
        """The follower of a piece that continues ``prompt``."""
        return _Joined([guard.for_piece(prompt) for guard in self.guards])


class _Joined:
    def __init__(self, followers: Sequence[PieceGuard]) -> None:
        self._followers = followers

    def mask(self, partial: str) -> Mask | None:
        masks = [
            mask for follower in self._followers if (mask := follower.mask(partial)) is not None
        ]
        return np.logical_and.reduce(masks) if masks else None

    def commit(self, patch: str) -> None:
        for follower in self._followers:
            follower.commit(patch)


class BarDurations:
    """All voices of a bar have one length.

    The first voice of a line sets the length of its bar; the others are steered so that their bar
    ends exactly there: no note is longer than what is left, and no bar-line or end mark comes
    before. The patches are cut where the representation cuts them, and all voices have the
    bar-lines of the first.

    Args:
        meter: Also hold the first voice to the meter (``M:``): every bar is full except the first
            and the last, which may be shorter. Otherwise it may be up to two full bars long.
    """

    def __init__(self, meter: bool = False) -> None:
        self.meter = meter

    def for_piece(self, prompt: str) -> PieceGuard:
        """The follower of a piece that continues ``prompt``."""
        return _follow(prompt, AlignedBars(self.meter))


class Countdown:
    """The bar counters run down, ``[r:0/n]``, ``[r:1/n-1]``, ..., ``[r:n/0]``, and the piece ends.

    Args:
        min_bars: Bars of the piece at least.
        max_bars: Bars of the piece at most.
    """

    def __init__(self, min_bars: int = 1, max_bars: int = 1000) -> None:
        if not 1 <= min_bars <= max_bars <= LONGEST_PIECE:
            raise MusicZooError(
                f"No piece has {min_bars} to {max_bars} bars.",
                remedy=f"Choose 1 <= min_bars <= max_bars <= {LONGEST_PIECE}.",
            )
        self.min_bars = min_bars
        self.max_bars = max_bars

    def for_piece(self, prompt: str) -> PieceGuard:
        """The follower of a piece that continues ``prompt``."""
        return _follow(prompt, CountedBars(self.min_bars, self.max_bars))


class _Grammar(Protocol):
    """A piece read one character at a time."""

    def allowed(self) -> str | None:
        """The characters that may come next, None for any."""
        ...

    def advance(self, character: str) -> None: ...

    def close(self) -> None:
        """The patch has ended."""
        ...

    def clone(self) -> _Grammar: ...


class _Follower:
    """A grammar behind the two calls of a sampler.

    A sampler may ask about one patch several times and begin it again.
    """

    def __init__(self, grammar: _Grammar) -> None:
        self._committed = grammar
        self._current = grammar.clone()
        self._partial = ""

    def mask(self, partial: str) -> Mask | None:
        self._read(partial)
        allowed = self._current.allowed()
        return None if allowed is None else _mask(allowed)

    def commit(self, patch: str) -> None:
        self._read(patch)
        self._current.close()
        self._committed, self._current, self._partial = self._current, self._current.clone(), ""

    def _read(self, partial: str) -> None:
        if not partial.startswith(self._partial):
            self._current, self._partial = self._committed.clone(), ""
        for character in partial[len(self._partial) :]:
            self._current.advance(character)
        self._partial = partial


def _follow(prompt: str, grammar: _Grammar) -> _Follower:
    follower = _Follower(grammar)
    patches = BarStreamPatches(_PATCH_SIZE).encode_text(
        prompt, annotate=False, end=False, max_length=len(prompt) + 1
    )
    for patch in patches[1:].tolist():
        follower.commit("".join(chr(code) for code in patch if code))
    return follower


@lru_cache(maxsize=4096)
def _mask(allowed: str) -> Mask:
    mask = np.zeros(VOCABULARY, dtype=bool)
    mask[np.frombuffer(allowed.encode("ascii"), dtype=np.uint8)] = True
    mask.flags.writeable = False
    return mask
