"""Processes that render clips, one piece at a time each.

A worker that hangs or dies costs that piece alone.

Each worker is ``python -m musiczoo.music.sound.render_workers`` with pipes to this process: a fork
beside torch's threads could deadlock, and a process that :mod:`multiprocessing` spawns would run
the user's script again. It ends when its input does, thus with its parent, even one that is killed.
A thread here minds each worker.
"""

from __future__ import annotations

import os
import pickle
import queue
import struct
import subprocess
import sys
import threading
from concurrent.futures import Future
from typing import IO, TYPE_CHECKING

import numpy as np

from musiczoo.music.abc.tune import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.clips import Clip, Rendering, render_clip
from musiczoo.music.workers import end_with_parent

if TYPE_CHECKING:
    from symusic.core import ScoreTick

#: Seconds for a worker to start and to read its soundfont; imports from a slow disk take long.
START_TIMEOUT = 120.0
_FRAME = struct.Struct("<cQ")
_READY, _SOUND, _SILENCE, _REASON = b"+", b"s", b"0", b"!"
_PIPE_BYTES = 1 << 20

Order = tuple[bytes, "Future[Clip]"]


class RenderWorkers:
    """Worker processes that render clips in the order in which pieces come.

    Args:
        rendering: How; its soundfont is a file.
        count: Processes.
        timeout: Seconds for one piece.
    """

    def __init__(self, rendering: Rendering, count: int, timeout: float) -> None:
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._minders = [_Minder(self._orders, rendering, timeout) for _ in range(count)]

    def submit(self, piece: ScoreTick | Tune) -> Future[Clip]:
        """Hands a piece to the first worker that is free."""
        clip: Future[Clip] = Future()
        try:
            self._orders.put((pickle.dumps(piece, pickle.HIGHEST_PROTOCOL), clip))
        except (pickle.PicklingError, TypeError, RuntimeError) as error:
            clip.set_result(Clip(None, f"The piece cannot be sent to a worker: {error}"))
        return clip

    def close(self) -> None:
        """Ends the workers; clips that are not ready get a reason."""
        for minder in self._minders:
            minder.closing = True
            self._orders.put(None)
        for minder in self._minders:
            minder.stop()
        while True:
            try:
                order = self._orders.get_nowait()
            except queue.Empty:
                return
            if order is not None:
                order[1].set_result(Clip(None, _CLOSED))


_CLOSED = "The renderer was closed before the clip was ready."


