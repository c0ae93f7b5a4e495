"""Corpora by name, and folders of a user's own files.

A corpus is read once, with worker processes, into a Parquet file in the user's cache folder
(:mod:`musiczoo.music.corpora.cache`). A folder that is a copy of a published corpus is read by its
recipe (:mod:`musiczoo.music.recipes`), which knows what belongs to it and how its works are
labelled. :mod:`musiczoo.music.corpora.registration` gives a folder a name.
"""

from __future__ import annotations

import difflib
import logging
from collections import Counter
from functools import cache as remember
from pathlib import Path

import pyarrow as pa

from musiczoo.music.corpora.built_in import BUILT_IN, files_of
from musiczoo.music.corpora.cache import load_table, make_table, table_path
from musiczoo.music.corpora.corpus import Corpus
from musiczoo.music.corpora.files import SUFFIXES, CorpusFile, files_below, files_named
from musiczoo.music.corpora.registration import corpora_folder, registered
from musiczoo.music.corpora.source import AUTO, Source, folder_source
from musiczoo.music.corpora.table import read_table
from musiczoo.music.errors import MusicZooError
from musiczoo.music.parquet_cache import read_note

_log = logging.getLogger(__name__)


def corpus_names(*, cache: str | Path | None = None) -> list[str]:
    """The names that :func:`load_corpus` knows, built-in and registered, in alphabetical order."""
    return sorted({*BUILT_IN, *registered(cache=cache)})


def load_corpus(
    name_or_folder: str | Path,
    *,
    recipe: str = AUTO,
    cache: str | Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Corpus:
    """The works of a corpus, or of a folder of one's own files.

    Args:
        name_or_folder: One of :func:`corpus_names`; a folder, searched with all folders below it
            for ABC, MusicXML, MIDI, Humdrum and MEI files in any mix; or one such file.
        recipe: For a folder: ``"auto"`` takes the recipe of the published corpus that it looks
            like, if any; or the name of a recipe, or ``"none"``. A registered corpus keeps the
            recipe that it was registered with.
        cache: Cache folder; by default ``MUSICZOO_CACHE`` or the user's cache folder of the
            platform.
        workers: Worker processes; by default one for each core. 1 reads in this process.
        progress: Show a progress bar while reading.

    Returns:
        The works. Files and tunes that could not be read are in
        :attr:`~musiczoo.music.corpora.corpus.Corpus.skipped` with the reason, and those that are no
        music or were left out by the recipe in
        :attr:`~musiczoo.music.corpora.corpus.Corpus.left_out`.

    Raises:
        MusicZooError: No such corpus or folder, a folder without readable files, nothing in it
            could be read, or the cache cannot be written to.
    """
    return corpus_of(
        find_source(name_or_folder, recipe=recipe, cache=cache),
        cache=cache,
        workers=workers,
        progress=progress,
    )


def corpus_of(
    source: Source,
    *,
    cache: str | Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Corpus:
    """The works of a source, as :func:`load_corpus`."""
    if source.licence:
        _notice(source.title, source.licence, source.restricted)
    folder = corpora_folder(cache)
    path = table_path(source, folder)
    if not source.root.is_dir():
        table = _without_files(source, path)
    else:
        files = _files(source, folder)
        table = load_table(source, files, path)
        if table is None:
            try:
                table = make_table(source, files, path, workers=workers, progress=progress)
            except MusicZooError:
                # Another process that read the same files has ended first, and cleared the parts
                # that both were writing.
                table = load_table(source, files, path)
                if table is None:
                    raise
    corpus = Corpus(table, name=source.name, path=path, licence=source.licence)
    if corpus.skipped:
        first = corpus.skipped[0]
        _log.warning(
            "%s: %d skipped, such as %s: %s",
            source.name,
            len(corpus.skipped),
            first.path,
            first.reason,
        )
    if not len(corpus):
        raise MusicZooError(
            "None of the files could be read.", path=source.root, remedy=_why_nothing(corpus)
        )
    return corpus


def cached_corpus(source: Source, *, cache: str | Path | None = None) -> Corpus | None:
    """What is cached of a source, whether its files have changed since or not.

    No file of the corpus is read, and nothing is written.

    Returns:
        The works; None where nothing is cached.
    """
    path = table_path(source, corpora_folder(cache))
    if not read_note(path):
        return None
    return Corpus(read_table(path), name=source.name, path=path, licence=source.licence)


def find_source(
    name_or_folder: str | Path, *, recipe: str = AUTO, cache: str | Path | None = None
) -> Source:
    """What a name or a folder stands for.

    Raises:
        MusicZooError: It is neither, or there is no such recipe.
    """
    if isinstance(name_or_folder, str) and name_or_folder in BUILT_IN:
        row = BUILT_IN[name_or_folder]
        root, files = files_of(row)
        return Source(
            name_or_folder, row.title, root, row.licence, row.restricted, tuple(files), row.labels
        )
    if isinstance(name_or_folder, str) and (entry := registered(cache=cache).get(name_or_folder)):
        root = Path(entry["path"])
        return folder_source(name_or_folder, root, entry["recipe"])
    root = Path(name_or_folder).expanduser()
    if root.is_file():
        return Source(root.stem, root.name, root.parent, files=(root.name,))
    if not root.is_dir():
        names = corpus_names(cache=cache)
        near = difflib.get_close_matches(str(name_or_folder), names, n=3, cutoff=0.4)
        offer = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(names)}."
        raise MusicZooError(
            f"{str(name_or_folder)!r} is neither a corpus nor a folder.", remedy=offer
        )
    return folder_source(root.resolve().name or "root", root, recipe)


def _files(source: Source, folder: Path) -> list[CorpusFile]:
    if source.files is not None:
        return files_named(source.root, source.files)
    files = files_below(source.root, without=folder)
    if all(file.left_out for file in files):
        kinds = Counter(str(file.left_out) for file in files).most_common(3)
        held = (
            f" It holds {', '.join(f'{count} x {kind}' for kind, count in kinds)}." if kinds else ""
        )
        raise MusicZooError(
            f"The folder holds no music.{held}",
            path=source.root,
            remedy=f"Readable are {', '.join(sorted(SUFFIXES))}.",
        )
    return files


def _without_files(source: Source, path: Path) -> pa.Table:
    """The cached table of a folder that does not exist any more."""
    if not path.exists() or not read_note(path):
        raise MusicZooError(
            f"The folder of the corpus {source.name} is not there, and nothing usable of it is"
            " cached.",
            path=source.root,
            remedy=f"Bring it back, or register another: musiczoo corpus remove {source.name}.",
        )
    _log.warning(
        "%s: the folder %s is not there; what was read of it before is used.",
        source.name,
        source.root,
    )
    return read_table(path)


def _why_nothing(corpus: Corpus) -> str:
    first = (corpus.skipped or corpus.left_out)[0]
    return f"The first one, {first.path}: {first.reason}"


@remember
def _notice(title: str, licence: str, restricted: bool) -> None:
    """Log once in a process what is known of a corpus's rights."""
    if restricted:
        _log.warning("%s: use is restricted. %s", title, licence)
    else:
        _log.info("%s: %s", title, licence)
