"""ABC text to tunes: books of tunes, single tunes, standard multi-voice form and interleaved form.

What a :class:`Tune` does not hold is left out here: lyrics (``w:``, ``W:``), symbol lines
(``s:``), comments, ``%%`` directives and background fields within the body, line marks. Fields of
the body that change the music become inline fields of the next bar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from musiczoo.music.abc.body import TuneBody, header_field
from musiczoo.music.abc.tune import Field, Tune
from musiczoo.music.errors import MusicZooError

#: Larger than any book of tunes known to us (the 1,200 tunes of Aird are 0.4 MB).
MAX_BYTES = 64 * 2**20

# Fields of the file header that hold for every tune of the book.
_INHERITED = ("M", "L", "Q", "I", "%%")


@dataclass(frozen=True)
class AbcBook:
    """The tunes of a text and what kept others from being read.

    Attributes:
        tunes: The tunes in order.
        errors: One error for each tune that could not be read, with its line.
    """

    tunes: tuple[Tune, ...]
    errors: tuple[MusicZooError, ...]

    def __iter__(self) -> Iterator[Tune]:
        return iter(self.tunes)

    def __len__(self) -> int:
        return len(self.tunes)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str


def decode_abc(data: bytes, path: str | None = None) -> str:
    """The text of an ABC file: UTF-8 or UTF-16, else Latin-1, which old collections use.

    Raises:
        MusicZooError: Binary data, UTF-16 without a byte-order mark, or more than 64 MiB.
    """
    if len(data) > MAX_BYTES:
        raise MusicZooError(
            f"{len(data) / 2**20:.0f} MB are too much for an ABC text.",
            path=path,
            remedy="Split the book into files of at most 64 MB.",
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            raise MusicZooError(
                "the text is neither UTF-8 nor UTF-16.", path=path, remedy="Save it as UTF-8."
            ) from None
    if b"\x00" in data:
        raise MusicZooError("this is binary data, not ABC text.", path=path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_abc(text: str, path: str | None = None) -> Tune:
    """Read the first tune of an ABC text, in standard or interleaved form, with or without ``X:``.

    In the interleaved form (every line of music begins with ``[V:n]``; bar counters ``[r:i/j]``
    are skipped) voices that are missing from a line come back as rests of that line's length.

    Raises:
        MusicZooError: An empty text, no ``K:`` line, no music, binary data; with the line.
    """
    preamble, blocks = _split(text, path)
    return _read_tune(blocks[0], preamble, path)


def read_abc_book(text: str, path: str | None = None) -> AbcBook:
    """Read every tune of an ABC text.

    A tune that cannot be read is reported in ``errors``; all others are read.

    Raises:
        MusicZooError: An empty text or binary data.
    """
    preamble, blocks = _split(text, path)
    tunes: list[Tune] = []
    errors: list[MusicZooError] = []
    for block in blocks:
        try:
            tunes.append(_read_tune(block, preamble, path))
        except MusicZooError as error:
            errors.append(error)
    return AbcBook(tuple(tunes), tuple(errors))


def _split(text: str, path: str | None) -> tuple[list[Field], list[list[_Line]]]:
    """The inherited fields of the file header and the lines of each tune."""
    if "\x00" in text:
        raise MusicZooError("this is binary data, not ABC text.", path=path)
    lines = [
        _Line(number, line.rstrip())
        for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1)
    ]
    if not any(line.text.strip() for line in lines):
        raise MusicZooError("the text is empty.", path=path)
    starts = [place for place, line in enumerate(lines) if re.match(r"\s*X:", line.text)]
    if not starts:
        return [], [lines]
    before = lines[: starts[0]]
    if len(starts) == 1:
        # A prompt of comment lines may stand before the X: of a single tune.
        return [], [before + lines[starts[0] :]]
    preamble = [
        item
        for line in before
        if (item := header_field(line.text)) is not None and item.name in _INHERITED
    ]
    blocks = [
        _without_free_text(lines[start:stop]) for start, stop in pairwise([*starts, len(lines)])
    ]
    return preamble, blocks


def _without_free_text(lines: list[_Line]) -> list[_Line]:
    """The lines of one tune of a book: a blank line ends it unless music follows."""
    in_body = False
    for place, line in enumerate(lines):
        stripped = line.text.strip()
        if in_body and not stripped:
            following = next((later.text for later in lines[place:] if later.text.strip()), "")
            if "|" not in following and not re.match(r"\s*(?:\[?V:|%)", following):
                return lines[:place]
        in_body = in_body or stripped.startswith("K:")
    return lines


def _read_tune(lines: list[_Line], inherited: list[Field], path: str | None) -> Tune:
    header, body_start = _read_header(lines, path)
    own = {item.name for item in header if not item.name.startswith("%")}
    defaults = [item for item in inherited if item.name == "%%" or item.name not in own]
    if defaults:
        place = 1 if header and header[0].name == "X" else 0
        header[place:place] = defaults
    body = TuneBody(header)
    for line in lines[body_start:]:
        body.add(line.text)
    tune = body.tune(path)
    if not any(voice.bars for voice in tune.voices):
        raise MusicZooError("the tune has no music.", path=path, where=f"line {lines[0].number}")
    return tune


def _read_header(lines: list[_Line], path: str | None) -> tuple[list[Field], int]:
    """The header up to ``K:`` and where the lines after it begin."""
    header: list[Field] = []
    for place, line in enumerate(lines):
        if not line.text.strip():
            continue
        found = header_field(line.text)
        if found is None:
            # Stray text in a header is passed over, but music before K: means that K: is missing.
            if line.text.lstrip().startswith(("[V:", "[r:")):
                raise MusicZooError(
                    "music begins before a K: line.",
                    path=path,
                    where=f"line {line.number}",
                    remedy="Add the key, such as K:C.",
                )
            continue
        if found.name == "+" and header:
            header[-1] = replace(header[-1], value=f"{header[-1].value} {found.value}".strip())
            continue
        header.append(found)
        if found.name == "K":
            return header, place + 1
    raise MusicZooError(
        "the tune has no K: line.",
        path=path,
        where=f"line {lines[0].number}",
        remedy="Every tune needs a key, such as K:C, at the end of its header.",
    )
