"""Pieces to the clips that audio rewards hear, in this process or in workers beside it.

A clip is made as SMART makes it (arXiv 2504.16839; its published code): the first 100 quarter notes
(a note that sounds on beyond them is left out), 48 kHz stereo, no sound after the last event of the
score (so a release that rings on is cut), the first 10 seconds, and a peak of 1. A piece without
sound becomes one second of zeros. Where the synthesizer differs from TinySoundFont, which SMART
uses, is told at :mod:`musiczoo.music.sound.synthesizer`.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.abc.tune import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.note_table import performance

if TYPE_CHECKING:
    from symusic.core import ScoreTick

    from musiczoo.music.sound.render_workers import RenderWorkers

_PEAK_FLOOR = 1e-6


@dataclass(frozen=True)
class Rendering:
    """How pieces become clips; the defaults are SMART's (its soundfont is MuseScore General).

    Attributes:
        soundfont: An SF2 or SF3 file, or the name of one that is installed (``"timgm6mb"``,
            ``"fluidr3"``, ``"musescore-general"``;
            :func:`musiczoo.music.sound.audio.named_soundfont`); by default what
            :func:`musiczoo.music.sound.audio.find_soundfont` finds.
        sample_rate: Samples a second, 8,000 to 192,000.
        max_beats: Quarter notes after which a piece is cut, notes that sound there left out; None
            for all.
        max_seconds: Seconds after which a clip is cut; None for all.
    """

    soundfont: str | None = None
    sample_rate: int = 48_000
    max_beats: float | None = 100.0
    max_seconds: float | None = 10.0

    def __post_init__(self) -> None:
        if not 8_000 <= self.sample_rate <= 192_000:
            raise MusicZooError(
                f"A sample rate of {self.sample_rate} is out of range.",
                remedy="Use 8000 to 192000, usually 48000.",
            )
        for name in ("max_beats", "max_seconds"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise MusicZooError(
                    f"{name} is {limit}; it must be above 0.", remedy="Use None for no limit."
                )


@dataclass(frozen=True)
class Clip:
    """The sound of a piece, or why there is none.

    Attributes:
        samples: (2, n) float32 of peak 1, or None.
        reason: Why there is no sound.
        is_silent: Nothing sounds in the piece; ``samples`` is one second of zeros.
    """

    samples: NDArray[np.float32] | None
    reason: str | None = None
    is_silent: bool = False


def render_clip(piece: ScoreTick | Tune, rendering: Rendering = Rendering()) -> Clip:
    """Render a piece in this process.

    The same piece gives the same samples to the last bit, whatever was rendered before.

    Args:
        piece: A symusic score or a tune (repeats are played).
        rendering: How.

    Returns:
        The clip; one with a reason where the piece cannot be played.

    Raises:
        MusicZooError: There is no soundfont, or none that can be used.
    """
    from musiczoo.music.sound.audio import MAX_SECONDS, named_soundfont
    from musiczoo.music.sound.synthesizer import synthesizer

    instrument = synthesizer(named_soundfont(rendering.soundfont), rendering.sample_rate)
    try:
        if isinstance(piece, Tune):
            from musiczoo.music.midi.from_tune import to_score

            piece = to_score(piece)
        played = performance(
            piece, max_beats=rendering.max_beats, max_seconds=rendering.max_seconds
        )
        seconds = played.seconds
        if rendering.max_seconds is None and seconds > MAX_SECONDS:
            raise MusicZooError(
                f"The piece would last {seconds / 3600:.1f} hours.", remedy="Set max_seconds."
            )
    except MusicZooError as error:
        return Clip(None, str(error))
    frames = int(
        rendering.sample_rate
        * (seconds if rendering.max_seconds is None else min(seconds, rendering.max_seconds))
    )
    samples = instrument.render(played, frames)
    peak = np.abs(samples).max(initial=np.float32(0))
    if not peak > 0:
        return Clip(np.zeros((2, rendering.sample_rate), np.float32), is_silent=True)
    samples /= np.float32(peak + _PEAK_FLOOR)
    return Clip(samples)


class Renderer:
    """Renders pieces in worker processes, which start with the first piece and end with this process.

    The workers are programs of their own, neither forked nor spawned from the user's script: they
    import no torch, and a script needs no ``__main__`` guard. A piece that takes longer than the
    time limit, or that ends its worker, costs its own clip; the worker is replaced.

    ::

        with Renderer() as renderer:
            for piece in pieces:
                renderer.begin(piece)        # as soon as there is one; returns at once
            clips = renderer.clips(pieces)   # waits for what is not ready

    Args:
        rendering: How.
        workers: Processes; None for one a core that this process may use, 0 to render in this
            process when clips are asked for.
        timeout: Seconds for one piece in a worker.

    Raises:
        MusicZooError: There is no soundfont, or none that can be used.
    """

    def __init__(
        self, rendering: Rendering = Rendering(), workers: int | None = None, timeout: float = 30.0
    ) -> None:
        from musiczoo.music.sound.audio import named_soundfont
        from musiczoo.music.sound.soundfont import SoundFont

        if timeout <= 0 or (workers is not None and workers < 0):
            raise MusicZooError("A renderer needs a time limit above 0 and 0 or more workers.")
        self.rendering = rendering
        self.workers = workers
        self.timeout = timeout
        self._path = named_soundfont(rendering.soundfont)
        SoundFont(self._path)  # a file that is no soundfont is told here, not by each worker
        # Pieces are kept with their clips: an identity may be used anew once its piece is gone.
        self._kept: dict[int, tuple[ScoreTick | Tune, Future[Clip] | Clip]] = {}
        self._pool: RenderWorkers | None = None

    def begin(self, piece: ScoreTick | Tune) -> None:
        """Starts rendering a piece; nothing happens for one that was begun before."""
        if id(piece) in self._kept or self.workers == 0:
            return
        if self._pool is None:
            from musiczoo.music.sound.render_workers import RenderWorkers

            count = self.workers if self.workers is not None else _available_cores()
            # The soundfont is found once, so that all workers play on the same.
            self._pool = RenderWorkers(
                replace(self.rendering, soundfont=str(self._path)), count, self.timeout
            )
            weakref.finalize(self, self._pool.close)
        self._kept[id(piece)] = (piece, self._pool.submit(piece))

    def clips(self, pieces: Sequence[ScoreTick | Tune | None]) -> list[Clip]:
        """The clips of pieces in their order, kept for the next time that they are asked for (see :meth:`forget`).

        Args:
            pieces: What was begun and what was not; None gives a clip with a reason.

        Raises:
            MusicZooError: The workers cannot be started.
        """
        for piece in pieces:
            if piece is not None:
                self.begin(piece)
        clips = []
        for piece in pieces:
            if piece is None:
                clips.append(Clip(None, "There is no piece."))
                continue
            if id(piece) not in self._kept:
                self._kept[id(piece)] = (
                    piece,
                    render_clip(piece, replace(self.rendering, soundfont=str(self._path))),
                )
            result = self._kept[id(piece)][1]
            if isinstance(result, Future):
                result = result.result()
                self._kept[id(piece)] = (piece, result)
            clips.append(result)
        return clips

    def forget(self) -> None:
        """Drops the clips that are kept; ten seconds of stereo take 4 MB."""
        self._kept = {}

    def close(self) -> None:
        """Ends the workers; what they were at is lost. The next piece starts new ones."""
        self.forget()
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        # Copies (of a callback, to another process) start workers of their own.
        return type(self), (self.rendering, self.workers, self.timeout)


def _available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
