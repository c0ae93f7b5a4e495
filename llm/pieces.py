"""The music of works: opened by the names that tables and corpora give them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from musiczoo.llm.works_table import WorkRow
from musiczoo.music.abc.tune import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import read, read_all
from musiczoo.music.midi.from_tune import to_score
from musiczoo.music.midi.piano_stream import fingerprint
from musiczoo.music.near_duplicates import clusters, shingles

if TYPE_CHECKING:
    from symusic.core import ScoreTick


class OpenPiece(NamedTuple):
    """A piece as a score, and its notation where the file has one."""

    score: ScoreTick
    tune: Tune | None


def open_piece(root: Path, name: str) -> OpenPiece:
    """The piece of a work.

    Args:
        root: Folder of the music.
        name: A file in it; ``file#number`` for one tune of a book, from 1.

    Raises:
        MusicZooError: There is no such file or tune, or it cannot be read.
    """
    path = root / name
    file, sign, number = name.rpartition("#")
    if sign and number.isdecimal() and not path.exists():
        tunes = read_all(root / file)
        if not 1 <= int(number) <= len(tunes):
            raise MusicZooError(
                f"The book has {len(tunes)} tunes, none with the number {number}.",
                path=root / file,
            )
        piece = tunes[int(number) - 1]
    else:
        piece = read(path)
    return OpenPiece(to_score(piece), piece) if isinstance(piece, Tune) else OpenPiece(piece, None)


def near_works(
    works: Sequence[WorkRow], root: Path, *, progress: Callable[[int, int], None] | None = None
) -> list[int]:
    """For each work the first one of its cluster of near-duplicates, by their notes.

    A work whose music cannot be read is alone.

    Args:
        works: The works.
        root: Folder of the music.
        progress: Is called with the works that are read, and all works.
    """
    prints = []
    for number, work in enumerate(works, 1):
        try:
            prints.append(fingerprint(open_piece(root, work.midi).score))
        except MusicZooError:
            prints.append(shingles([]))
        if progress is not None:
            progress(number, len(works))
    found = clusters(prints)
    # Pieces without a melody have equal fingerprints, and nothing else in common.
    return [
        first if len(some) else place
        for place, (first, some) in enumerate(zip(found, prints, strict=True))
    ]
