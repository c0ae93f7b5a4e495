"""Texts as tokens: byte-level BPE trained on the data, plain bytes, or a tokenizer of transformers.

Text is split into bytes first (Radford et al. 2019, "Language Models are Unsupervised Multitask
Learners"), so that every text has ids and comes back as it was. Tokens are those of the library
``tokenizers``, on which transformers builds.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from musiczoo.music.errors import MusicZooError
from musiczoo.representations.base import Representation, padded

PAD, BOS, EOS = 0, 1, 2
# No byte is written with these brackets, so that no merge can ever give one of these names.
_SPECIALS = ("⟨PAD⟩", "⟨BOS⟩", "⟨EOS⟩")


class TextTokens(Representation[str]):
    r"""Texts as ids of a tokenizer.

    Args:
        tokenizer: The content of a ``tokenizer.json``; None for bytes.
        bos: The id that begins a text.
        eos: The id that ends it.
        max_length: Tokens of a text at most; None for no limit.

    Attributes:
        vocabulary: The tokens in the order of their ids, as the tokenizer spells them.

    Raises:
        MusicZooError: No tokenizer of the library ``tokenizers``, or an id that it does not have.

    Example:
        >>> representation = TextTokens.train(["CDEF GABc|", "cBAG FEDC|"] * 4, vocabulary=264)
        >>> ids = representation.encode("CDEF GABc|")
        >>> len(ids), len(TextTokens.bytes().encode("CDEF GABc|"))
        (10, 12)
        >>> representation.decode(ids)
        'CDEF GABc|'
    """

    def __init__(
        self,
        tokenizer: Mapping[str, Any] | None = None,
        *,
        bos: int = BOS,
        eos: int = EOS,
        max_length: int | None = None,
    ) -> None:
        self.tokenizer = _bytes() if tokenizer is None else _opened(tokenizer)
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        known = self.tokenizer.get_vocab(with_added_tokens=True)
        names = {number: token for token, number in known.items()}
        # Some tokenizers leave ids out.
        self.vocabulary = tuple(names.get(number, "") for number in range(max(names) + 1))
        self.bos, self.eos, self.max_length = bos, eos, max_length
        if not {bos, eos} <= set(names):
            raise MusicZooError(
                f"The tokenizer has no ids {bos} and {eos} for the two ends of a text.",
                where="bos, eos",
                remedy="Give ids of its vocabulary.",
            )

    @classmethod
    def train(
        cls, texts: Iterable[str], vocabulary: int = 1000, *, max_length: int | None = None
    ) -> Self:
        """Byte-level BPE with the merges of some texts (Sennrich et al. 2016, arXiv 1508.07909).

        Args:
            texts: The texts. The same texts give the same tokens.
            vocabulary: Tokens at most, the 256 bytes and the three special ones included; fewer
                where nothing is left to merge.
            max_length: Tokens of a text at most.

        Raises:
            MusicZooError: A vocabulary that has no room for all bytes.
        """
        least = 256 + len(_SPECIALS)
        if vocabulary < least:
            raise MusicZooError(
                f"A vocabulary of {vocabulary} has no room for all bytes.",
                where="vocabulary",
                remedy=f"Give at least {least}.",
            )
        tokenizer = _byte_level(models.BPE(), words=True)
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=list(_SPECIALS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(json.loads(tokenizer.to_str()), max_length=max_length)

    @classmethod
    def bytes(cls, *, max_length: int | None = None) -> Self:
        """The 256 bytes of UTF-8 and the three special tokens."""
        return cls(max_length=max_length)

    @classmethod
    def from_file(cls, path: str | Path, *, bos: int, eos: int) -> Self:
        """The tokens of a ``tokenizer.json``; only JSON is read.

        Args:
            path: The file.
            bos: The id that begins a text.
            eos: The id that ends it.

        Raises:
            MusicZooError: The file cannot be read, or holds no tokenizer of this kind.
        """
        try:
            content = json.loads(Path(path).read_text("utf-8"))
            return cls(content, bos=bos, eos=eos)
        except (OSError, ValueError) as error:
            raise MusicZooError(
                f"The tokenizer cannot be read: {error}",
                path=path,
                remedy="Give the tokenizer.json that transformers saved.",
            ) from error
        except MusicZooError as error:
            raise error.at(path=path) from None

    def encode(
        self, piece: str, *, max_length: int | None = None, rng: random.Random | None = None
    ) -> Tensor:
        """The text as ids, BOS and EOS included.

        Args:
            piece: The text.
            max_length: Tokens at most, :attr:`max_length` when None; of a longer text a random
                part, its beginning without ``rng``.
            rng: Chooses the part.

        Returns:
            (tokens,) int64.

        Raises:
            MusicZooError: Half a surrogate pair, which is no text.
        """
        ids = torch.tensor([self.bos, *self.ids(piece), self.eos])
        most = self.max_length if max_length is None else max_length
        if most is None or len(ids) <= most:
            return ids
        start = rng.randint(0, len(ids) - most) if rng is not None else 0
        return ids[start : start + most]

    def encode_prompt(self, text: str) -> Tensor:
        """(tokens,) int64 ids of a text to continue: with BOS, without EOS.

        Raises:
            MusicZooError: Half a surrogate pair, which is no text.
        """
        return torch.tensor([self.bos, *self.ids(text)])

    def ids(self, text: str, *, special: bool = False) -> list[int]:
        """The ids of a text without its ends.

        Args:
            text: The text.
            special: Read special tokens that are written in it as such: right for templates, never
                for what users write.

        Raises:
            MusicZooError: Half a surrogate pair, which is no text.
        """
        # What a text holds is text, even where it looks like a special token. Set each time: a
        # pickled tokenizer forgets it.
        self.tokenizer.encode_special_tokens = not special
        try:
            return list(self.tokenizer.encode(text, add_special_tokens=False).ids)
        except (UnicodeEncodeError, TypeError) as error:
            raise MusicZooError(
                "The text holds half a surrogate pair, which no encoding of Unicode has.",
                remedy='Repair it: text.encode("utf-16", "surrogatepass").decode("utf-16").',
            ) from error

    def special(self, token: str) -> int | None:
        """The id of a token by its name, None where there is none."""
        found: int | None = self.tokenizer.token_to_id(token)
        return found

    def decode(self, encoded: Tensor | Sequence[int]) -> str:
        """The text of ids (tokens,), without special tokens.

        Where ids end inside a character, it is U+FFFD.
        """
        text: str = self.tokenizer.decode(
            [int(number) for number in encoded], skip_special_tokens=True
        )
        return text

    def text(self, encoded: Tensor | Sequence[int]) -> str:
        """As :meth:`decode`."""
        return self.decode(encoded)

    def collate(self, encoded: Sequence[Tensor]) -> dict[str, Tensor]:
        """Texts as one batch.

        Returns:
            ``ids`` (batch, longest), int64, 0 where a text has ended, and ``lengths`` (batch,),
            int64.
        """
        return padded(encoded, "ids")

    def to_config(self) -> dict[str, Any]:
        """The whole tokenizer, the ids of both ends and the limit, as plain JSON values."""
        return {
            "tokenizer": json.loads(self.tokenizer.to_str()),
            "bos": self.bos,
            "eos": self.eos,
            "max_length": self.max_length,
        }


def _byte_level(model: models.Model, *, words: bool) -> Tokenizer:
    """A tokenizer over bytes.

    Args:
        model: What joins them.
        words: Whether nothing is joined across words, as GPT-2 splits them.
    """
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=words)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _bytes() -> Tokenizer:
    """The tokenizer of bytes: BPE without merges."""
    # Bytes that print stand for themselves, the others for the characters from U+0100 on.
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = sorted(set(range(256)) - set(printed))
    signs = {byte: chr(byte) for byte in printed}
    signs |= {byte: chr(256 + number) for number, byte in enumerate(hidden)}
    first = len(_SPECIALS)
    vocabulary = {name: number for number, name in enumerate(_SPECIALS)}
    vocabulary |= {signs[byte]: first + byte for byte in range(256)}
    tokenizer = _byte_level(models.BPE(vocabulary, []), words=False)
    tokenizer.add_special_tokens(list(_SPECIALS))
    return tokenizer


def _opened(content: Mapping[str, Any]) -> Tokenizer:
    try:
        return Tokenizer.from_str(json.dumps(content))
    except Exception as error:
        # The library raises plain Exception for whatever is wrong.
        raise MusicZooError(
            f"This is no tokenizer: {error}",
            where="tokenizer",
            remedy="Give the content of a tokenizer.json that the library tokenizers reads.",
        ) from error
