"""The rows of one file of a corpus: its pieces, or why it or one of them was skipped.

Cached corpora depend on this module and on what it imports: a change there makes them invalid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musiczoo.music.abc import Tune, staff_count, write_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files.reading import pieces_and_errors
from musiczoo.music.near_duplicates import shingles, skyline

if TYPE_CHECKING:
    from symusic.core import ScoreTick

    from musiczoo.music.corpora.files import CorpusFile

Row = dict[str, Any]


def row_reader(root: Path, source: str) -> Callable[[CorpusFile], list[Row]]:
    """The function that gives the rows of a file of a corpus, at least one.

    Args:
        root: Folder of the corpus.
        source: Name of the corpus.
    """
    return partial(_rows, root, source)


def rows_of_deadly(source: str, file: CorpusFile) -> list[Row]:
    """The rows of a file that killed the process that read it."""
    row = _skipped(file.path, source, 0, "The process that read it died.")
    return [row | _state(file)]


def _rows(root: Path, source: str, file: CorpusFile) -> list[Row]:
    return [row | _state(file) for row in _read_file(root, file.path, source)]


def _state(file: CorpusFile) -> Row:
    return {"size": file.size, "mtime_ns": file.mtime_ns}


def _read_file(root: Path, name: str, source: str) -> list[Row]:
    try:
        tunes, errors = _read_tunes(root / name)
    except Exception as error:
        return [_skipped(name, source, 0, _reason(error))]
    rows: list[Row] = []
    for number, tune in enumerate(tunes, 1):
        try:
            rows.append(row_of(name, source, number, tune))
        except Exception as error:
            rows.append(_skipped(name, source, number, _reason(error)))
    rows += [_skipped(name, source, 0, _reason(error)) for error in errors]
    return rows or [_skipped(name, source, 0, "There is no tune in it.")]


def _read_tunes(path: Path) -> tuple[list[Tune], Sequence[MusicZooError]]:
    """The pieces of a file as tunes, and the errors of those of a tune book that cannot be read."""
    pieces, errors = pieces_and_errors(path)
    return [_as_tune(piece) for piece in pieces], errors


def _as_tune(piece: Tune | ScoreTick) -> Tune:
    if isinstance(piece, Tune):
        return piece
    # Not at the top: symusic is needed for MIDI files alone.
    from musiczoo.music.midi.to_tune import from_score

    return from_score(piece)


def row_of(name: str, source: str, number: int, tune: Tune) -> Row:
    """The row of a piece.

    Args:
        name: Of the file, relative to the corpus.
        source: Name of the corpus.
        number: Of the piece in the file, from 1.
        tune: The piece.

    Raises:
        MusicZooError: A tune without notes, or with music code that cannot be read.
    """
    notes = tune.notes()
    if not notes:
        raise MusicZooError("There are no notes in it.")
    abc = write_abc(tune)
    return {
        "id": f"{source}/{name}#{number}",
        "source": source,
        "path": name,
        "number": number,
        "abc": abc,
        "voices": len(tune.voices),
        "bars": max(len(voice.bars) for voice in tune.voices),
        "notes": len(notes),
        "staves": staff_count(tune),
        "sha256": hashlib.sha256(abc.encode()).hexdigest(),
        "shingles": shingles(skyline(notes)).astype("<u4").tobytes(),
    }


def _skipped(name: str, source: str, number: int, reason: str) -> Row:
    return {
        "source": source,
        "path": name,
        "number": number,
        "skipped": reason,
    }


def _reason(error: Exception) -> str:
    """Why a piece was not read.

    An error outside our family is a defect of a reader: it costs one piece, not the run, and stays
    visible.
    """
    if isinstance(error, MusicZooError):
        return ", ".join(part for part in (error.where, error.message) if part)
    return f"Unexpected {type(error).__name__}: {error}"
