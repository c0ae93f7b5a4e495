"""Pictures of pieces: the piano roll."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from musiczoo.music.abc.score import voice_definitions
from musiczoo.music.abc.tune import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.pictures.charts import chart, png_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from symusic.core import ScoreTick

# Paul Tol's "bright" scheme (https://personal.sron.nl/~pault/), which colour-blind readers can
# distinguish too; further voices repeat it.
COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB")
BLACK_KEYS = frozenset({1, 3, 6, 8, 10})
ROW_LENGTH = 50.0  # quarter notes; longer pieces continue on further rows
MAX_ROWS = 24
_ROUNDED = "round,pad=0,rounding_size=0.12"
_Rectangle = tuple[float, int, float]  # onset, MIDI pitch, length; times in quarter notes
_Voice = tuple[str, list[_Rectangle]]


@dataclass(frozen=True)
class _Drawn:
    """What a picture shows; times in quarter notes."""

    title: str
    voices: list[_Voice]
    bar_starts: list[float]
    pickup: bool


def piano_roll_picture(
    piece: Tune | ScoreTick, path: str | Path | None = None, *, dpi: int = 130
) -> bytes:
    """Draw a piece as a piano roll: time to the right, pitch upwards, a colour for each voice.

    Lines are bars. Long pieces continue on further rows, some fifty quarter notes each.

    Args:
        piece: A tune (repeats not played out) or a symusic score.
        path: Where to write the PNG as well, or None.
        dpi: Dots an inch.

    Returns:
        The PNG file's bytes.

    Raises:
        MusicZooError: A piece without notes, music code that cannot be read, or a path that cannot
            be written.
    """
    drawn = _of_tune(piece) if isinstance(piece, Tune) else _of_score(piece)
    notes = [note for _, voice in drawn.voices for note in voice]
    if not notes:
        raise MusicZooError(
            "The piece has no notes to draw.", remedy="A picture needs at least one."
        )
    low, high = min(pitch for _, pitch, _ in notes) - 2, max(pitch for _, pitch, _ in notes) + 2
    end = max(max(onset + length for onset, _, length in notes), drawn.bar_starts[-1] + 1)
    rows = _rows(drawn.bar_starts, end)
    longest = max(stop - start for start, stop in rows)
    height = max(1.5, (0.105 if len(rows) == 1 else 0.075) * (high - low)) + 0.35
    figure = chart(max(7.0, 1.0 + 0.28 * min(longest, 50)), len(rows) * height + 0.7, dpi)
    all_axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    every = max(1, round(len(drawn.bar_starts) / (len(rows) * 2.2 * figure.get_figwidth())))
    for axes, (start, stop) in zip(all_axes, rows, strict=True):
        _draw_lines(axes, drawn.bar_starts, start, stop, low, high)
        _draw_voices(axes, drawn.voices, start, stop)
        axes.set_xlim(start, start + longest)
        axes.set_ylim(low - 0.5, high + 0.5)
        _label_axes(axes, drawn, start, stop, low, high, every)
    all_axes[-1].set_xlabel("bar", fontsize=9)
    if drawn.title:
        all_axes[0].set_title(drawn.title, fontsize=12, loc="left", parse_math=False)
    _add_legend(figure, drawn.voices)
    return png_of(figure, path)


def _draw_lines(
    axes: Axes, bar_starts: Sequence[float], start: float, stop: float, low: int, high: int
) -> None:
    """Draw what lies behind the notes: rows of black keys, octaves, bars."""
    for pitch in range(low, high + 1):
        if pitch % 12 in BLACK_KEYS:
            axes.axhspan(pitch - 0.5, pitch + 0.5, color="#F1F1F4", linewidth=0, zorder=0)
        if pitch % 12 in (0, 5):  # the two places where white keys meet
            axes.axhline(pitch - 0.5, color="#DADAE0", linewidth=0.6, zorder=1)
    axes.vlines(
        [bar for bar in bar_starts if start <= bar < stop],
        low - 0.5,
        high + 0.5,
        color="#B9B9C4",
        linewidth=0.7,
        zorder=1,
    )


def _draw_voices(axes: Axes, voices: Sequence[_Voice], start: float, stop: float) -> None:
    """Draw the notes that sound between two times."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import FancyBboxPatch

    for index, (_, voice) in enumerate(voices):
        boxes = [
            FancyBboxPatch(
                (onset + 0.02, pitch - 0.36),
                max(length - 0.04, 0.04),
                0.72,
                boxstyle=_ROUNDED,
                mutation_aspect=2.5,
            )
            for onset, pitch, length in voice
            if onset < stop and onset + length > start
        ]
        colour = COLOURS[index % len(COLOURS)]
        axes.add_collection(
            PatchCollection(
                boxes, facecolor=colour, edgecolor="white", linewidth=0.4, alpha=0.92, zorder=2
            )
        )


