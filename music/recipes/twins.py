"""Scores that a corpus holds in several formats: one is read, the others are left out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import PurePosixPath

_BEST_FIRST = (".mxl", ".musicxml", ".xml", ".mei", ".krn", ".abc", ".mid", ".midi")


def one_of_each(
    files: Sequence[str], score_of: Callable[[PurePosixPath], Hashable]
) -> dict[str, str]:
    """The files to leave out so that each score is read once.

    Args:
        files: Paths of files that may be music.
        score_of: Gives a key that is equal for files that hold the same score.

    Returns:
        Path -> reason.
    """

    def rank(name: str) -> tuple[int, str]:
        suffix = PurePosixPath(name).suffix.lower()
        return _BEST_FIRST.index(suffix) if suffix in _BEST_FIRST else len(_BEST_FIRST), name

    first: dict[Hashable, str] = {}
    left_out: dict[str, str] = {}
    for name in sorted(files, key=rank):
        score = score_of(PurePosixPath(name))
        if score in first:
            left_out[name] = f"the same score as {first[score]}"
        else:
            first[score] = name
    return left_out
