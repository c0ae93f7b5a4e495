"""ABC text to tunes: books of tunes, single tunes, standard multi-voice form and interleaved form.

What a :class:`Tune` does not carry is left out here: lyrics (``w:``, ``W:``), symbol lines
(``s:``), comments, ``%%`` directives and background fields within the body, line marks. Fields of
the body that change the music become inline fields of the next bar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from musiczoo.music.abc.bars import merged_bar_line, split_bars
from musiczoo.music.abc.parse import header_meter, header_unit
from musiczoo.music.abc.rests import BarClock, rest_letters, restored_line
from musiczoo.music.abc.score import parse_voice_field
from musiczoo.music.abc.tokens import NOTE, TOKEN
from musiczoo.music.abc.tune import Bar, Field, Tune, Voice
from musiczoo.music.errors import MusicZooError

#: Larger than any book of tunes known to us (the 1,200 tunes of Aird are 0.4 MB).
MAX_BYTES = 64 * 2**20

_FIELD = re.compile(r"([A-Za-z+]):[ \t]*(.*)$")
#: Fields of a tune's body that change the music and may stand inline (standard 3.2).
_INLINE_FIELDS = "KLMPQI"
_COMMENT = re.compile(r'((?:[^"%\\]|\\.|"[^"]*"|"[^"]*$)*?)(?<!\\)%.*$')
_VOICE_SWITCH = re.compile(r"\[V:\s*([^\]\s]{1,80})[^\]]{0,400}\]")
_REMARK = re.compile(r"\[r:[^\]]{0,80}\]")
#: Chords of ABC before version 1.6, such as ``+E3A3+``; dynamics (``+ff+``) look alike.
_OLD_CHORD = re.compile(rf"\+(?!f+\+)((?:{NOTE}){{2,}})\+")
_MULTI_REST = re.compile(r"([ZX])(\d{1,4})$")
#: Field lines of the body; letters A to G need a look ahead because ``A:|`` is music.
_BODY_FIELD = re.compile(r"([H-Zh-z+]):(?![|:])[ \t]*(.*)$|([A-G]):(?![|:\]\d])[ \t]*(.*)$")
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
    """Decode the bytes of an ABC file: UTF-8 with or without a byte-order mark, else Latin-1 as old collections have it.

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

    In the interleaved form (every line of music begins with ``[V:n]``, an ``[r:i/j]`` before it is
    passed over) voices that are missing from a line come back as rests of that line's length.

    Raises:
        MusicZooError: An empty text, no ``K:`` line, no music, binary data; with the line.
    """
    preamble, blocks = _split(text, path)
    return _read_tune(blocks[0], preamble, path)


def read_abc_book(text: str, path: str | None = None) -> AbcBook:
    """Read every tune of an ABC text.

    A tune that cannot be read costs no other one and is reported in ``errors``.

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
        if (item := _header_field(line.text)) is not None and item.name in _INHERITED
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


def _without_comment(text: str) -> str:
    if "%" not in text:
        return text
    match = _COMMENT.match(text)
    return match[1] if match else text


def _header_field(text: str) -> Field | None:
    """A header line as a field; None for a line that is none."""
    stripped = text.strip()
    if stripped.startswith("%%"):
        return Field("%%", stripped[2:].strip())
    if stripped.startswith("%"):
        return Field("%", stripped[1:])
    match = _FIELD.match(stripped)
    return Field(match[1], _without_comment(match[2]).strip()) if match else None


def _read_tune(lines: list[_Line], inherited: list[Field], path: str | None) -> Tune:
    header, body_start = _read_header(lines, path)
    own = {item.name for item in header if not item.name.startswith("%")}
    defaults = [item for item in inherited if item.name == "%%" or item.name not in own]
    if defaults:
        place = 1 if header and header[0].name == "X" else 0
        header[place:place] = defaults
    body = _Body(header)
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
        found = _header_field(line.text)
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