class _Minder(threading.Thread):
    """A thread with its worker.

    It passes on orders, enforces the time limit, and replaces a worker that has ended.
    """

    def __init__(
        self, orders: queue.SimpleQueue[Order | None], rendering: Rendering, timeout: float
    ) -> None:
        super().__init__(name="render-minder", daemon=True)
        self.closing = False
        self._orders = orders
        self._rendering = rendering
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def run(self) -> None:
        """Renders until there is an order to stop."""
        while (order := self._orders.get()) is not None:
            piece, clip = order
            try:
                clip.set_result(self._rendered(piece))
            except Exception as error:
                # Raised where the clip is waited for: that wait would never end if this thread did.
                clip.set_exception(error)
        self.stop()

    def stop(self) -> None:
        """Ends the worker, whatever it does."""
        process = self._process
        if process is not None:
            process.kill()
            process.wait()

    def _rendered(self, piece: bytes, *, again: bool = True) -> Clip:
        """The clip of a piece.

        Where a worker dies a second one tries: the death may have nothing to do with the piece.
        """
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        limit = _Limit(process, self._timeout)
        try:
            process.stdin.write(struct.pack("<Q", len(piece)))
            process.stdin.write(piece)
            process.stdin.flush()
            return _received(process.stdout)
        except (EOFError, OSError):
            self.stop()
        finally:
            limit.cancel()
        if self.closing:
            return Clip(None, _CLOSED)
        if limit.passed:
            return Clip(None, f"Rendering took longer than {self._timeout:g} seconds.")
        if again:
            return self._rendered(piece, again=False)
        return Clip(None, f"The process that rendered it died (exit code {process.returncode}).")

    def _running(self) -> subprocess.Popen[bytes]:
        """The worker; a new one when there is none or the last one ended.

        Raises:
            MusicZooError: It does not start.
        """
        if self._process is not None and self._process.poll() is None:
            return self._process
        settings = self._rendering
        arguments = [
            settings.soundfont,
            settings.sample_rate,
            settings.max_beats,
            settings.max_seconds,
        ]
        paths = [entry or os.getcwd() for entry in sys.path]
        process = subprocess.Popen(
            [sys.executable, "-m", "musiczoo.music.sound.render_workers", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pipesize=_PIPE_BYTES,
            env=os.environ
            | {
                "PYTHONPATH": os.pathsep.join(paths),
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
            },
        )
        self._process = process
        if self.closing:
            self.stop()
        assert process.stdout is not None
        limit = _Limit(process, START_TIMEOUT)
        try:
            kind, content = _frame(process.stdout)
        except (EOFError, OSError) as error:
            self.stop()
            raise MusicZooError(
                f"A process for rendering did not start (exit code {process.returncode}).",
                remedy="Its own message stands above; Renderer(workers=0) renders without one.",
            ) from error
        finally:
            limit.cancel()
        if kind != _READY:
            self.stop()
            raise MusicZooError(f"A process for rendering did not start: {content.decode()}")
        return process


class _Limit:
    """Kills a process after a time, unless it is cancelled before."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.passed = False
        self._process = process
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._timer.start()

    def _end(self) -> None:
        self.passed = True
        self._process.kill()

    def cancel(self) -> None:
        self._timer.cancel()


def _received(stream: IO[bytes]) -> Clip:
    kind, content = _frame(stream)
    if kind == _REASON:
        return Clip(None, content.decode())
    return Clip(np.frombuffer(content, np.float32).reshape(2, -1), is_silent=kind == _SILENCE)


def _frame(stream: IO[bytes]) -> tuple[bytes, bytearray]:
    """A message and its kind.

    Raises:
        EOFError: The stream ends.
    """
    kind, length = _FRAME.unpack(_exactly(stream, _FRAME.size))
    return kind, _exactly(stream, length)


def _exactly(stream: IO[bytes], count: int) -> bytearray:
    content = bytearray(count)
    view = memoryview(content)
    got = 0
    while got < count:
        read = stream.readinto(view[got:])  # type: ignore[attr-defined]
        if not read:
            raise EOFError
        got += read
    return content


def _send(stream: IO[bytes], kind: bytes, content: bytes) -> None:
    stream.write(_FRAME.pack(kind, len(content)))
    stream.write(content)
    stream.flush()


def _work(rendering: Rendering, orders: IO[bytes], answers: IO[bytes]) -> None:
    """Renders piece after piece until the orders end; runs in the worker."""
    from musiczoo.music.sound.synthesizer import synthesizer

    try:
        assert rendering.soundfont is not None
        import symusic  # noqa: F401 - before the first piece, whose time is limited

        synthesizer(rendering.soundfont, rendering.sample_rate)
    except MusicZooError as error:
        _send(answers, _REASON, str(error).encode())
        return
    _send(answers, _READY, b"")
    while True:
        try:
            (length,) = struct.unpack("<Q", _exactly(orders, 8))
            content = _exactly(orders, length)
        except EOFError:
            return
        try:
            clip = render_clip(pickle.loads(content), rendering)  # what the parent has just written
        except MusicZooError as error:
            clip = Clip(None, str(error))
        except Exception as error:
            clip = Clip(None, f"Rendering raised {type(error).__name__}: {error}")
        if clip.samples is None:
            _send(answers, _REASON, (clip.reason or "").encode())
        else:
            _send(
                answers,
                _SILENCE if clip.is_silent else _SOUND,
                np.ascontiguousarray(clip.samples).tobytes(),
            )


def _number(text: str) -> float | None:
    return None if text == "None" else float(text)


def main() -> None:
    """The worker's program.

    Settings are its arguments, pieces come on standard input, clips go to standard output.
    """
    end_with_parent()
    soundfont, rate, beats, seconds = sys.argv[1:]
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=_PIPE_BYTES)
    # What a library may print goes to standard error; standard output carries clips alone.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        _work(
            Rendering(soundfont, int(rate), _number(beats), _number(seconds)),
            sys.stdin.buffer,
            answers,
        )
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(1)  # the parent is gone or stopped; nobody reads a message


if __name__ == "__main__":
    main()
