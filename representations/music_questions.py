r"""Questions about pieces and their answers: rows of a table, of notes and of text tokens.

A row has nine numbers: what it is (a note of the music, a token of the prompt, a token of the
answer), and the eight tokens of the note (:mod:`musiczoo.representations.octuple`) or the id of the
text token and seven zeros. So one tensor holds a piece, a question about it and the answer.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor

from musiczoo.music.abc.bare import bare_abc
from musiczoo.music.abc.cleaning import clean
from musiczoo.music.abc.tune import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.base import Representation, padded
from musiczoo.representations.octuple import FIELDS, OctupleMidi
from musiczoo.representations.text_tokens import TextTokens

if TYPE_CHECKING:
    from symusic.core import ScoreTick

MUSIC, PROMPT, ANSWER = 0, 1, 2
"""What a row is: the number in its first column."""

WIDTH = 1 + len(FIELDS)
# A question may be long; one that leaves no room for an answer is an error.
_MOST_CHARACTERS = 20_000
# Tokens left for an answer where an ABC text has to be cut.
_RESERVED = 64


class Asked(NamedTuple):
    """A question about a piece.

    Attributes:
        piece: A tune or a symusic score; None for a question without music.
        question: The question.
        answer: The answer; None where it is to be generated.
    """

    piece: Tune | ScoreTick | None
    question: str
    answer: str | None = None


@dataclass(frozen=True)
class QuestionTemplate:
    """The texts around music, question and answer.

    Attributes:
        head: Before the music.
        middle: Between music and question.
        tail: Between question and answer.
        lead: What question and answer begin with, such as a space.
        end: The special token that ends an answer; empty for the one that ends a text.
        is_chat: Whether special tokens are written in ``head``, ``middle`` and ``tail``; then the
            token that begins a text is not added.

    The default is ours: the paper does not give its template.
    """

    head: str = ""
    middle: str = "\nQuestion:"
    tail: str = "\nAnswer:"
    lead: str = " "
    end: str = ""
    is_chat: bool = False

    @classmethod
    def of_chat(cls, render: Any) -> QuestionTemplate:
        """The template of a chat model.

        Args:
            render: Writes a conversation as text: ``apply_chat_template`` of a tokenizer of
                transformers.

        Raises:
            MusicZooError: There is no chat template, or it does not write what it is given.
        """
        marks = ("⟨music⟩", "⟨question⟩", "⟨answer⟩")
        user = {"role": "user", "content": f"{marks[0]}\n{marks[1]}"}
        answer = {"role": "assistant", "content": marks[2]}
        try:
            text = str(render([user, answer], tokenize=False))
            head, rest = text.split(marks[0])
            middle, rest = rest.split(marks[1])
            tail, end = rest.split(marks[2])
        except Exception as error:
            # Templates are programs in files: what they raise is of no fixed kind.
            raise MusicZooError(
                f"The language model has no chat template that can be used ({error}).",
                where="template",
                remedy='Give template="plain".',
            ) from error
        return cls(head, middle, tail, "", end.strip(), is_chat=True)


class MusicQuestions(Representation[Asked]):
    r"""Questions about pieces as rows of nine numbers.

    Args:
        tokens: The text tokens of the language model.
        octuples: The notes.
        music: What stands for the music: ``"notes"``, or ``"abc"`` for its bare ABC text
            (:func:`musiczoo.music.abc.bare.bare_abc`), which only tunes have.
        template: The texts around.
        max_length: Rows of text at most, answer included; None for no limit.

    Attributes:
        end: The id that ends an answer.

    Raises:
        MusicZooError: A template whose end is no token.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> questions = MusicQuestions(TextTokens.bytes())
        >>> piece = read_abc("L:1/4\nK:C\nCEG|")
        >>> rows = questions.encode(Asked(piece, "How many notes?", "Three."))
        >>> rows.shape, questions.decode(rows).answer
        (torch.Size([48, 9]), 'Three.')
    """

    def __init__(
        self,
        tokens: TextTokens | Mapping[str, Any],
        octuples: OctupleMidi | Mapping[str, Any] | None = None,
        *,
        music: Literal["notes", "abc"] = "notes",
        template: QuestionTemplate | Mapping[str, Any] | None = None,
        max_length: int | None = None,
    ) -> None:
        self.tokens = tokens if isinstance(tokens, TextTokens) else TextTokens.from_config(tokens)
        if octuples is None or isinstance(octuples, Mapping):
            octuples = OctupleMidi.from_config(octuples or {})
        self.octuples = octuples
        self.music = music
        if template is None or isinstance(template, Mapping):
            template = QuestionTemplate(**(template or {}))
        self.template = template
        self.max_length = max_length
        end = self.tokens.special(template.end) if template.end else self.tokens.eos
        if end is None:
            raise MusicZooError(
                f"The token {template.end!r} that ends an answer does not exist.",
                where="template",
                remedy='Give template="plain", or the tokenizer of the chat template.',
            )
        self.end = end

    def encode(
        self, piece: Asked, *, max_length: int | None = None, rng: random.Random | None = None
    ) -> Tensor:
        """Piece, question and, where there is one, answer as rows.

        Args:
            piece: What is asked.
            max_length: Rows of text at most; an ABC text is cut where it does not fit.
            rng: Does nothing: questions are about the whole piece.

        Returns:
            (rows, 9) int64: the notes with ``<s>`` and ``</s>``, window after window, and the text.

        Raises:
            MusicZooError: A piece without notes, a question that is empty or too long.
        """
        most = self.max_length if max_length is None else max_length
        music = self.music_rows(piece.piece) if self.music == "notes" else None
        text = piece.piece if self.music == "abc" else None
        return self.around(music, piece.question, piece.answer, text, most)

    def music_rows(self, piece: Tune | ScoreTick | None) -> Tensor | None:
        """(notes, 9) rows of a piece, window after window; None for no piece.

        Raises:
            MusicZooError: A piece without notes.
        """
        if piece is None:
            return None
        notes = self.octuples.max_length - 2
        return rows_of(torch.cat(list(self.octuples.windows(piece, notes, notes))), MUSIC)

    def around(
        self,
        music: Tensor | None,
        question: str,
        answer: str | None,
        piece: Tune | ScoreTick | None = None,
        max_length: int | None = None,
    ) -> Tensor:
        """The rows of music with the text around them.

        Args:
            music: (rows, 9) of :meth:`music_rows`, or one row that stands for features.
            question: The question.
            answer: The answer, or None.
            piece: The tune whose ABC text stands for the music.
            max_length: Rows of text at most.

        Raises:
            MusicZooError: See :meth:`encode`.
        """
        question = question.strip()
        if not question or len(question) > _MOST_CHARACTERS:
            raise MusicZooError(
                f"A question of {len(question)} characters cannot be answered.",
                where="question",
                remedy=f"Ask something in at most {_MOST_CHARACTERS} characters.",
            )
        template = self.template
        bos = [] if template.is_chat else [self.tokens.bos]
        head = bos + self._own(template.head)
        after = [
            *self._own(template.middle),
            *self.tokens.ids(template.lead + question),
            *self._own(template.tail),
        ]
        target = []
        if answer is not None:
            target = [*self.tokens.ids(template.lead + answer.strip()), self.end]
        room = None if max_length is None else max_length - len(head) - len(after) - len(target)
        if room is not None and room < (answer is None):
            raise MusicZooError(
                f"A question with {len(after)} tokens does not fit into {max_length}.",
                where="question",
                remedy="Ask a shorter question.",
            )
        parts = [rows_of(torch.tensor(head, dtype=torch.int64), PROMPT)]
        if piece is not None:
            parts.append(rows_of(torch.tensor(self._abc(piece, room), dtype=torch.int64), PROMPT))
        elif music is not None:
            parts.append(music)
        parts.append(rows_of(torch.tensor(after, dtype=torch.int64), PROMPT))
        parts.append(rows_of(torch.tensor(target, dtype=torch.int64), ANSWER))
        return torch.cat(parts)

    def _abc(self, piece: Tune | ScoreTick, room: int | None) -> list[int]:
        """The ids of a tune's bare ABC; its end is kept whole where the middle has no room."""
        if not isinstance(piece, Tune):
            raise MusicZooError(
                "Only notated pieces have ABC text.",
                remedy="Give a tune, or a model that reads notes.",
            )
        ids = self.tokens.ids(bare_abc(clean(piece)))
        # What is generated has room too.
        most = len(ids) if room is None else max(0, room - _RESERVED)
        if len(ids) <= most:
            return ids
        half = most // 2
        return [*ids[: most - half], *(ids[-half:] if half else [])]

    def _own(self, text: str) -> list[int]:
        """Ids of a text of the template."""
        return self.tokens.ids(text, special=self.template.is_chat) if text else []

    def decode(self, encoded: Tensor) -> Asked:
        """The question and the answer of rows; the notes as a score."""
        kinds = encoded[:, 0]
        notes, answer = encoded[kinds == MUSIC, 1:], encoded[kinds == ANSWER, 1]
        text = self.tokens.decode(encoded[kinds == PROMPT, 1])
        tail = text.rfind(self.template.tail)
        middle = text.find(self.template.middle)
        start = middle + len(self.template.middle) if middle >= 0 else 0
        question = text[start : tail if tail >= 0 else None].strip()
        has_notes = len(notes) > 0 and bool((notes[:, 0] > 3).any())
        piece = self.octuples.decode(notes) if has_notes else None
        return Asked(piece, question, self.text(encoded) if len(answer) else None)

    def text(self, encoded: Tensor) -> str:
        """The answer of rows (rows, 9), or of ids of text (tokens,)."""
        ids = encoded if encoded.ndim == 1 else encoded[encoded[:, 0] == ANSWER, 1]
        return self.tokens.decode(ids[ids != self.end]).strip()

    def collate(self, encoded: Sequence[Tensor]) -> dict[str, Tensor]:
        """Questions as one batch.

        Returns:
            ``ids`` (batch, longest, 9), int64, and ``lengths`` (batch,), int64.
        """
        return padded(encoded, "ids")

    def to_config(self) -> dict[str, Any]:
        """The settings as plain JSON values, the whole tokenizer with them."""
        return {
            "tokens": self.tokens.to_config(),
            "octuples": self.octuples.to_config(),
            "music": self.music,
            "template": asdict(self.template),
            "max_length": self.max_length,
        }


def placeholder() -> Tensor:
    """(1, 9), the one row of music whose features are given beside."""
    return torch.zeros(1, WIDTH, dtype=torch.int64)


def rows_of(values: Tensor, kind: int) -> Tensor:
    """(n,) ids of text, or (n, 8) notes, as rows of one kind, (n, 9)."""
    rows = torch.zeros(len(values), WIDTH, dtype=torch.int64)
    rows[:, 0] = kind
    if values.ndim == 1:
        rows[:, 1] = values
    else:
        rows[:, 1:] = values
    return rows
