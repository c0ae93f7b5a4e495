"""A time limit for what may hang: a user's function, a service that does not answer, native code that loops.

Python cannot stop a thread. A call that overruns its limit is left alone in a daemon thread, which
does not keep the process from ending, and until it has come back its owner is not called again: a
reward that hangs once must not fill the process with threads.
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
    """What is called within a limit, and told of by its name."""

    name: str


class TimeLimitError(MusicZooError):
    """A call did not come back in time, or an earlier one still has not."""


@dataclass
class _Call:
    """A call in its thread.

    Attributes:
        owner: Kept as long as the thread runs, so that no other object can get its identity.
        limit: Seconds that it was given.
        outcome: The result or the error, once there is one.
    """

    owner: object
    limit: float
    outcome: list[tuple[Any, BaseException | None]] = field(default_factory=list)
    thread: threading.Thread | None = None


# Calls that were given up, by the identity of their owner; those that have come back are taken out
# when they are looked for.
_given_up: dict[int, _Call] = {}
_lock = threading.Lock()


def within(owner: Named, act: Callable[[], Result], seconds: float | None) -> Result:
    """What ``act`` gives, if it gives it in time.

    With a limit it runs in a thread of its own, in the caller's context: gradients on or off, and
    the CUDA device, are as they are here.

    Args:
        owner: Whose call it is. While one that was given up still runs, no other of the same owner
            is begun, with a limit or without.
        act: What may hang.
        seconds: The limit; None waits for ever.

    Raises:
        TimeLimitError: It did not come back in time, or an earlier one still runs.
        MusicZooError: A limit of no time.
    """
    if seconds is not None and not seconds > 0:
        raise MusicZooError(
            f"A time limit of {seconds} seconds is none.",
            where="timeout",
            remedy="Give seconds, or None for any time.",
        )
    with _lock:
        earlier = _given_up.get(id(owner))
        if earlier is not None and earlier.thread is not None and earlier.thread.is_alive():
            raise TimeLimitError(
                f"{owner.name} is still at an earlier call, which gave no score within"
                f" {earlier.limit:g} s"
            )
        _given_up.pop(id(owner), None)
    if seconds is None:
        return act()
    call = _Call(owner, seconds)
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
            # Also what would end a thread in silence; the caller raises it.
            call.outcome.append((None, error))

    call.thread = threading.Thread(target=run, name=f"reward {owner.name}", daemon=True)
    call.thread.start()
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
