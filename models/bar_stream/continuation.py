"""Goes on from a score that somebody else began, in its voices and under its header.

The model sees the opening as it sees music in training: cleaned, voices numbered, with bar
counters. How long the piece becomes is told by the very first counter, so that the model chooses
the length before it reads the opening, within the limits that are asked for; the counters then run
down from there. What comes back is the score as it was given, title and all, with the new bars
behind its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from musiczoo.models.bar_stream.guards import LONGEST_PIECE, BarDurations, Countdown, Guard, Guards
from musiczoo.models.bar_stream.net import BarStreamNet
from musiczoo.models.base.generative import Generated
from musiczoo.models.sampling import Sampling, distribution, draw
from musiczoo.music import from_score, read
from musiczoo.music.abc import Bar, Field, Tune, Voice, interleaved_lines, read_abc
from musiczoo.music.abc.cleaning import clean, with_prompt
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels
from musiczoo.representations.bar_stream import BarStreamPatches

if TYPE_CHECKING:
    from symusic.core import ScoreTick

    from musiczoo.models.bar_stream.module import BarStreamModule

    Score = Tune | ScoreTick | str | Path

DEFAULT_MAX_BARS = 1000
ALIGNED: Guard = BarDurations()
"""What :meth:`BarStreamModule.continue_pieces` holds the model to if nothing else is said."""

_FIRST_COUNTER = "[r:0/"
_CHANGES = re.compile(r"\[([KLM]):([^\]]*)\]")
_VOICE_TAG = re.compile(r"\[V:(\d+)\]")
_VOICE_NAME = re.compile(r"[^\s(){}\[\]|]+")
_FINAL_BAR_LINES = ("", "|]")


@dataclass(frozen=True)
class Continued:
    """A score with its continuation.

    Attributes:
        piece: The whole piece: header and opening as given (the bar-line at the seam apart), then
            the new bars. None when what the model wrote cannot be read (see ``error``).
        opening_bars: Bars of the opening.
        planned_bars: Bars of the whole piece as the counters announce it.
        generated: What the model was shown and what it wrote.
        error: Why there is no ``piece``.
    """

    piece: Tune | None
    opening_bars: int
    planned_bars: int
    generated: Generated
    error: MusicZooError | None = None


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
        # Without its final bar-line, for the piece goes on; other bar-lines (repeats, double ones)
        # stay.
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
        """What the model goes on from: header and as many of the last bars as leave room for more, with the counters of a piece.

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
        # force says.
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


def continue_pieces(
    module: BarStreamModule,
    scores: Sequence[Score],
    bars: int | None = None,
    labels: Labels | None = None,
    sampling: Sampling | None = None,
    max_length: int | None = None,
    generator: torch.Generator | None = None,
    *,
    min_bars: int | None = None,
    max_bars: int | None = None,
    guard: Guard | None = ALIGNED,
    **options: Any,
) -> list[Continued]:
    """See :meth:`BarStreamModule.continue_pieces`."""
    sampling = sampling or module.sampling
    net, representation = module.net, module.representation
    openings = [Opening.of(score, bars, labels, representation) for score in scores]
    limits = [limits_of(opening, min_bars, max_bars) for opening in openings]
    training = net.training
    net.eval()
    try:
        totals = [
            choose_total(net, representation, opening.header, limit, sampling, generator)
            for opening, limit in zip(openings, limits, strict=True)
        ]
    finally:
        net.train(training)
    prompts = [
        opening.prompt(total, representation, net.config.patch_length)
        for opening, total in zip(openings, totals, strict=True)
    ]
    # The counters of the opening say how many bars are to come, and the countdown holds the model
    # to it.
    guards = Guards([Countdown(), *([] if guard is None else [guard])])
    results = module.generate(prompts, sampling, max_length, generator, guard=guards, **options)
    continued = []
    for opening, total, prompt, result in zip(openings, totals, prompts, results, strict=True):
        piece, error = None, None
        try:
            piece = opening.joined(result.text[len(prompt) :])
        except MusicZooError as reason:
            error = reason
        continued.append(Continued(piece, opening.bars, total, result, error))
    return continued


def choose_total(
    net: BarStreamNet,
    representation: BarStreamPatches,
    header: Sequence[str],
    limits: tuple[int, int],
    sampling: Sampling,
    generator: torch.Generator | None,
) -> int:
    """The number of bars that the model gives a piece under this header, drawn like everything else.

    Args:
        net: The model, in eval mode.
        representation: Its representation.
        header: Header lines.
        limits: Bars at least and at most.
        sampling: How characters are drawn.
        generator: Source of randomness.
    """
    text = "".join(f"{line}\n" for line in header)
    patches = representation.encode_text(text, annotate=False, end=False)
    device = net.char_level_decoder.transformer.wte.weight.device
    guard = Countdown(*limits).for_piece(text)
    said = _FIRST_COUNTER
    with torch.inference_mode():
        condition = net.patch_hidden(
            patches.unsqueeze(0).to(device), torch.tensor([len(patches)], device=device)
        )[-1:]
        while not said.endswith("]"):
            # The last character stands for the one that is asked for; any would do.
            target = torch.tensor([[ord(character) for character in f"{said}]"]], device=device)
            logits, _ = net.char_level_decoder(condition, target)
            mask = guard.mask(said)
            assert mask is not None
            odds = distribution(logits[-1:].cpu(), sampling, torch.from_numpy(mask.copy()))
            said += chr(int(draw(odds, torch.rand(1, generator=generator, dtype=torch.float64))))
    return int(said[len(_FIRST_COUNTER) : -1]) + 1


def limits_of(opening: Opening, min_bars: int | None, max_bars: int | None) -> tuple[int, int]:
    """Bars that the whole piece may have: at least one more than the opening.

    Raises:
        MusicZooError: The limits leave no room for a bar.
    """
    low = max(opening.bars + 1, min_bars or 0)
    high = max(low, DEFAULT_MAX_BARS) if max_bars is None else max_bars
    if not low <= high <= LONGEST_PIECE:
        raise MusicZooError(
            f"An opening of {opening.bars} bars cannot become a piece of"
            f" {min_bars or opening.bars + 1} to {high} bars.",
            path=opening.tune.path,
            remedy=(
                "The limits count the whole piece: raise max_bars, or keep fewer bars of the"
                " opening."
            ),
        )
    return low, high


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
