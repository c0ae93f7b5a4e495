"""Tuplets of ABC: ``(p:q:r`` puts p notes in the time of q for the next r notes (standard 4.13)."""

from __future__ import annotations

from musiczoo.music.abc.keys import is_compound
from musiczoo.music.errors import MusicZooError


class Tuplet:
    """An open tuplet.

    Args:
        actual: Notes that are written.
        normal: Notes in whose time they are played.
        left: Notes that it still applies to.

    Attributes:
        fresh: Whether no note of it was read yet.
    """

    __slots__ = ("actual", "fresh", "left", "normal")

    def __init__(self, actual: int, normal: int, left: int) -> None:
        self.actual, self.normal, self.left, self.fresh = actual, normal, left, True


def read_tuplet(p: str, q: str | None, r: str | None, meter: tuple[int, int] | None) -> Tuplet:
    """The tuplet of the numbers ``p``, ``q`` and ``r``, the last two as far as they are written.

    Raises:
        MusicZooError: A number of more than four digits, or a zero.
    """
    written = f"({p}:{q or ''}:{r or ''}"
    if max(len(p), len(q or ""), len(r or "")) > 4:
        raise MusicZooError(f"the tuplet {written} is out of all proportion")
    actual = int(p)
    if q:
        normal = int(q)
    elif actual in (3, 6):
        normal = 2
    elif actual in (2, 4, 8):
        normal = 3
    else:
        normal = 3 if is_compound(meter) else 2
    count = int(r) if r else actual
    if normal == 0 or count == 0:
        raise MusicZooError(f"the tuplet {written} contains a zero")
    return Tuplet(actual, normal, count)
