"""Bar-stream patches: interleaved ABC text cut at bar-lines into patches of 16 characters.

Wang et al. 2024, "Exploring Tokenization Methods for Multitrack Sheet Music Generation" (arXiv
2410.17584), as NotaGen uses it (Wang et al. 2025, arXiv 2502.18008, section 3). A character is its
ASCII code; the codes 0, 1 and 2, which no text holds, are padding, the begin mark and the end mark:

================  ================================================================================
patch             characters
================  ================================================================================
begin of a piece  fifteen begin marks, one end mark
text              up to 16 characters; an end mark after the last one of a line or bar if there is
                  room; padding
end of a piece    one begin mark, fifteen end marks
================  ================================================================================

Each header line is patched on its own. A line of the body holds one bar of all voices, and each of
its groups is patched on its own: the bar-line before a voice with the voice's bar (``|[V:2]D2``),
the first group with the bar counter (``[r:0/8][V:1]G2``), the last one with its closing bar-line
and the newline (``|[V:4]G,,2|``).
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from einops import rearrange

from musiczoo.music.abc import Tune, interleaved_lines, read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.base import Representation, padded

PAD = 0
BOS = 1
EOS = 2
VOCABULARY = 128

# The order matters: at "|:" the longer bar-line wins over "|".
_BAR_LINE = re.compile(r"\|:|::|:\||\[\||\|\||\|\]|\|")
_HEADER_LINE = re.compile(r"%|[A-Za-z+]:")
_NO_TEXT = re.compile(r"[\x00-\x02]|[^\x00-\x7f]")


def prompt_lines(period: str, composer: str, instrumentation: str) -> list[str]:
    """The comment lines that condition a fine-tuned model.

    They are NotaGen's "period-composer-instrumentation" prompt (section 3.3).

    Args:
        period: Such as ``"Baroque"``.
        composer: As listed on IMSLP, such as ``"Bach, Johann Sebastian"``.
        instrumentation: Such as ``"Choral"``.

    Returns:
        The three header lines, without newlines, that stand before all others.
    """
    lines = [f"%{label.strip()}" for label in (period, composer, instrumentation)]
    for line in lines:
        if "\n" in line or line.startswith("%%") or line == "%":
            raise MusicZooError(
                f"The prompt label {line[1:]!r} is no label.",
                remedy="Give one line of text that does not start with %.",
            )
    return lines


class BarStreamPatches(Representation[Tune]):
    r"""Pieces as bar-stream patches, identical to NotaGen's on well-formed text.

    Args:
        patch_size: Characters of a patch (16 in every published model).
        max_length: Patches of a piece at most, the context of the model.
        omit_rests: Leave out the bars of a voice that hold only rests (NotaGen section 3.1).

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> representation = BarStreamPatches()
        >>> patches = representation.encode(read_abc("M:4/4\nL:1/8\nK:C\nC2E2G2c2|c4z4|"))
        >>> patches.shape, patches.dtype
        (torch.Size([9, 16]), torch.uint8)
        >>> representation.decode_text(patches[4:5])
        '[r:0/1][V:1]C2E2'
        >>> representation.decode(patches).voices[0].bars[1].text
        'c4z4'
    """

    max_length: int

    def __init__(
        self, patch_size: int = 16, max_length: int = 1024, omit_rests: bool = True
    ) -> None:
        if patch_size < 2 or max_length < 1:
            raise MusicZooError(
                f"{max_length} patches of {patch_size} characters hold no piece.",
                remedy="The published models use 1024 or 2048 of 16.",
            )
        self.patch_size = patch_size
        self.max_length = max_length
        self.omit_rests = omit_rests

    def encode(
        self, piece: Tune, *, max_length: int | None = None, rng: random.Random | None = None
    ) -> torch.Tensor:
        """The patches of a cleaned piece with its bar counters.

        Args:
            piece: A tune in ASCII (:func:`musiczoo.music.abc.cleaning.clean`).
            max_length: Patches at most; None for the representation's own.
            rng: Chooses the part of a longer piece; None keeps its beginning.

        Returns:
            Character codes, shape (patches, patch_size), uint8.

        Raises:
            MusicZooError: The tune has characters outside ASCII or no bars.
        """
        lines = [field.text for field in piece.header] + interleaved_lines(
            piece, omit_rests=self.omit_rests
        )
        try:
            return self.encode_text("\n".join(lines), max_length=max_length, rng=rng)
        except MusicZooError as error:
            raise error.at(path=piece.path) from None

    def encode_text(
        self,
        text: str,
        *,
        annotate: bool = True,
        end: bool = True,
        max_length: int | None = None,
        rng: random.Random | None = None,
    ) -> torch.Tensor:
        """The patches of interleaved ABC text; blank lines are left out.

        A piece that is too long keeps its header and a part of its body, cut at the start of a line
        ("we randomly segment the tune body and concatenated it with the tune header for longer
        pieces", NotaGen section 3.1): its head, its tail (the first line from which all the rest
        fits) or a middle, each as likely as the others where there is one.

        Args:
            text: Header lines, then one line a bar (``[V:1]...|[V:2]...|``). A header alone is a
                prompt.
            annotate: Put ``[r:i/j]`` before each line of the body: its index and the number of
                lines after it. Lines that have their counters keep them.
            end: The text is a whole piece and the end patch closes it. Otherwise the text will be
                continued: what follows its last newline is left open, with no end mark.
            max_length: Patches at most; None for the representation's own.
            rng: Chooses head, tail or middle and the line; None keeps the head.

        Returns:
            Character codes, shape (patches, patch_size), uint8.

        Raises:
            MusicZooError: Characters outside ASCII, a piece without bars, a line before the body
                that is no header line.
        """
        limit = self.max_length if max_length is None else max_length
        lines = [f"{line}\n" for line in text.split("\n") if line]
        is_open = not end and bool(lines) and not text.endswith("\n")
        if is_open:
            lines[-1] = lines[-1].removesuffix("\n")
        starts = (index for index, line in enumerate(lines) if line.startswith(("[V:", "[r:")))
        start = next(starts, len(lines))
        _check(lines, start, end)
        if annotate:
            _add_counters(lines, start)
        patched = [
            b"".join(map(self._patches, [line] if index < start else _groups(line)))
            for index, line in enumerate(lines)
        ]
        if is_open:
            patched[-1] = self._open_line(lines[-1], in_body=len(lines) > start)
        begin_patch = bytes([BOS] * (self.patch_size - 1) + [EOS])
        end_patch = bytes([BOS] + [EOS] * (self.patch_size - 1)) if end else b""
        header, body = [begin_patch, *patched[:start]], patched[start:]
        excess = sum(map(len, [*header, *body, end_patch])) // self.patch_size - limit
        if excess > 0 and rng is not None:
            body = body[self._first_line(body, excess, rng) :]
        flat = bytearray(b"".join([*header, *body, end_patch])[: limit * self.patch_size])
        codes = torch.frombuffer(flat, dtype=torch.uint8)
        return rearrange(codes, "(patch char) -> patch char", char=self.patch_size)

    def encode_prompt(self, period: str, composer: str, instrumentation: str) -> torch.Tensor:
        """What generation starts from: the begin patch and :func:`prompt_lines`.

        Returns:
            Character codes, shape (patches, patch_size), uint8.
        """
        return self.encode_text(
            "\n".join(prompt_lines(period, composer, instrumentation)) + "\n", end=False
        )

    def decode_text(self, patches: torch.Tensor) -> str:
        """The text of patches: what :meth:`encode_text` was given, without its blank lines.

        Bar counters stay.

        Args:
            patches: Character codes of any integer type, shape (patches, patch_size). Padded
                patches hold nothing.

        Raises:
            MusicZooError: Codes outside 0..127.
        """
        if patches.ndim != 2 or patches.is_floating_point():
            raise MusicZooError(
                f"A {patches.dtype} tensor of shape {tuple(patches.shape)} is no piece.",
                remedy="Give the character codes of one piece, shape (patches, characters).",
            )
        if patches.numel() and not 0 <= int(patches.min()) <= int(patches.max()) < VOCABULARY:
            raise MusicZooError(
                "The patches hold codes outside 0..127.",
                remedy="Give the character codes of one piece.",
            )
        rows = patches.to("cpu", torch.uint8).numpy()
        return b"".join(
            row.tobytes().partition(b"\x02")[0].translate(None, b"\x00\x01") for row in rows
        ).decode("ascii")

    def decode(self, encoded: torch.Tensor) -> Tune:
        """The tune of patches, the rests that were left out restored.

        The bar counters show the reader that a line is a bar of all voices. A last line without its
        newline (a piece cut off at the context's end) is left out: half a bar is no bar.

        Args:
            encoded: Character codes, shape (patches, patch_size).

        Raises:
            MusicZooError: The text is no tune.
        """
        text = self.decode_text(encoded)
        return read_abc(text[: text.rfind("\n") + 1])

    def collate(self, encoded: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Pieces as one batch.

        Returns:
            ``patches`` (batch, longest, patch_size), uint8, zero where a piece has ended, and
            ``lengths`` (batch,), int64. As int64 the patches would be eight times the bytes for the
            loader's queue and the copy to the device.
        """
        return padded(encoded, "patches")

    def to_config(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return {
            "patch_size": self.patch_size,
            "max_length": self.max_length,
            "omit_rests": self.omit_rests,
        }

    def _patches(self, group: str, is_open: bool = False) -> bytes:
        """One group as patches. A group that fills its last patch has no end mark."""
        codes = group.encode("ascii")
        if len(codes) % self.patch_size and not is_open:
            codes += bytes([EOS])
        return codes.ljust(-(-len(codes) // self.patch_size) * self.patch_size, bytes([PAD]))

    def _open_line(self, line: str, *, in_body: bool) -> bytes:
        """A last line that will be continued as patches: its last group has no end mark."""
        *closed, last = _groups(line) if in_body else [line]
        return b"".join(map(self._patches, closed)) + self._patches(last, is_open=True)

    def _first_line(self, body: list[bytes], excess: int, rng: random.Random) -> int:
        """The line at which the body of a piece begins that is ``excess`` patches too long."""
        starts = list(accumulate((len(line) // self.patch_size for line in body[:-1]), initial=0))
        tail = next(
            (index for index, start in enumerate(starts) if start >= excess), len(starts) - 1
        )
        modes = ["head", "tail", "middle"][: tail + 1]
        mode = rng.choice(modes)
        if mode == "middle":
            return rng.randrange(1, tail)
        return tail if mode == "tail" else 0


def _add_counters(lines: list[str], start: int) -> None:
    """Puts ``[r:i/j]`` before the lines of the body, unless they have their counters."""
    if start < len(lines) and not lines[start].startswith("[r:"):
        last = len(lines) - 1
        for index in range(start, len(lines)):
            lines[index] = f"[r:{index - start}/{last - index}]{lines[index]}"


def _check(lines: list[str], start: int, end: bool) -> None:
    for number, line in enumerate(lines, 1):
        if foreign := _NO_TEXT.search(line):
            raise MusicZooError(
                f"The character {foreign.group()!r} has no place in a bar stream.",
                where=f"line {number}",
                remedy="Clean the tune first (musiczoo.music.abc.cleaning.clean).",
            )
    for number, line in enumerate(lines[:start], 1):
        if not _HEADER_LINE.match(line):
            raise MusicZooError(
                f"{line.strip()[:40]!r} is neither a header line nor an interleaved bar.",
                where=f"line {number}",
                remedy="Write the tune with interleaved_lines (musiczoo.music.abc).",
            )
    if end and start == len(lines):
        raise MusicZooError(
            "The piece has no bars.",
            remedy="Give a tune with at least one bar that does not rest in every voice.",
        )


def _groups(line: str) -> list[str]:
    """A line of the body cut before its bar-lines.

    NotaGen's code pairs bar-lines and texts by counting, so that with two bar-lines in a row it
    silently loses the rest of the piece; here they stay together in one group.
    """
    cuts = [0]
    previous_end = 0
    for bar_line in _BAR_LINE.finditer(line):
        if bar_line.start() != previous_end:
            cuts.append(bar_line.start())
        previous_end = bar_line.end()
    # What follows the last bar-line of a line belongs to its last voice.
    if len(cuts) > 1 and "V" not in line[cuts[-1] :]:
        cuts.pop()
    return [line[cut:next_cut] for cut, next_cut in zip(cuts, [*cuts[1:], len(line)], strict=True)]
