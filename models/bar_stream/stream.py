"""A piece under generation: its patches so far, guesses of what follows, the patch being decoded.

Sheet music repeats itself, and much of its text is form (``|[V:2]``). A guess costs nothing and
changes nothing: the character decoder verifies several guessed characters in the pass that would
have computed one, and a guess stands only if the very same character is drawn from the model. This
is speculative decoding (Leviathan et al. 2023, arXiv 2211.17192) with a draft from the piece's own
statistics and coupled random numbers, so that the output is the one of plain sampling.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from musiczoo.representations.bar_stream import BOS, EOS, PAD, VOCABULARY

Stop = Literal["end", "max_length", "cancelled"]
_START = "[r:0/"
_END_MARK = "\x02"
# Lengths of the contexts that are remembered. Chosen on pieces of a net trained on chorales: 4.3
# passes of the character decoder a patch of 12 characters, against 4.5 when the longest known
# context alone decides and 4.7 when what followed it last does.
ORDERS = (8, 6, 5, 4, 3, 2, 1)


class PieceGuard(Protocol):
    """Follows one piece."""

    def mask(self, partial: str) -> np.ndarray | None:
        """Which characters may come next.

        Args:
            partial: The text of the patch under construction, begin and end marks as the characters
                1 and 2.

        Returns:
            128 truth values, at least one of them True, or None for no opinion.
        """
        ...

    def commit(self, patch: str) -> None:
        """Reads a finished patch: full, or closed by its end mark."""
        ...


class Guard(Protocol):
    """A guard as a setting; makes one follower a piece."""

    def for_piece(self, prompt: str) -> PieceGuard:
        """The follower of a piece that continues header lines, and bars if there are any."""
        ...


class Drafter:
    """Counts what followed each short context in this piece and blends the counts of all orders."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}
        self._tail = ""

    def learn(self, stream: str) -> None:
        """Appends the characters of a patch with its end mark."""
        history = self._tail
        counts = self._counts
        for char in stream:
            for order in ORDERS:
                if order <= len(history):
                    followers = counts.setdefault(history[-order:], {})
                    followers[char] = followers.get(char, 0) + 1
            history = (history + char)[-ORDERS[0] :]
        self._tail = history

    def guess(self, partial: str, count: int) -> str:
        """Up to ``count`` characters that may follow ``partial``, the start of the next patch."""
        history = (self._tail + partial)[-ORDERS[0] :]
        out = ""
        while len(out) < count:
            scores: dict[str, float] = {}
            for order in ORDERS:
                followers = self._counts.get(history[-order:])
                if followers:
                    total = sum(followers.values())
                    # Longer contexts weigh more, and those seen once less than those seen often.
                    weight = (0.35 + 0.15 * order) / (total + 1.5)
                    for char, times in followers.items():
                        scores[char] = scores.get(char, 0.0) + weight * times
            if not scores:
                break
            best = max(scores, key=scores.__getitem__)
            out += best
            if best == _END_MARK:
                break
            history = (history + best)[-ORDERS[0] :]
        return out


@dataclass
class Stream:
    """A piece under generation.

    Attributes:
        index: Its place among the prompts.
        patches: All its patches so far, prompt included, as lists of character ids without padding.
        log_probs: For each generated patch the log-probabilities of its characters.
        prompt_length: Patches of the prompt.
        text: Its text so far.
        stop: Why it stopped, None while it runs.
    """

    index: int
    patches: list[list[int]]
    random: torch.Generator
    guard: PieceGuard | None
    drafter: Drafter
    prompt_length: int = 0
    header_length: int = field(default=0, init=False)
    log_probs: list[list[float]] = field(default_factory=list, init=False)
    line_starts: list[int] = field(default_factory=list, init=False)
    context: list[int] = field(default_factory=list, init=False)
    line: str = field(default="", init=False)
    text: str = field(default="", init=False)
    bars: int = field(default=0, init=False)
    in_body: bool = field(default=False, init=False)
    stop: Stop | None = field(default=None, init=False)

    def append(self, chars: list[int]) -> str | None:
        """Adds a patch and returns the line of the body that it completes, if it does."""
        text = "".join(chr(c) for c in chars if c > EOS)
        # The body begins with the first line of voices; only its lines can be cut.
        self.in_body = self.in_body or (not self.line and text.startswith(("[r:", "[V:")))
        if self.in_body and not self.line:
            self.line_starts.append(len(self.patches))
        self.context.append(len(self.patches))
        self.patches.append(chars)
        if not self.in_body:
            self.header_length = len(self.patches)
        if chars[0] != BOS:
            self.drafter.learn(characters(chars))
        if self.guard is not None:
            self.guard.commit(characters(chars))
        self.line += text
        self.text += text
        if not self.line.endswith("\n"):
            return None
        line, self.line = self.line[:-1], ""
        self.bars += self.in_body
        return line if self.in_body else None

    def cut(self, capacity: int) -> bool:
        """Keeps the header and the later half of the bars in the context.

        False when that makes no room.
        """
        header = [i for i in self.context if i < self.header_length]
        oldest = self.context[len(header)] if len(header) < len(self.context) else len(self.patches)
        bars = [start for start in self.line_starts if start >= oldest]
        keep = len(bars) // 2
        while keep:
            body = [i for i in self.context if i >= bars[-keep]]
            # A quarter of the room must come free, or the next cut would follow at once.
            if 4 * len(body) <= 3 * (capacity - len(header)):
                self.context = header + body
                return True
            keep //= 2
        return False


