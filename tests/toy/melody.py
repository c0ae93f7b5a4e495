"""One voice of ABC as tokens: a letter for each quarter note, without accidentals."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.base import Representation, padded

PAD, BOS, EOS = 0, 1, 2
LETTERS = "CDEFGABcdefgabz|"


class Melody(Representation[Tune]):
    """The letters of a tune's first voice, one token each.

    Args:
        max_length: Tokens of a piece at most.
    """

    vocabulary = ("PAD", "BOS", "EOS", *LETTERS)

    def __init__(self, max_length: int = 48) -> None:
        self.max_length = max_length

    def encode(
        self, piece: Tune, *, max_length: int | None = None, rng: random.Random | None = None
    ) -> Tensor:
        """(tokens,) int64; what has no letter is left out."""
        text = "|".join(bar.text for bar in piece.voices[0].bars)
        letters = "".join(letter for letter in text if letter in LETTERS)
        if not letters.strip("z|"):
            raise MusicZooError("The piece has no note with a letter.", remedy="Leave it out.")
        ids = torch.cat([self.encode_text(letters), torch.tensor([EOS])])
        longest = max_length or self.max_length
        start = rng.randint(0, len(ids) - longest) if rng and len(ids) > longest else 0
        return ids[start : start + longest]

    def encode_text(self, text: str) -> Tensor:
        """(tokens,) int64 of letters, with BOS before them."""
        if unknown := sorted(set(text) - set(LETTERS)):
            raise MusicZooError(
                f"There is no letter {unknown[0]!r}.", remedy=f"There are {LETTERS}."
            )
        return torch.tensor([BOS, *(3 + LETTERS.index(letter) for letter in text)])

    def text(self, encoded: Tensor | Sequence[int]) -> str:
        """The letters of ids (tokens,)."""
        return "".join(self.vocabulary[int(number)] for number in encoded if int(number) > EOS)

    def decode(self, encoded: Tensor) -> Tune:
        """The tune of ids (tokens,)."""
        text = self.text(encoded)
        if not text.strip("|"):
            raise MusicZooError("There is no note.")
        return read_abc(f"X:1\nL:1/4\nM:none\nK:C\n{text}|]\n")

    def collate(self, encoded: Sequence[Tensor]) -> dict[str, Tensor]:
        """``ids`` (batch, longest) and ``lengths`` (batch,)."""
        return padded(encoded, "ids")

    def to_config(self) -> dict[str, int]:
        """The settings."""
        return {"max_length": self.max_length}
