"""A time limit for calls that may hang: a user's function, a service, native code.

Python cannot stop a thread. A call that overruns its limit stays in a daemon thread, which does not
keep the process from ending. Until it has returned its owner is not called again: a reward that
hangs once must not fill the process with threads.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch

from musiczoo.music.errors import MusicZooError

Result = TypeVar("Result")


class Named(Protocol):
    """The owner of a call; its name is part of errors."""

    name: str


class TimeLimitError(MusicZooError):
    """A call did not return in time, or an earlier one has not returned yet."""


@dataclass
class _Call:
    """A call in its thread.

    Attributes:
        owner: Kept as long as the thread runs, so that no other object can get its identity.
        limit: Its limit in seconds.
        outcome: The result or the error, once there is one.
        thread: The thread, once it was started.
    """

    owner: object
    limit: float
    outcome: list[tuple[Any, BaseException | None]] = field(default_factory=list)
    thread: threading.Thread | None = None


# Calls that were given up, by the identity of their owner; _check_free removes those that have
# returned.
_given_up: dict[int, _Call] = {}
_lock = threading.Lock()


def within(owner: Named, act: Callable[[], Result], seconds: float | None) -> Result:
    """The result of ``act``, if it returns in time.

    With a limit it runs in a thread of its own, in the caller's context: gradients on or off, and
    the CUDA device, are as they are here.

    Args:
        owner: Whose call it is. While an earlier call of the same owner, which was given up, still
            runs, no other is begun, with a limit or without.
        act: What may hang.
        seconds: The limit; None waits for ever.

    Raises:
        TimeLimitError: It did not return in time, or an earlier call still runs.
        MusicZooError: The limit is not above 0.
    """
    if seconds is not None and not seconds > 0:
        raise MusicZooError(
            f"A time limit cannot be {seconds} seconds.",
            where="timeout",
            remedy="Give seconds, or None for any time.",
        )
    _check_free(owner)
    if seconds is None:
        return act()
    call = _Call(owner, seconds)
    _start(call, act, f"reward {owner.name}")
    assert call.thread is not None
    call.thread.join(seconds)
    if not call.outcome:
        with _lock:
            _given_up[id(owner)] = call
        raise TimeLimitError(f"{owner.name} gave no score within {seconds:g} s")
    result, problem = call.outcome[0]
    if problem is not None:
        raise problem
    found: Result = result
    return found


def _check_free(owner: Named) -> None:
    """Raises where a call of the owner that was given up still runs."""
    with _lock:
        earlier = _given_up.get(id(owner))
        if earlier is not None and earlier.thread is not None and earlier.thread.is_alive():
            raise TimeLimitError(
                f"{owner.name} is still at an earlier call, which gave no score within"
                f" {earlier.limit:g} s"
            )
        _given_up.pop(id(owner), None)


def _start(call: _Call, act: Callable[[], Any], name: str) -> None:
    """Starts ``act`` in a thread, in this thread's context, gradient mode and CUDA device."""
    context, gradients = contextvars.copy_context(), torch.is_grad_enabled()
    device = (
        torch.cuda.current_device()
        if torch.cuda.is_available() and torch.cuda.is_initialized()
        else None
    )

    def run() -> None:
        try:
            if device is not None:
                torch.cuda.set_device(device)
            with torch.set_grad_enabled(gradients):
                call.outcome.append((context.run(act), None))
        except BaseException as error:
            # Also SystemExit and the like, which would end the thread in silence; the caller
            # raises it.
            call.outcome.append((None, error))

    call.thread = threading.Thread(target=run, name=name, daemon=True)
    call.thread.start()
