"""The written notes of a bar, in chords and grace groups too: found, and rewritten in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from musiczoo.music.abc.tokens import NOTE_PARTS, Token, tokenize


class NoteText(NamedTuple):
    """How the pitch of one note is written.

    Attributes:
        accidental: ``""``, ``"^"``, ``"_"``, ``"="`` ...
        letter: The letter, lower case from C5 upwards.
        marks: Octave marks, commas or apostrophes.
    """

    accidental: str
    letter: str
    marks: str


def heads_and_signs(text: str, offset: int = 0) -> Iterator[Token]:
    """The notes, inline fields and overlay signs (``&``) of a bar, in the order of the text.

    Args:
        text: The music code of a bar.
        offset: Added to the places.

    Yields:
        Tokens of kind ``note`` (with the length, as it stands), ``field`` and ``overlay``.
    """
    for token in tokenize(text):
        if token.kind in ("note", "field", "overlay"):
            yield Token(token.kind, token.text, token.start + offset)
        elif token.kind in ("chord", "grace"):
            inner = token.text[1 : token.text.rindex("]" if token.kind == "chord" else "}")]
            yield from heads_and_signs(inner, token.start + offset + 1)


def note_texts(text: str) -> list[NoteText]:
    """The written pitches of a bar, in order."""
    return [note_text(token.text) for token in heads_and_signs(text) if token.kind == "note"]


def note_text(token: str) -> NoteText:
    """The written pitch of a note token."""
    match = NOTE_PARTS.match(token)
    assert match is not None
    return NoteText(match[1] or "", match[2], match[3])


def replaced_notes(text: str, changes: Mapping[int, NoteText]) -> str:
    """A bar with other pitches at some of its notes; lengths, ties and everything else stay.

    Args:
        text: The music code of a bar.
        changes: New pitches by the position of the note among those of :func:`note_texts`.
    """
    parts: list[str] = []
    end = 0
    notes = (token for token in heads_and_signs(text) if token.kind == "note")
    for index, token in enumerate(notes):
        if index in changes:
            written = "".join(note_text(token.text))
            parts += (text[end : token.start], *changes[index])
            end = token.start + len(written)
    return "".join(parts) + text[end:]
