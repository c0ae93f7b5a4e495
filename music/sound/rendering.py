"""Rendering of many pieces as clips, in worker processes beside this one."""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

from musiczoo.music.abc.tune import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.clips import DEFAULT
from musiczoo.music.sound.clips import Clip as Clip  # users import these from here
from musiczoo.music.sound.clips import Rendering as Rendering
from musiczoo.music.sound.clips import render_clip as render_clip

if TYPE_CHECKING:
    from symusic.core import ScoreTick

    from musiczoo.music.sound.render_workers import RenderWorkers


class Renderer:
    """Renders pieces in worker processes.

    They start with the first piece and end with this process.

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
        self, rendering: Rendering = DEFAULT, workers: int | None = None, timeout: float = 30.0
    ) -> None:
        from musiczoo.music.sound.audio import named_soundfont
        from musiczoo.music.sound.soundfont import SoundFont

        if timeout <= 0 or (workers is not None and workers < 0):
            raise MusicZooError("A renderer needs a time limit above 0 and 0 or more workers.")
        self.rendering = rendering
        self.workers = workers
        self.timeout = timeout
        self._path = named_soundfont(rendering.soundfont)
        SoundFont(self._path)  # a file that is no soundfont is reported here, not by each worker
        # Pieces are kept with their clips: an identity may be used again once its piece is gone.
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
        """The clips of pieces in their order, kept for the next time (see :meth:`forget`).

        Args:
            pieces: Begun before or not; None gives a clip with a reason.

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
        """Ends the workers; unfinished clips are lost. The next piece starts new workers."""
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
