"""Sources of tokens: folders and files, corpora by name, and pieces in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musiczoo.datamodules.token_cache import TokenSource
from musiczoo.datamodules.tokenising import Unread, score_id
from musiczoo.music.abc import Tune
from musiczoo.music.corpora import BUILT_IN, corpus_of, find_source
from musiczoo.music.corpora.cache import Source, cache_folder
from musiczoo.music.corpora.corpus import Corpus, Work
from musiczoo.music.corpora.files import files_below, files_named
from musiczoo.music.corpora.reading import work_of
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import MIDI_SUFFIXES

if TYPE_CHECKING:
    from symusic.core import ScoreTick

_MIDI = tuple(MIDI_SUFFIXES)


def source_of(
    given: str | Path | Corpus, *, cache: str | Path | None = None, progress: bool = True
) -> TokenSource:
    """The files or works of a corpus.

    A folder of one's own is read file by file. A built-in corpus, and a folder that a recipe knows,
    is loaded by :func:`musiczoo.music.corpora.names.load_corpus`, which decides what belongs to it;
    its MIDI files are read as they were played all the same.

    Args:
        given: Name of a corpus, a folder, a file, or a loaded corpus.
        cache: Cache folder.
        progress: Show a progress bar when a corpus is read for the first time.

    Raises:
        MusicZooError: There is no such corpus, folder or file, or nothing in it can be read.
    """
    if isinstance(given, Corpus):
        return _of_corpus(given, None, str(given.path.name))
    source = find_source(given, cache=cache)
    if source.name not in BUILT_IN and source.recipe is None:
        return _of_folder(source, Path(cache) if cache is not None else cache_folder())
    return _of_corpus(
        corpus_of(source, cache=cache, progress=progress), source.root, str(source.root.resolve())
    )


def named_pieces(given: Iterable[Any]) -> Iterator[tuple[str, str, Tune | ScoreTick]]:
    """(id, source, piece) of works, tunes and scores.

    Raises:
        MusicZooError: Something else, or a tune without notes.
    """
    from symusic.core import ScoreTick

    for piece in given:
        if isinstance(piece, Work):
            yield piece.id, piece.source, piece.tune
        elif isinstance(piece, Tune):
            yield work_of(piece).id, "tune", piece
        elif isinstance(piece, ScoreTick):
            yield score_id(piece), "score", piece
        else:
            raise MusicZooError(
                f"A {type(piece).__name__} is no source of pieces.",
                where="corpus",
                remedy="Give names, folders, files, tunes, works, or symusic scores in ticks.",
            )


def _of_folder(source: Source, cache: Path) -> TokenSource:
    files = (
        files_below(source.root, without=cache)
        if source.files is None
        else files_named(source.root, source.files)
    )
    items = [
        Unread(f"{source.name}/{file.path}", f"{file.size}:{file.mtime_ns}", file.path)
        for file in files
        if file.left_out is None
    ]
    refused = [
        (f"{source.name}/{file.path}", file.left_out) for file in files if file.left_out is not None
    ]
    identity = (
        str(source.root.resolve())
        if source.files is None
        else str((source.root / source.files[0]).resolve())
    )
    return TokenSource(source.name, identity, source.root, items, refused)


def _of_corpus(corpus: Corpus, root: Path | None, identity: str) -> TokenSource:
    items = []
    for work in corpus:
        file = root / work.path if root is not None and work.path.lower().endswith(_MIDI) else None
        if file is not None and file.is_file():
            stat = file.stat()
            items.append(Unread(work.id, f"{stat.st_size}:{stat.st_mtime_ns}", work.path))
        else:
            items.append(Unread(work.id, work.sha256, work.path, work.number, work.abc))
    refused = [
        (
            (
                f"{corpus.name}/{entry.path}#{entry.number}"
                if entry.number
                else f"{corpus.name}/{entry.path}"
            ),
            entry.reason,
        )
        for entry in (*corpus.skipped, *corpus.left_out)
    ]
    return TokenSource(corpus.name, identity, root, items, refused)
