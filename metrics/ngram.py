"""A character n-gram model with interpolated Kneser-Ney smoothing, as a baseline for networks.

Chen and Goodman 1998 ("An Empirical Study of Smoothing Techniques for Language Modeling",
TR-10-98), modified Kneser-Ney, interpolated, with three discounts an order from the counts of
counts. As in KenLM (Heafield et al. 2013), n-grams that begin with the start of the text keep their
plain counts in lower orders, because nothing can precede them, and orders whose counts of counts
give no discounts use 0.5, 1 and 1.5.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.errors import MusicZooError

Floats = NDArray[np.float64]
_Keys = NDArray[np.uint64]

MAX_ORDER = 9
"""Nine characters of seven bits fit into one 64-bit key."""

START, END = 1, 2
# Codes that no text contains; START is never predicted.
_RESERVED = 3
_ALPHABET = 128 - _RESERVED + 1
_BITS = np.uint64(7)
_FALLBACK = (0.5, 1.0, 1.5)


class _Order(NamedTuple):
    """The table of one order: n-grams and contexts in ascending order of their keys."""

    keys: _Keys
    discounted: Floats
    contexts: _Keys
    totals: Floats
    backoff: Floats


class CharacterNgram:
    """An n-gram model of ASCII texts that also predicts where a text ends.

    Args:
        texts: Training texts, ASCII without the codes 0, 1 and 2.
        order: Characters of an n-gram, the predicted one included.

    Raises:
        MusicZooError: No text, an impossible order, or characters outside ASCII.

    Example:
        >>> model = CharacterNgram(["abab", "abc"], order=3)
        >>> float(model.log2_probs("ab").sum()) > float(model.log2_probs("ba").sum())
        True
    """

    def __init__(self, texts: Iterable[str], order: int = 8) -> None:
        if not 1 <= order <= MAX_ORDER:
            raise MusicZooError(
                f"There is no order {order}.", where="order", remedy=f"Give 1 to {MAX_ORDER}."
            )
        self.order = order
        codes = np.concatenate(
            [np.empty(0, dtype=np.uint8), *(_codes(text, order, ended=True) for text in texts)]
        )
        if not len(codes):
            raise MusicZooError(
                "There are no texts to learn from.", where="texts", remedy="Give at least one."
            )
        keys, counts = np.unique(_packed(codes, order), return_counts=True)
        self.orders: list[_Order] = []
        for length in range(order, 0, -1):
            self.orders.append(_table(keys, counts))
            if length > 1:
                keys, counts = _shorter(keys, counts.astype(np.int64), length)
        self.orders.reverse()

    def probabilities(self, text: str, *, ended: bool = True) -> Floats:
        """The probability of each character of a text given those before it.

        Args:
            text: ASCII.
            ended: Score the end of the text as one more symbol.

        Returns:
            (len(text) + ended,) float64.

        Raises:
            MusicZooError: Characters outside ASCII.
        """
        keys = _packed(_codes(text, self.order, ended=ended), self.order)
        found = np.full(len(keys), 1.0 / _ALPHABET)
        for length, table in enumerate(self.orders, 1):
            ngrams = keys & _mask(length)
            place, known = _find(table.contexts, ngrams >> _BITS)
            entry, counted = _find(table.keys, ngrams)
            kept = np.where(counted, table.discounted[entry], 0.0)
            found = np.where(
                known, (kept + table.backoff[place] * found) / table.totals[place], found
            )
        return found

    def log2_probs(self, text: str, *, ended: bool = True) -> Floats:
        """Binary logarithms of :meth:`probabilities`.

        The negative of their sum is the bits that the text costs.
        """
        return np.log2(self.probabilities(text, ended=ended))

    def __len__(self) -> int:
        """Number of different n-grams of all orders."""
        return sum(len(table.keys) for table in self.orders)


def _codes(text: str, order: int, *, ended: bool) -> NDArray[np.uint8]:
    """The characters of a text after the start marks of the longest context."""
    try:
        codes = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    except UnicodeEncodeError as error:
        raise MusicZooError(
            f"The character {text[error.start]!r} is not ASCII.",
            remedy="Clean the text first (musiczoo.music.abc.cleaning).",
        ) from None
    if len(codes) and codes.min() < _RESERVED:
        raise MusicZooError("The text holds the codes 0, 1 or 2.", remedy="Give text, not patches.")
    return np.concatenate(
        [np.full(order - 1, START, dtype=np.uint8), codes, np.full(int(ended), END, dtype=np.uint8)]
    )


def _packed(codes: NDArray[np.uint8], order: int) -> _Keys:
    """The n-gram that ends at each character, start marks left out, as one number.

    The earliest character has the highest bits.
    """
    count = max(0, len(codes) - order + 1)
    keys = np.zeros(count, dtype=np.uint64)
    for shift in range(order):
        keys <<= _BITS
        keys |= codes[shift : shift + count]
    predicted: _Keys = keys[codes[order - 1 :] != START]
    return predicted


def _mask(length: int) -> np.uint64:
    return np.uint64((1 << (7 * length)) - 1)


def _shorter(
    keys: _Keys, counts: NDArray[np.int64], length: int
) -> tuple[_Keys, NDArray[np.int64]]:
    """The n-grams that are one character shorter, with their counts.

    A count is the number of different characters that precede the n-gram; at the start of a text,
    its plain count.
    """
    suffixes, inverse, different = np.unique(
        keys & _mask(length - 1), return_inverse=True, return_counts=True
    )
    plain = np.bincount(inverse, weights=counts).astype(np.int64)
    at_start = suffixes >> np.uint64(7 * (length - 2)) == START
    return suffixes, np.where(at_start, plain, different)


def _table(keys: _Keys, counts: NDArray[np.int64]) -> _Order:
    discounts = np.array([0.0, *_discounts(counts)])
    removed = discounts[np.minimum(counts, 3)]
    contexts, starts = np.unique(keys >> _BITS, return_index=True)
    totals = np.add.reduceat(counts, starts).astype(np.float64)
    return _Order(keys, counts - removed, contexts, totals, np.add.reduceat(removed, starts))


def _discounts(counts: NDArray[np.int64]) -> tuple[float, float, float]:
    """The discounts of counts of one, two, and three or more (Chen and Goodman, equations 26)."""
    one, two, three, four = (int((counts == number).sum()) for number in (1, 2, 3, 4))
    if not (one and two and three and four):
        return _FALLBACK
    share = one / (one + 2 * two)
    found = (1 - 2 * share * two / one, 2 - 3 * share * three / two, 3 - 4 * share * four / three)
    return (
        found if all(0 <= value <= number for number, value in enumerate(found, 1)) else _FALLBACK
    )


def _find(table: _Keys, wanted: _Keys) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    places = np.searchsorted(table, wanted).clip(max=len(table) - 1)
    return places, table[places] == wanted
