"""Bar-alignment error: the share of bars whose voices are not equally long.

Wang et al. 2025 (NotaGen, arXiv 2502.18008) report it in percent (0.269 for the fine-tuned model,
0.377 for human sheets). Their program is not published, so the exact rule is ours: see
:func:`bar_alignment`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import Field, Tune, header_meter, header_unit
from musiczoo.music.abc.bars import split_bars
from musiczoo.music.abc.rests import BarClock
from musiczoo.music.errors import MusicZooError

# One bar of all voices: voice -> music code, or None where a voice does not have exactly one bar.
_Row = dict[str, str | None]

_COUNTER = re.compile(r"\[r:[^\]]*\]")
_VOICE = re.compile(r"\[V:\s*([^\]\s]+)[^\]]*\]")
_HEADER_LINE = re.compile(r"([A-Za-z+]):(.*)")


@dataclass(frozen=True, slots=True)
class BarAlignment:
    """The alignment of the voices of one piece.

    Attributes:
        bars: Multi-voice bars: those in which at least two voices are present.
        misaligned: Indices of the bars whose voices do not agree, counted over all bars of the
            piece.
    """

    bars: int
    misaligned: tuple[int, ...]

    @property
    def aligned(self) -> bool:
        """Whether every bar agrees. A piece of one voice has nothing to disagree about."""
        return not self.misaligned


def bar_alignment(piece: Tune | Generated) -> BarAlignment:
    r"""Compares the exact lengths of the voices, bar by bar.

    A bar counts when at least two voices are present in it. It is misaligned when their lengths, as
    exact fractions with tuplets and broken rhythms worked out, are not all equal; when the music
    code of one cannot be read; and when a voice does not have exactly one bar where the others have
    theirs. A piece of one voice has no such bars.

    Args:
        piece: A tune, in which every voice is present in every bar; or a generated piece, whose
            text is judged line by line as the model wrote it, before rests are restored. Bars that
            were left out as rests are not present there, and the last line of a piece that was cut
            off does not count.

    Returns:
        The number of bars compared and the misaligned ones.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> text = "M:4/4\nL:1/4\nK:C\n[V:1]CDEF|[V:2]C4|\n[V:1]C4|[V:2]C3|\n"
        >>> bar_alignment(read_abc(text))
        BarAlignment(bars=2, misaligned=(1,))
    """
    if isinstance(piece, Tune):
        header, rows = piece, list(_rows_of_tune(piece))
    else:
        header, rows = _rows_of_text(piece.text)
        if piece.stop != "end":
            rows = rows[:-1]
    if len({voice for row in rows for voice in row}) < 2:
        return BarAlignment(0, ())
    clocks: dict[str, BarClock] = {}
    compared, misaligned = 0, []
    for index, row in enumerate(rows):
        lengths = set()
        for voice, text in row.items():
            clock = clocks.setdefault(voice, BarClock(header_unit(header), header_meter(header)))
            try:
                lengths.add(None if text is None else clock.duration(text))
            except MusicZooError:
                lengths.add(None)
        if len(row) > 1 or None in lengths:
            compared += 1
            if len(lengths) > 1 or None in lengths:
                misaligned.append(index)
    return BarAlignment(compared, tuple(misaligned))


def _rows_of_tune(tune: Tune) -> Iterator[_Row]:
    for index in range(max((len(voice.bars) for voice in tune.voices), default=0)):
        yield {
            voice.id: voice.bars[index].text if index < len(voice.bars) else None
            for voice in tune.voices
        }


def _rows_of_text(text: str) -> tuple[Tune, list[_Row]]:
    """The header and the rows of interleaved text.

    The reader of ABC is not used: it restores rests, and so hides differences between voices.
    """
    lines = [line for line in text.split("\n") if line.strip()]
    start = next(
        (place for place, line in enumerate(lines) if line.startswith(("[V:", "[r:"))), len(lines)
    )
    fields = tuple(
        Field(found[1], found[2].strip())
        for line in lines[:start]
        if (found := _HEADER_LINE.match(line))
    )
    rows = []
    for line in lines[start:]:
        stray, *pieces = _VOICE.split(_COUNTER.sub("", line))
        codes: dict[str, str] = {}
        for voice, code in zip(pieces[::2], pieces[1::2], strict=True):
            codes[voice] = codes.get(voice, "") + code
        # Code before the first voice's name belongs to no voice, and can be aligned with none.
        row: _Row = {"": None} if stray.strip() else {}
        rows.append(row | {voice: _only_bar(code) for voice, code in codes.items()})
    return Tune(fields, ()), rows


def _only_bar(code: str) -> str | None:
    bars, _ = split_bars(code)
    return bars[0].text if len(bars) == 1 else None


class BarAlignmentError(Metric):
    r"""Misaligned bars in percent of all multi-voice bars of all pieces (micro-average).

    The rule is that of :func:`bar_alignment`. NaN while no multi-voice bar was seen. ``pieces``
    counts the pieces that had such bars, ``aligned_pieces`` those of them that were aligned
    throughout.

    Args:
        settings: Of :class:`torchmetrics.Metric`.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> metric = BarAlignmentError()
        >>> metric.update([read_abc("M:4/4\nL:1/4\nK:C\n[V:1]CDEF|[V:2]C4|\n[V:1]C4|[V:2]C3|\n")])
        >>> metric.compute()
        tensor(50.)
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    misaligned: Tensor
    bars: Tensor
    pieces: Tensor
    aligned_pieces: Tensor

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name in ("misaligned", "bars", "pieces", "aligned_pieces"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, pieces: Iterable[Tune | Generated]) -> None:
        """Counts the bars of pieces.

        Args:
            pieces: Tunes or results of generation, also unreadable ones.
        """
        found: Sequence[BarAlignment] = [
            one for piece in pieces if (one := bar_alignment(piece)).bars
        ]
        self.bars += sum(one.bars for one in found)
        self.misaligned += sum(len(one.misaligned) for one in found)
        self.pieces += len(found)
        self.aligned_pieces += sum(one.aligned for one in found)

    def compute(self) -> Tensor:
        """Scalar, percent."""
        return 100.0 * self.misaligned / self.bars
