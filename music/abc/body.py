"""The lines of an ABC tune: fields and comments, and the body as the bars of voices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from musiczoo.music.abc.bars import merged_bar_line, split_bars
from musiczoo.music.abc.keys import meter_of, unit_of
from musiczoo.music.abc.notation import Bar, Field, Voice
from musiczoo.music.abc.rests import BarClock, rest_letters, restored_line
from musiczoo.music.abc.score import parse_voice_field
from musiczoo.music.abc.tokens import NOTE, TOKEN
from musiczoo.music.abc.tune import Tune
from musiczoo.music.errors import MusicZooError

# Fields of a tune's body that change the music and may stand inline (standard 3.2).
_INLINE_FIELDS = "KLMPQI"
_VOICE_SWITCH = re.compile(r"\[V:\s*([^\]\s]{1,80})[^\]]{0,400}\]")
_REMARK = re.compile(r"\[r:[^\]]{0,80}\]")
# Chords of ABC before version 1.6, such as ``+E3A3+``; dynamics (``+ff+``) look alike.
_OLD_CHORD = re.compile(rf"\+(?!f+\+)((?:{NOTE}){{2,}})\+")
_MULTI_REST = re.compile(r"([ZX])(\d{1,4})$")
_HEADER_FIELD = re.compile(r"([A-Za-z+]):[ \t]*(.*)$")
_COMMENT = re.compile(r'((?:[^"%\\]|\\.|"[^"]*"|"[^"]*$)*?)(?<!\\)%.*$')
# Field lines of the body; for A to G what follows decides, because ``A:|`` is music.
_FIELD = re.compile(r"([H-Zh-z+]):(?![|:])[ \t]*(.*)$|([A-G]):(?![|:\]\d])[ \t]*(.*)$")


def without_comment(text: str) -> str:
    """A line without the comment at its end; a percent sign between quotes begins none."""
    if "%" not in text:
        return text
    match = _COMMENT.match(text)
    return match[1] if match else text


def header_field(text: str) -> Field | None:
    """A header line as a field; None for a line that is no header line."""
    stripped = text.strip()
    if stripped.startswith("%%"):
        return Field("%%", stripped[2:].strip())
    if stripped.startswith("%"):
        return Field("%", stripped[1:])
    match = _HEADER_FIELD.match(stripped)
    return Field(match[1], without_comment(match[2]).strip()) if match else None


class TuneBody:
    """Collects the music of each voice from the lines after ``K:``.

    Args:
        header: The header; fields of the body that belong to it are added in place.
    """

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
        """Read one line of the body."""
        stripped = text.strip()
        if not stripped:
            return
        if stripped.startswith("%"):
            if not self.started:
                found = header_field(stripped)
                if found is not None:
                    self.header.append(found)
            return
        field = _FIELD.match(stripped)
        if field is not None:
            self.add_field(
                field[1] or field[3], without_comment(field[2] if field[1] else field[4]).strip()
            )
            return
        self.add_music(without_comment(stripped))

    def add_field(self, name: str, value: str) -> None:
        """Read a field line: it switches the voice, or becomes an inline field."""
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
        """Read a line of music code, which may switch voices."""
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
        """Add a stretch of music code to the current voice."""
        if piece.strip():
            row.append((self.current, piece))
            self.texts.setdefault(self.current, []).append(piece + "\n")

    def tune(self, path: str | None) -> Tune:
        """The tune of all lines read.

        Raises:
            MusicZooError: Music code of the interleaved form that cannot be read.
        """
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
        """The voices of the standard form: the text of each voice cut into bars."""
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
        """The voices of the interleaved form, the rests that were left out restored."""
        identifiers = self.ordered_voices()
        unit, meter = unit_of(self.header), meter_of(self.header)
        clocks = {identifier: BarClock(unit, meter) for identifier in identifiers}
        letters = rest_letters(self.header)
        voices: dict[str, list[Bar]] = {identifier: [] for identifier in identifiers}
        for number, columns in enumerate(self.columns(), 1):
            for index in range(max((len(bars) for bars in columns.values()), default=0)):
                present = {
                    identifier: bars[index]
                    for identifier, bars in columns.items()
                    if index < len(bars)
                }
                try:
                    line = restored_line(present, identifiers, clocks, letters)
                except MusicZooError as error:
                    raise error.at(path=path, where=f"bar line {number}") from None
                for identifier, bar in line.items():
                    _append(voices[identifier], bar)
        return tuple(Voice(identifier, tuple(bars)) for identifier, bars in voices.items() if bars)

    def ordered_voices(self) -> list[str]:
        """The identifiers of the voices in the order of a line that has all of them."""
        identifiers = list(dict.fromkeys([*self.defined, *self.texts]))
        for row in self.rows:
            names = list(dict.fromkeys(voice for voice, _ in row))
            if len(names) == len(identifiers):
                return names
        if all(identifier.isdigit() for identifier in identifiers):
            # The header lists voices in score order, the body in numeric order.
            identifiers.sort(key=int)
        return identifiers

    def columns(self) -> Iterator[dict[str, tuple[Bar, ...]]]:
        """For each line of music the bars of each voice in it."""
        carried: dict[str, str] = {}
        for row in self.rows:
            pieces: dict[str, str] = {}
            for identifier, piece in row:
                pieces[identifier] = pieces.get(identifier, carried.pop(identifier, "")) + piece
            columns: dict[str, tuple[Bar, ...]] = {}
            for identifier, piece in pieces.items():
                columns[identifier], rest = split_bars(piece)
                if rest:
                    carried[identifier] = rest
            yield columns


def _append(bars: list[Bar], bar: Bar) -> None:
    """Add a bar; a bar-line at its left end joins that of the bar before."""
    if bars and bar.left:
        bars[-1] = replace(bars[-1], right=merged_bar_line(bars[-1].right, bar.left))
        bar = replace(bar, left="")
    bars.append(bar)


def _expanded_rests(bars: tuple[Bar, ...]) -> tuple[Bar, ...]:
    """The bars with rests of several bars (``Z4``) written as that many bars.

    So voices stay side by side.
    """
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