def _label_axes(
    axes: Axes, drawn: _Drawn, start: float, stop: float, low: int, high: int, every: int
) -> None:
    """Label octaves, thirds and fifths on the left, and bars below; ``every`` n-th bar is shown."""
    octaves = [pitch for pitch in range(low, high + 1) if pitch % 12 == 0]
    axes.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves], fontsize=9)
    between = [pitch for pitch in range(low, high + 1) if pitch % 12 in (4, 7)]
    axes.set_yticks(between, ["E" if pitch % 12 == 4 else "G" for pitch in between], minor=True)
    axes.tick_params(axis="y", which="minor", labelsize=6, labelcolor="#8A8A96", length=2)
    # Bars are counted as in engraved scores: a pickup is bar 0.
    shown = [
        (bar, number)
        for number, bar in enumerate(drawn.bar_starts, 0 if drawn.pickup else 1)
        if start <= bar < stop and (number % every == 0 or number == 1)
    ]
    axes.set_xticks([bar for bar, _ in shown], [str(number) for _, number in shown], fontsize=8)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def _add_legend(figure: Figure, voices: Sequence[_Voice]) -> None:
    """Name the colours of the first voices, where there are several with names."""
    from matplotlib.patches import Patch

    named = [(name, index) for index, (name, _) in enumerate(voices) if name][:16]
    if len(voices) > 1 and named:
        handles = [Patch(color=COLOURS[index % len(COLOURS)], label=name) for name, index in named]
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=min(len(handles), 8),
            frameon=False,
            fontsize=8,
        )


def _rows(bar_starts: Sequence[float], end: float) -> list[tuple[float, float]]:
    """Start and end of each row of the picture, cut at bar-lines.

    Rows grow when there would be too many.
    """
    length = max(ROW_LENGTH, end / MAX_ROWS)
    if end <= 1.25 * length:
        return [(0.0, end)]
    rows = []
    start = 0.0
    while start < end:
        stop = max(
            (bar for bar in bar_starts if start < bar <= start + length), default=start + length
        )
        stop = end if end - start <= length else stop
        rows.append((start, stop))
        start = stop
    return rows


def _of_tune(tune: Tune) -> _Drawn:
    definitions = voice_definitions(tune)
    voices: dict[str, list[_Rectangle]] = {voice.id: [] for voice in tune.voices}
    for note in tune.notes():
        voices[note.voice].append((float(note.onset), note.pitch, float(note.duration)))
    bars = max((voice.bars for voice in tune.parsed), key=len, default=())
    pickup = len(bars) > 1 and bars[0].nominal is not None and bars[0].duration < bars[0].nominal
    named = [(definitions[name].name or f"voice {name}", notes) for name, notes in voices.items()]
    return _Drawn(tune.field("T") or "", named, [float(bar.onset) for bar in bars], pickup)


def _of_score(score: ScoreTick) -> _Drawn:
    from musiczoo.music.quantisation import score_bars

    resolution = int(score.ticks_per_quarter)
    voices = []
    for number, track in enumerate(score.tracks, 1):
        notes = [
            (note.time / resolution, int(note.pitch), note.duration / resolution)
            for note in track.notes
        ]
        voices.append((" ".join(str(track.name).split()) or f"track {number}", notes))
    bars = score_bars(score, Fraction(int(score.end()), resolution))
    pickup = len(bars) > 1 and bars[0].length < bars[1].length
    return _Drawn("", voices, [float(bar.start) for bar in bars], pickup)
