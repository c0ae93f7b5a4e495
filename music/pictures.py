"""Pictures of pieces: the piano roll."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from musiczoo.music.abc.score import voice_definitions
from musiczoo.music.abc.tune import Tune
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from symusic.core import ScoreTick

# Paul Tol's "bright" scheme (https://personal.sron.nl/~pault/), told apart by colour-blind readers too; further voices repeat it.
COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB")
BLACK_KEYS = frozenset({1, 3, 6, 8, 10})
MAX_WIDTH = 60.0  # inches; a longer piece is drawn narrower rather than wider
_Rectangle = tuple[float, int, float]  # onset, MIDI pitch, length; times in quarter notes
_Voice = tuple[str, list[_Rectangle]]


def piano_roll_picture(piece: Tune | ScoreTick, path: str | Path | None = None, *, dpi: int = 130) -> bytes:
    """Draw a piece as a piano roll: time to the right, pitch upwards, a colour for each voice, a line for each bar.

    Args:
        piece: A tune (repeats not played out) or a symusic score.
        path: Where to write the PNG as well, or None.
        dpi: Dots an inch.

    Returns:
        The PNG file's bytes.

    Raises:
        MusicZooError: A piece without notes, music code that cannot be read, or a path that cannot be written.
    """
    # The object interface with the Agg canvas: pyplot keeps figures in a global state and may open windows.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import PatchCollection
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch, Patch

    title, voices, bar_starts, pickup = _of_tune(piece) if isinstance(piece, Tune) else _of_score(piece)
    notes = [note for _, voice in voices for note in voice]
    if not notes:
        raise MusicZooError("The piece has no notes to draw.", remedy="A picture needs at least one.")
    low, high = min(pitch for _, pitch, _ in notes) - 2, max(pitch for _, pitch, _ in notes) + 2
    end = max(max(onset + length for onset, _, length in notes), bar_starts[-1])
    figure = Figure(
        figsize=(min(MAX_WIDTH, max(7.0, 1.2 + 0.28 * end)), max(3.0, 1.3 + 0.105 * (high - low))), dpi=dpi, layout="constrained"
    )
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for pitch in range(low, high + 1):
        if pitch % 12 in BLACK_KEYS:
            axes.axhspan(pitch - 0.5, pitch + 0.5, color="#F1F1F4", linewidth=0, zorder=0)
        if pitch % 12 in (0, 5):  # the two places where white keys meet
            axes.axhline(pitch - 0.5, color="#DADAE0", linewidth=0.6, zorder=1)
    axes.vlines(bar_starts, low - 0.5, high + 0.5, color="#B9B9C4", linewidth=0.7, zorder=1)
    for index, (_, voice) in enumerate(voices):
        boxes = [
            FancyBboxPatch(
                (onset + 0.02, pitch - 0.36), max(length - 0.04, 0.04), 0.72, boxstyle="round,pad=0,rounding_size=0.12", mutation_aspect=2.5
            )
            for onset, pitch, length in voice
        ]
        axes.add_collection(
            PatchCollection(boxes, facecolor=COLOURS[index % len(COLOURS)], edgecolor="white", linewidth=0.4, alpha=0.92, zorder=2)
        )
    axes.set_xlim(0, end)
    axes.set_ylim(low - 0.5, high + 0.5)
    octaves = [pitch for pitch in range(low, high + 1) if pitch % 12 == 0]
    axes.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves])
    between = [pitch for pitch in range(low, high + 1) if pitch % 12 in (4, 7)]
    axes.set_yticks(between, ["E" if pitch % 12 == 4 else "G" for pitch in between], minor=True)
    axes.tick_params(axis="y", which="minor", labelsize=6, labelcolor="#8A8A96", length=2)
    axes.tick_params(axis="y", which="major", labelsize=9)
    every = max(1, round(len(bar_starts) / (2.2 * figure.get_figwidth())))
    first = 0 if pickup else 1  # as engraved scores count
    shown = [index for index in range(len(bar_starts)) if (index + first) % every == 0 or index + first == 1]
    axes.set_xticks([bar_starts[index] for index in shown], [str(index + first) for index in shown], fontsize=8)
    axes.set_xlabel("bar", fontsize=9)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    if title:
        axes.set_title(title, fontsize=12, loc="left", parse_math=False)
    named = [(name, index) for index, (name, _) in enumerate(voices) if name][:16]
    if len(voices) > 1 and named:
        handles = [Patch(color=COLOURS[index % len(COLOURS)], label=name) for name, index in named]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 8), frameon=False, fontsize=8)
    stream = io.BytesIO()
    # The version of matplotlib in the file would make equal pictures differ.
    canvas.print_png(stream, metadata={"Software": None})  # type: ignore[no-untyped-call]
    data = stream.getvalue()
    if path is not None:
        write_atomically(path, data)
    return data


def _of_tune(tune: Tune) -> tuple[str, list[_Voice], list[float], bool]:
    definitions = voice_definitions(tune)
    voices: dict[str, list[_Rectangle]] = {voice.id: [] for voice in tune.voices}
    for note in tune.notes():
        voices[note.voice].append((float(note.onset), note.pitch, float(note.duration)))
    bars = max((voice.bars for voice in tune.parsed), key=len, default=())
    pickup = len(bars) > 1 and bars[0].nominal is not None and bars[0].duration < bars[0].nominal
    named = [(definitions[name].name or f"voice {name}", notes) for name, notes in voices.items()]
    return tune.field("T") or "", named, [float(bar.onset) for bar in bars], pickup


def _of_score(score: ScoreTick) -> tuple[str, list[_Voice], list[float], bool]:
    from musiczoo.music.quantisation import meter_bars

    resolution = int(score.ticks_per_quarter)
    voices = []
    for number, track in enumerate(score.tracks, 1):
        notes = [(note.time / resolution, int(note.pitch), note.duration / resolution) for note in track.notes]
        voices.append((" ".join(str(track.name).split()) or f"track {number}", notes))
    signatures = sorted(
        (Fraction(int(item.time), resolution), int(item.numerator), int(item.denominator)) for item in score.time_signatures
    )
    bars = meter_bars(signatures, Fraction(int(score.end()), resolution))
    return "", voices, [float(bar.start) for bar in bars], len(bars) > 1 and bars[0].length < bars[1].length
