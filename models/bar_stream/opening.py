"""The opening of a score that is to be continued: as given, and as the model sees it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from musiczoo.music.abc.cleaning import clean, with_prompt
from musiczoo.music.abc.reader import read_abc
from musiczoo.music.abc.tune import Bar, Field, Tune, Voice
from musiczoo.music.abc.writer import interleaved_lines
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import read
from musiczoo.music.midi.to_tune import from_score
from musiczoo.music.recipes.labels import Labels
from musiczoo.representations.bar_stream import BarStreamPatches

if TYPE_CHECKING:
    from symusic.core import ScoreTick

    Score = Tune | ScoreTick | str | Path

_CHANGES = re.compile(r"\[([KLM]):([^\]]*)\]")
_VOICE_TAG = re.compile(r"\[V:(\d+)\]")
_VOICE_NAME = re.compile(r"[^\s(){}\[\]|]+")
_FINAL_BAR_LINES = ("", "|]")


@dataclass(frozen=True)
class Opening:
    """The beginning of a score, as given and as the model sees it.

    Attributes:
        tune: The opening as given, its last bar-line open.
        header: Header lines for the model, labels included.
        lines: One line a bar for the model, without counters.
    """

    tune: Tune
    header: tuple[str, ...]
    lines: tuple[str, ...]

    @classmethod
    def of(
        cls, score: Score, bars: int | None, labels: Labels | None, representation: BarStreamPatches
    ) -> Opening:
        """The opening of a score.

        Args:
            score: A tune, a symusic score, or the path of a file.
            bars: Bars to keep; None keeps all.
            labels: Of the prompt; None leaves those that the header has, if any.
            representation: Of the model.

        Raises:
            MusicZooError: The score cannot be read, has no bars, or has voices with different
                numbers of bars; ``bars`` is not positive.
        """
        if bars is not None and bars < 1:
            raise MusicZooError(
                f"An opening of {bars} bars is none.",
                where="bars",
                remedy="Keep at least one, or call generate.",
            )
        tune = _tune_of(score)
        if not any(voice.bars for voice in tune.voices):
            raise MusicZooError(
                "The score has no bars.",
                path=tune.path,
                remedy="Give a score with music in it, or call generate.",
            )
        # Without its final bar-line, for the piece continues; other bar-lines (repeats, double
        # ones) stay.
        opening = replace(
            tune, voices=tuple(Voice(voice.id, _opened(voice.bars[:bars])) for voice in tune.voices)
        )
        shown = clean(_numbered(opening))
        if labels is not None:
            shown = with_prompt(shown, labels.period, labels.composer, labels.instrumentation)
        lines = interleaved_lines(shown, omit_rests=representation.omit_rests)
        made = cls(opening, tuple(line.text for line in shown.header), tuple(lines))
        read_again = read_abc("\n".join((*made.header, *(f"[r:0/0]{line}" for line in lines))))
        if any(len(voice.bars) != made.bars for voice in read_again.voices):
            raise MusicZooError(
                "The score has bars without notes and rests.",
                path=tune.path,
                remedy="Write rests into them, or keep fewer bars.",
            )
        return made

    @property
    def bars(self) -> int:
        """Bars of the opening."""
        return len(self.lines)

    def prompt(self, total: int, representation: BarStreamPatches, capacity: int) -> str:
        """The prompt: the header and as many last bars as leave room for more, with counters.

        Args:
            total: Bars of the whole piece.
            representation: Of the model.
            capacity: Patches of the model's context.

        Raises:
            MusicZooError: The header leaves no room for a bar.
        """
        lines = [f"[r:{index}/{total - 1 - index}]{line}" for index, line in enumerate(self.lines)]
        hidden = self._hidden(lines, representation, capacity)
        return "".join(f"{line}\n" for line in (*self.header, *_behind(lines, hidden)))

    def _hidden(self, lines: Sequence[str], representation: BarStreamPatches, capacity: int) -> int:
        """How many bars do not fit: a quarter of the room for bars stays free."""

        def size(*more: str) -> int:
            text = "".join(f"{line}\n" for line in (*self.header, *more))
            return len(
                representation.encode_text(
                    text, annotate=False, end=False, max_length=len(text) + 2
                )
            )

        header = size()
        room = 3 * (capacity - header) // 4
        hidden = len(lines)
        for line in reversed(lines):
            room -= size(line) - header
            if room < 0:
                break
            hidden -= 1
        if hidden == len(lines):
            raise MusicZooError(
                f"The header takes {header} of the {capacity} patches of the model's context, and"
                " no bar fits behind it.",
                path=self.tune.path,
                remedy="Shorten the header, or take a model with a longer context.",
            )
        return hidden

    def joined(self, written: str) -> Tune:
        """The opening with the lines that the model wrote behind it.

        Args:
            written: Lines of bars with counters; what follows the last newline is left out, for
                half a bar is no bar.

        Raises:
            MusicZooError: The lines cannot be read, or hold voices that the score has not.
        """
        # Read together with the whole opening, so that rests come back as long as the meter in
        # force states.
        lines = (
            *self.header,
            *(f"[r:0/0]{line}" for line in self.lines),
            written[: written.rfind("\n") + 1],
        )
        whole = {voice.id: voice.bars for voice in read_abc("\n".join(lines)).voices}
        if surplus := [
            name
            for name in whole
            if not (name.isdecimal() and 1 <= int(name) <= len(self.tune.voices))
        ]:
            raise MusicZooError(
                f"The model wrote a voice {surplus[0]}, and the score has {len(self.tune.voices)}.",
                remedy="Use the guard BarDurations, or another seed.",
            )
        lengths = {len(bars) for bars in whole.values()}
        if len(whole) != len(self.tune.voices) or len(lengths) != 1 or min(lengths) < self.bars:
            raise MusicZooError(
                "What the model wrote is not bar under bar.",
                remedy="Use the guard BarDurations, or another seed.",
            )
        voices = (
            Voice(own.id, _seamed(own.bars, whole[str(number)]))
            for number, own in enumerate(self.tune.voices, 1)
        )
        piece = replace(self.tune, voices=tuple(voices), path=None)
        # Parsing is what finds music code that cannot be read.
        assert piece.parsed
        return piece


def _tune_of(score: Score) -> Tune:
    piece = read(score) if isinstance(score, str | Path) else score
    return piece if isinstance(piece, Tune) else from_score(piece)


def _behind(lines: Sequence[str], hidden: int) -> list[str]:
    """The lines behind the first ones.

    Keys, meters and unit lengths that hold by then stand before each voice's first bar.
    """
    holding: dict[str, dict[str, str]] = {}
    for line in lines[:hidden]:
        _, *parts = _VOICE_TAG.split(line)
        for voice, text in zip(parts[::2], parts[1::2], strict=True):
            holding.setdefault(voice, {}).update(_CHANGES.findall(text))
    shown = []
    for line in lines[hidden:]:
        shown.append(
            _VOICE_TAG.sub(
                lambda tag: (
                    tag[0] + "".join(f"[{k}:{v}]" for k, v in holding.pop(tag[1], {}).items())
                ),
                line,
            )
        )
    return shown


def _opened(bars: tuple[Bar, ...]) -> tuple[Bar, ...]:
    return (
        (*bars[:-1], replace(bars[-1], right="|"))
        if bars and bars[-1].right in _FINAL_BAR_LINES
        else bars
    )


def _numbered(tune: Tune) -> Tune:
    """The tune with its voices called 1, 2, 3 ... in their order, as in training.

    Voices without music are left out of the header.
    """
    numbers = {voice.id: str(number) for number, voice in enumerate(tune.voices, 1)}
    header = []
    for line in tune.header:
        if line.name == "V":
            name, space, rest = line.value.strip().partition(" ")
            if name in numbers:
                header.append(Field("V", f"{numbers[name]}{space}{rest}"))
        elif line.name in ("%%", "I") and line.value.startswith(("score ", "staves ")):
            kind, _, layout = line.value.partition(" ")
            header.append(
                Field(
                    line.name,
                    f"{kind} {_VOICE_NAME.sub(lambda found: numbers.get(found[0], ''), layout)}",
                )
            )
        else:
            header.append(line)
    return Tune(
        tuple(header),
        tuple(Voice(numbers[voice.id], voice.bars) for voice in tune.voices),
        tune.path,
    )


def _seamed(own: tuple[Bar, ...], both: tuple[Bar, ...]) -> tuple[Bar, ...]:
    """The own bars, then those behind them.

    A bar-line before the first new bar (a repeat that begins) is that of the last own one.
    """
    last = len(own) - 1
    return (*own[:last], replace(own[last], right=both[last].right), *both[last + 1 :])