def characters(chars: list[int]) -> str:
    """Character codes as text, marks included."""
    return "".join(map(chr, chars))


class OpenPatch:
    """The patch that a stream is at: characters accepted so far, and the pass ahead of them."""

    def __init__(self, stream: Stream, size: int, start_at_first_bar: bool) -> None:
        self.stream = stream
        self.size = size
        self.chars: list[int] = []
        self.log_probs: list[float] = []
        self.cached = 0
        self.forced: list[int] = []
        self.planned: list[int] = []
        self.may_force_start = start_at_first_bar and not stream.in_body and not stream.line
        self.uniforms = torch.rand(size, generator=stream.random, dtype=torch.float64).tolist()

    def plan(self, draft: int) -> tuple[list[int], list[np.ndarray]]:
        """What this pass computes.

        Args:
            draft: Characters beyond the accepted ones at most.

        Returns:
            The characters, accepted ones first, then forced or guessed ones, and for each place
            that the pass predicts (from the first open one to the one behind the last character)
            which characters may stand there.
        """
        planned = self.chars + self.forced[len(self.chars) :]
        if len(planned) < self.size:
            # The character after an end mark is never wanted, so a guessed end mark needs no row of
            # its own.
            guess = self.stream.drafter.guess(
                characters(planned), draft - len(planned) + len(self.chars)
            )
            planned += [ord(c) for c in guess.rstrip("\x02")]
        planned = planned[: min(len(self.chars) + draft, self.size - 1)]
        masks = []
        for place in range(len(self.chars), len(planned) + 1):
            masks.append(self._allowed(planned[:place]))
            if place < len(planned) and not masks[-1][planned[place]]:
                # A guess that is not allowed ends here: guards are asked about legal texts only.
                planned = planned[:place]
                break
        self.planned = planned
        return planned, masks

    def _allowed(self, before: list[int]) -> np.ndarray:
        place = len(before)
        if place < len(self.forced):
            return _only(self.forced[place])
        plain = _LATER if place else _AT_START
        guard = self.stream.guard
        allowed = None if guard is None else guard.mask(characters(before))
        both: np.ndarray = plain if allowed is None else allowed & plain
        return both

    def take(self, tokens: list[int], scores: Tensor) -> bool:
        """Accepts what was drawn up to the first guess that differs.

        True when the patch is complete.
        """
        for token, row in zip(tokens, scores, strict=True):
            place = len(self.chars)
            self.chars.append(token)
            self.log_probs.append(float(row[token]))
            if self.may_force_start and characters(self.chars) == _START[:3]:
                self._restart()
                return False
            if place == 0 and token == BOS:
                self.forced = [BOS] + [EOS] * (self.size - 1)
            if len(self.chars) == self.size or (token == EOS and self.chars[0] != BOS):
                return True
            if place == len(self.planned) or self.planned[place] != token:
                break
        # Every row so far stood on accepted characters; the next pass begins with the last one.
        self.cached = len(self.chars)
        return False

    def _restart(self) -> None:
        """The piece starts now: throw this patch away and begin with ``[r:0/``."""
        self.forced = [ord(c) for c in _START]
        self.chars, self.log_probs, self.cached = [], [], 0
        self.may_force_start = False
        self.uniforms = torch.rand(
            self.size, generator=self.stream.random, dtype=torch.float64
        ).tolist()


def _only(token: int) -> np.ndarray:
    mask = np.zeros(VOCABULARY, dtype=bool)
    mask[token] = True
    return mask


# Padding is never generated; the begin mark only opens the end patch; an empty patch (end mark
# first) holds nothing and is excluded too.
_AT_START = ~(_only(PAD) | _only(EOS))
_LATER = ~(_only(PAD) | _only(BOS))
