"""Guesses the next characters of a piece from what it has said before.

Sheet music repeats itself, and much of its text is form (``|[V:2]``). A guess costs nothing and changes nothing: the character decoder
verifies several guessed characters in the pass that would have computed one, and a guess stands only if the very same character
is drawn from the model. This is prompt-lookup speculative decoding (Leviathan et al. 2023, arXiv 2211.17192; Saxena 2023) with coupled
random numbers, so that the output is the one of plain sampling.
"""

from __future__ import annotations

# Longest contexts first. Two characters are the least that say where in a bar we are.
ORDERS = (12, 8, 6, 5, 4, 3, 2)


class Drafter:
    """Remembers for each context of some characters what followed it last in this piece."""

    def __init__(self) -> None:
        self._next: dict[str, str] = {}
        self._tail = ""

    def learn(self, stream: str) -> None:
        """Appends what was said: the characters of a patch with its end mark."""
        history = self._tail
        table = self._next
        for char in stream:
            for order in ORDERS:
                if order <= len(history):
                    table[history[-order:]] = char
            history = history[-ORDERS[0] :] + char
        self._tail = history[-ORDERS[0] :]

    def guess(self, partial: str, count: int) -> str:
        """Up to ``count`` characters that may follow ``partial``, the beginning of the next patch."""
        history = self._tail + partial
        out = ""
        while len(out) < count:
            char = next((self._next[context] for order in ORDERS if (context := history[-order:]) in self._next), None)
            if char is None:
                break
            out += char
            if char == "\x02":
                break
            history = history[-ORDERS[0] :] + char
        return out