class _Body:
    """Collects the music of each voice from the lines after ``K:``."""

    def __init__(self, header: list[Field]) -> None:
        self.header = header
        self.defined = [parse_voice_field(item.value).id for item in header if item.name == "V"]
        self.current = self.defined[0] if self.defined else "1"
        self.texts: dict[str, list[str]] = {}
        #: For the interleaved form: the pieces of each line of music, voice by voice.
        self.rows: list[list[tuple[str, str]]] = []
        self.interleaved = True
        self.counted = False
        self.started = False

    def add(self, text: str) -> None:
        """Take one line of the body."""
        stripped = text.strip()
        if not stripped:
            return
        if stripped.startswith("%"):
            if not self.started:
                found = _header_field(stripped)
                if found is not None:
                    self.header.append(found)
            return
        field = _BODY_FIELD.match(stripped)
        if field is not None:
            self.add_field(
                field[1] or field[3], _without_comment(field[2] if field[1] else field[4]).strip()
            )
            return
        self.add_music(_without_comment(stripped))

    def add_field(self, name: str, value: str) -> None:
        if name == "V":
            if not value:
                return
            definition = parse_voice_field(value)
            if definition.id not in self.defined:
                self.defined.append(definition.id)
                self.header.append(Field("V", value))
            self.current = definition.id
        elif name in _INLINE_FIELDS:
            if name == "I" and not self.started:
                self.header.append(Field(name, value))
            elif name != "I" or not value.startswith("linebreak"):
                self.texts.setdefault(self.current, []).append(
                    f"[{name}:{value.replace('[', '').replace(']', '')}]"
                )
                self.interleaved = False

    def add_music(self, text: str) -> None:
        if text.endswith("\\"):
            text = text[:-1]
        if "[r:" in text:
            text = _REMARK.sub("", text).lstrip()
            self.counted = True
        if "+" in text:
            text = _OLD_CHORD.sub(r"[\1]", text)
        if not text.strip():
            return
        self.started = True
        self.interleaved = self.interleaved and text.startswith("[V:")
        row: list[tuple[str, str]] = []
        place = 0
        for match in _VOICE_SWITCH.finditer(text):
            self.add_piece(row, text[place : match.start()])
            self.current = match[1]
            place = match.end()
        self.add_piece(row, text[place:])
        self.rows.append(row)

    def add_piece(self, row: list[tuple[str, str]], piece: str) -> None:
        if piece.strip():
            row.append((self.current, piece))
            self.texts.setdefault(self.current, []).append(piece + "\n")

    def tune(self, path: str | None) -> Tune:
        together = any(len({voice for voice, _ in row}) > 1 for row in self.rows)
        if self.interleaved and (
            self.counted or together or len(self.texts) == 1 < len(self.defined)
        ):
            voices = self.interleaved_voices(path)
        else:
            voices = self.standard_voices()
        if len(voices) > 1 or self.defined:
            self.header += [
                Field("V", voice.id) for voice in voices if voice.id not in self.defined
            ]
        return Tune(tuple(self.header), voices, path)

    def standard_voices(self) -> tuple[Voice, ...]:
        voices = []
        for identifier, pieces in self.texts.items():
            bars, rest = split_bars("".join(pieces))
            if rest and bars:
                bars = (*bars[:-1], replace(bars[-1], text=f"{bars[-1].text} {rest}"))
            if bars:
                voices.append(Voice(identifier, bars))
        if len(voices) > 1:
            voices = [replace(voice, bars=_expanded_rests(voice.bars)) for voice in voices]
        return tuple(voices)

    def interleaved_voices(self, path: str | None) -> tuple[Voice, ...]:
        identifiers = list(dict.fromkeys([*self.defined, *self.texts]))
        complete = next(
            (
                names
                for row in self.rows
                if len(names := list(dict.fromkeys(voice for voice, _ in row))) == len(identifiers)
            ),
            None,
        )
        if complete is not None:
            identifiers = complete
        elif all(identifier.isdigit() for identifier in identifiers):
            # The header lists voices in score order, the body in numeric order.
            identifiers.sort(key=int)
        header = Tune(tuple(self.header), ())
        clocks = {
            identifier: BarClock(header_unit(header), header_meter(header))
            for identifier in identifiers
        }
        letters = rest_letters(self.header)
        voices: dict[str, list[Bar]] = {identifier: [] for identifier in identifiers}
        carried: dict[str, str] = {}
        for number, row in enumerate(self.rows):
            pieces: dict[str, str] = {}
            for identifier, piece in row:
                pieces[identifier] = pieces.get(identifier, carried.pop(identifier, "")) + piece
            columns: dict[str, tuple[Bar, ...]] = {}
            for identifier, piece in pieces.items():
                columns[identifier], rest = split_bars(piece)
                if rest:
                    carried[identifier] = rest
            for index in range(max((len(bars) for bars in columns.values()), default=0)):
                present = {
                    identifier: bars[index]
                    for identifier, bars in columns.items()
                    if index < len(bars)
                }
                try:
                    line = restored_line(present, identifiers, clocks, letters)
                except MusicZooError as error:
                    raise error.at(path=path, where=f"bar line {number + 1}") from None
                for identifier, bar in line.items():
                    _append(voices[identifier], bar)
        return tuple(Voice(identifier, tuple(bars)) for identifier, bars in voices.items() if bars)


def _append(bars: list[Bar], bar: Bar) -> None:
    """Add a bar; a bar-line at its left end joins that of the bar before."""
    if bars and bar.left:
        bars[-1] = replace(bars[-1], right=merged_bar_line(bars[-1].right, bar.left))
        bar = replace(bar, left="")
    bars.append(bar)


def _expanded_rests(bars: tuple[Bar, ...]) -> tuple[Bar, ...]:
    """The bars with rests of several bars (``Z4``) written as that many bars, so that voices stay side by side."""
    expanded: list[Bar] = []
    for bar in bars:
        match = _MULTI_REST.search(bar.text)
        if match is None or any(
            token.lastgroup in ("note", "chord", "rest")
            for token in TOKEN.finditer(bar.text[: match.start()])
        ):
            expanded.append(bar)
            continue
        count = max(1, int(match[2]))
        first = Bar(bar.text[: match.start()] + match[1], "|", bar.left)
        run = [first] + [Bar(match[1], "|")] * (count - 1)
        run[-1] = replace(run[-1], right=bar.right)
        expanded += run
    return tuple(expanded)
