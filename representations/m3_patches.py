"""M3 patches: 64 characters for each bar of a voice, header line or run of MIDI messages.

Wu et al. 2024, "CLaMP 2" (arXiv 2410.13267), section 3.2. A character is its ASCII code; the codes
0 to 3, which no text holds, are padding, the begin mark, the end mark and the mask of pre-training:

================  ================================================================================
patch             characters
================  ================================================================================
begin of a piece  64 begin marks
text              a begin mark, up to 62 characters and an end mark; of longer text the first 63;
                  padding
end of a piece    a begin mark, 63 end marks
================  ================================================================================

ABC comes interleaved: a header line is one patch, and a line of the body is cut after each
bar-line. Text in MIDI text format (MTF, one message a line) has runs of messages of one type packed
into one patch.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

import torch
from unidecode import unidecode

from musiczoo.music.abc import Tune, interleaved_lines, read_abc
from musiczoo.music.abc.cleaning import clean
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.base import Representation, padded

PAD, BOS, EOS, MASK = 0, 1, 2, 3
VOCABULARY = 128

_BAR_LINE = re.compile(r"(\|:|::|:\||\[\||\|\||\|\]|\|)")
_LINE = re.compile(r"[^\n]+\n?")
_HEADER_LINE = re.compile(r"[A-Za-z]:|%%")
_UNIT_LENGTH = "L:1/8"
_MTF = "ticks_per_beat"


def abc_text(tune: Tune) -> str:
    """Interleaved ABC of a tune as CLaMP 2 was trained on it.

    It is cleaned, keeps all rests, and has no comment lines, so no prompt labels either.

    Args:
        tune: Any tune whose voices have the same number of bars.

    Raises:
        MusicZooError: Voices with different numbers of bars.
    """
    tune = clean(tune)
    return "\n".join(
        [*(field.text for field in tune.header if field.name != "%"), *interleaved_lines(tune), ""]
    )


class M3Patches(Representation[Tune]):
    r"""Pieces as M3 patches.

    Args:
        patch_size: Characters of a patch (64 in every published model).
        max_length: Patches of a crop, the encoder's context.
        strip_unit_length: Leave out the lines ``L:1/8``, as M3 and CLaMP 2 were trained and
            CLaMP 3 always does; CLaMP 2's published program for features keeps them.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> representation = M3Patches()
        >>> patches = representation.encode(read_abc("M:4/4\nL:1/8\nK:C\nC2E2G2c2|c8|"))
        >>> patches.shape, patches.dtype
        (torch.Size([6, 64]), torch.uint8)
        >>> representation.decode_text(patches[3:4])
        '[V:1]C2E2G2c2|\n'
    """

    max_length: int

    def __init__(
        self, patch_size: int = 64, max_length: int = 512, strip_unit_length: bool = True
    ) -> None:
        if patch_size < 3 or max_length < 1:
            raise MusicZooError(
                f"{max_length} patches of {patch_size} characters hold no piece.",
                remedy="The published models use 512 of 64.",
            )
        self.patch_size = patch_size
        self.max_length = max_length
        self.strip_unit_length = strip_unit_length

    def encode(
        self, piece: Tune, *, max_length: int | None = None, rng: random.Random | None = None
    ) -> torch.Tensor:
        """The patches of a tune.

        A piece that is too long is cropped: its head, its tail or a middle, each as likely as the
        others (published code).

        Args:
            piece: Any tune whose voices have the same number of bars.
            max_length: Patches at most; None for the representation's own.
            rng: Chooses the crop; None keeps the head.

        Returns:
            Character codes, shape (patches, patch_size), uint8.

        Raises:
            MusicZooError: Voices with different numbers of bars.
        """
        limit = self.max_length if max_length is None else max_length
        patches = self.encode_text(abc_text(piece))
        excess = len(patches) - limit
        start = 0
        if excess > 0 and rng is not None:
            start = rng.choice((0, excess, rng.randint(0, excess)))
        return patches[start : start + limit]

    def encode_text(self, text: str) -> torch.Tensor:
        """The patches of interleaved ABC or of MIDI text format, however many they are.

        As published, comment lines (``%``) and what follows the last bar-line of a line are left
        out.

        Args:
            text: ABC, or MTF, which begins with ``ticks_per_beat``.

        Returns:
            Character codes, shape (patches, patch_size), uint8: the begin patch, the text's, the
            end patch.
        """
        lines = _LINE.findall(unidecode(text))
        pieces = (
            _mtf_pieces(lines, self.patch_size - 2)
            if lines and lines[0].startswith(_MTF)
            else self._abc_pieces(lines)
        )
        size = self.patch_size
        rows = [bytes([BOS]) * size]
        for piece in pieces:
            codes = bytes([BOS]) + piece.encode("ascii", "ignore") + bytes([EOS])
            rows.append(codes[:size].ljust(size, bytes([PAD])))
        rows.append(bytes([BOS]) + bytes([EOS]) * (size - 1))
        flat = torch.frombuffer(bytearray(b"".join(rows)), dtype=torch.uint8)
        return flat.reshape(-1, size)  # (patches * patch_size,) -> (patches, patch_size)

    def encode_texts(self, texts: Sequence[str]) -> list[torch.Tensor]:
        """The patches of each text, shape (patches, patch_size) each, as of :meth:`encode_text`.

        Raises:
            MusicZooError: A text that holds no music.
        """
        pieces = [self.encode_text(text) for text in texts]
        for index, patches in enumerate(pieces):
            if len(patches) <= 2:
                raise MusicZooError(
                    "The text holds no music.",
                    where=f"text {index}",
                    remedy="Give interleaved ABC or MIDI text format.",
                )
        return pieces

    def decode_text(self, patches: torch.Tensor) -> str:
        """The text of patches (patches, patch_size) without begin and end; what was cut is lost."""
        rows = patches.to("cpu", torch.uint8).numpy()
        return "".join(
            row.tobytes()[1:]
            .partition(b"\x02")[0]
            .translate(None, b"\x00\x01\x03")
            .decode("ascii", "replace")
            for row in rows
        )

    def decode(self, encoded: torch.Tensor) -> Tune:
        """The tune of patches of ABC; bars of more than 62 characters have lost their ends.

        Raises:
            MusicZooError: The text is no tune.
        """
        return read_abc(self.decode_text(encoded))

    def collate(self, encoded: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Pieces as one batch.

        Returns:
            ``patches`` (batch, longest, patch_size), uint8, zero where a piece has ended, and
            ``lengths`` (batch,), int64.
        """
        return padded(encoded, "patches")

    def to_config(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return {
            "patch_size": self.patch_size,
            "max_length": self.max_length,
            "strip_unit_length": self.strip_unit_length,
        }

    def _abc_pieces(self, lines: list[str]) -> list[str]:
        pieces: list[str] = []
        for line in lines:
            if line.startswith("%") and not line.startswith("%%"):
                continue
            if self.strip_unit_length and line.strip() == _UNIT_LENGTH:
                continue
            if _HEADER_LINE.match(line):
                pieces.append(line)
                continue
            parts = [part for part in _BAR_LINE.split(line) if part]
            if len(parts) > 1 and _BAR_LINE.fullmatch(parts[0]):
                parts[:2] = [parts[0] + parts[1]]
            # Texts and bar-lines are paired by counting, so that two bar-lines in a row shift the
            # pairs of the rest of their line. The published weights know such lines no other way.
            bars = [
                text + bar_line for text, bar_line in zip(parts[0::2], parts[1::2], strict=False)
            ]
            if bars:
                bars[-1] += "\n"
                pieces += bars
        return pieces


def _mtf_pieces(lines: list[str], room: int) -> list[str]:
    """Messages, a run of one type as one piece as far as it fits: its type, then tab and values."""
    pieces: list[str] = []
    kind = None
    for line in lines:
        name, _, values = line.partition(" ")
        # Newlines are counted with both, as in the published code; the tab replaces one of them.
        if name == kind and len(pieces[-1]) + len(values) <= room:
            pieces[-1] = f"{pieces[-1][:-1]}\t{values}"
        else:
            kind = name
            pieces.append(line)
    return pieces
