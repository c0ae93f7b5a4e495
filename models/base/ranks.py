"""What the processes of a distributed run share: Python objects, and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from musiczoo.music.errors import MusicZooError

Thing = TypeVar("Thing")


def gathered(thing: Thing, world_size: int) -> list[Thing]:
    """The things of all processes, in the order of their ranks; the same list in each process.

    Args:
        thing: This process's, any object that can be pickled.
        world_size: Number of processes; with one nothing is sent.
    """
    if world_size == 1:
        return [thing]
    parts: list[Any] = [None] * world_size
    torch.distributed.all_gather_object(parts, thing)
    return parts


def from_first(thing: Thing, world_size: int) -> Thing:
    """The thing of the first process, in all of them; the processes need not share a disk.

    Args:
        thing: This process's; that of the other processes is ignored.
        world_size: Number of processes; with one nothing is sent.
    """
    if world_size == 1:
        return thing
    parts: list[Any] = [thing if torch.distributed.get_rank() == 0 else None]
    torch.distributed.broadcast_object_list(parts, src=0)
    first: Thing = parts[0]
    return first


def agreed(act: Callable[[], Thing], world_size: int) -> Thing:
    """The result of ``act`` in this process, if it succeeds in all of them.

    A process that failed alone would leave the others waiting for it.

    Args:
        act: Called once in each process.
        world_size: Number of processes.

    Raises:
        MusicZooError: ``act`` raised it in this process or in another one; then all processes
            raise that of the first rank that has one.
    """
    made: Thing | None = None
    problem: MusicZooError | None = None
    try:
        made = act()
    except MusicZooError as error:
        if world_size == 1:
            raise
        problem = error
    for other in gathered(problem, world_size):
        if other is not None:
            raise other
    return made  # type: ignore[return-value]  # there was no error, so there is a result
