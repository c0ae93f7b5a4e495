"""Corpora by name, out of music21's own package, and folders of a user's own files.

Nothing is distributed with musiczoo: the files lie in the package music21, whose authors pass them on with their encoders' permission, and
each row of :data:`BUILT_IN` says what is known of the rights. A corpus is read once, with worker processes, into a Parquet file in the
user's cache folder, and again only when the files or the readers have changed.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import json
import logging
import os
import shutil
from dataclasses import dataclass
from functools import cache as remember
from pathlib import Path

import platformdirs

from musiczoo.music.corpus import Corpus, read_table, table_of, write_table
from musiczoo.music.corpus_reading import SUFFIXES, read_files
from musiczoo.music.errors import MusicZooError
from musiczoo.music.labels import LabelRule, folk_tunes, one_label

CACHE_VARIABLE = "MUSICZOO_CACHE"
"""Environment variable that moves the cache folder."""

_FORMAT = 2
_log = logging.getLogger(__name__)
_MUSIC21 = "Encoding distributed with music21 by permission of its encoder; the music itself is in the public domain."


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A corpus inside music21's package.

    Attributes:
        title: What it holds.
        patterns: Files below music21's corpus folder.
        licence: What is known of the rights.
        restricted: True where the encoders' terms restrict use; a warning says so, and no shipped weights are trained on it.
        labels: The rule for the conditioning prompt, where the corpus knows period, composer and instrumentation.
        leave_out: Names of files that the patterns match but that do not belong.
    """

    title: str
    patterns: tuple[str, ...]
    licence: str = _MUSIC21
    restricted: bool = False
    labels: LabelRule | None = None
    leave_out: frozenset[str] = frozenset()


BUILT_IN: dict[str, BuiltIn] = {
    "bach-chorales": BuiltIn(
        "Chorales of Johann Sebastian Bach",
        ("bach/*.mxl",),
        labels=one_label("Baroque", "Bach, Johann Sebastian", "Choral"),
        leave_out=frozenset({"bwv846.mxl"}),  # the C major prelude for keyboard
    ),
    "ryan": BuiltIn(
        "Ryan's Mammoth Collection of fiddle tunes (1883)",
        ("ryansMammoth/*.abc",),
        "Transcribed by Ray Davies; no licence is stated. " + _MUSIC21,
        labels=folk_tunes("Ryan's Mammoth Collection"),
    ),
    "oneill": BuiltIn(
        "O'Neill's Music of Ireland (1903)",
        ("oneills1850/*.abc",),
        "Transcribers are named in the tunes; no licence is stated. " + _MUSIC21,
        labels=folk_tunes("O'Neill's Music of Ireland"),
    ),
    "aird": BuiltIn(
        "Aird's Airs (1782-1803)",
        ("airdsAirs/*.abc",),
        "Transcribed by Jack Campin, 2009; no licence is stated. " + _MUSIC21,
        labels=folk_tunes("Aird's Airs"),
    ),
    "misc-folk": BuiltIn(
        "American fife tunes and Northumbrian minstrelsy",
        ("miscFolk/*.abc",),
        "Transcribed by Jack Campin and others; no licence is stated. " + _MUSIC21,
    ),
    "essen": BuiltIn(
        "Essen folk-song collection",
        ("essenFolksong/*.abc",),
        "The legal status of the collection is unclear; non-commercial distribution and use are permitted (E. Dahlig-Turek, S. Schlien).",
        restricted=True,
    ),
    "palestrina": BuiltIn(
        "Masses of Giovanni Pierluigi da Palestrina",
        ("palestrina/*.krn",),
        "Copyright 2000 John Miller; the files refer to a licensing agreement.",
        restricted=True,
        labels=one_label("Renaissance", "Palestrina, Giovanni Pierluigi da", "Choral"),
    ),
    "trecento": BuiltIn(
        "Italian songs of the fourteenth century",
        ("trecento/*.xml", "trecento/*.mxl"),
        "Encoded by M. S. A. Cuthbert; some files are CC BY-SA 3.0. " + _MUSIC21,
    ),
    "monteverdi": BuiltIn(
        "Madrigals of Claudio Monteverdi, books 3 to 5",
        ("monteverdi/*.mxl",),
        "Two files name Ut Orpheus Edizioni, 2003. " + _MUSIC21,
        labels=one_label("Renaissance", "Monteverdi, Claudio", "Choral"),
        leave_out=frozenset({"madrigal.3.1_old.mxl"}),
    ),
    "haydn-quartets": BuiltIn(
        "String quartets of Joseph Haydn", ("haydn/opus*/*.mxl",), labels=one_label("Classical", "Haydn, Joseph", "Chamber")
    ),
    "mozart-quartets": BuiltIn(
        "String quartets of Wolfgang Amadeus Mozart",
        ("mozart/k80/*.mxl", "mozart/k155/*.mxl", "mozart/k156/*.mxl", "mozart/k458/*.mxl"),
        labels=one_label("Classical", "Mozart, Wolfgang Amadeus", "Chamber"),
    ),
    "beethoven-quartets": BuiltIn(
        "String quartets of Ludwig van Beethoven",
        ("beethoven/*.mxl", "beethoven/opus*/*.mxl"),
        labels=one_label("Classical", "Beethoven, Ludwig van", "Chamber"),
    ),
    "schumann-quartet": BuiltIn(
        "String quartet op. 41 no. 1 of Robert Schumann",
        ("schumann_robert/opus41no1/*.mxl",),
        labels=one_label("Romantic", "Schumann, Robert", "Chamber"),
    ),
    "clara-schumann-polonaises": BuiltIn(
        "Polonaises op. 1 of Clara Schumann", ("schumann_clara/polonaise*.mxl",), labels=one_label("Romantic", "Schumann, Clara", "Keyboard")
    ),
}


def corpus_names() -> list[str]:
    """The names that :func:`load_corpus` knows, in alphabetical order."""
    return sorted(BUILT_IN)


def load_corpus(
    name_or_folder: str | Path, *, cache: str | Path | None = None, workers: int | None = None, progress: bool = True
) -> Corpus:
    """The works of a built-in corpus or of a folder of one's own files.

    Args:
        name_or_folder: One of :func:`corpus_names`; a folder, searched with all folders below it for ABC, MusicXML, MIDI, Humdrum and MEI
            files in any mix; or one such file.
        cache: Cache folder; by default ``MUSICZOO_CACHE`` or the user's cache folder of the platform.
        workers: Worker processes; by default one for each core. 1 reads in this process.
        progress: Show a progress bar and the licence note while reading.

    Returns:
        The works. Files and tunes that could not be read are in :attr:`~musiczoo.music.corpus.Corpus.skipped` with the reason.

    Raises:
        MusicZooError: No such corpus or folder, a folder without readable files, or nothing in it could be read.
    """
    name, title, root, files, built_in = _find(name_or_folder)
    if built_in is not None:
        _notice(name)
    folder = (Path(cache) if cache is not None else cache_folder()) / "corpora"
    path = folder / f"{name}-{_key(root, files)}.parquet"
    table = None
    if path.exists():
        try:
            table = read_table(path)
        except MusicZooError as error:
            _log.warning("%s It is read again.", error.message)
    if table is None:
        folder.mkdir(parents=True, exist_ok=True)
        parts = path.with_suffix(".parts")
        rows = read_files(root, files, name, title, parts=parts, workers=workers, progress=progress)
        table = table_of(rows, built_in.labels if built_in else None)
        write_table(table, path)
        shutil.rmtree(parts, ignore_errors=True)
    corpus = Corpus(table, name=name, path=path, licence=built_in.licence if built_in else "")
    if corpus.skipped:
        first = corpus.skipped[0]
        _log.warning("%s: %d skipped, such as %s: %s", name, len(corpus.skipped), first.path, first.reason)
    if not len(corpus):
        raise MusicZooError("None of the files could be read.", path=root, remedy=f"The first one: {corpus.skipped[0].reason}")
    return corpus


def cache_folder() -> Path:
    """``MUSICZOO_CACHE`` if it is set, else the user's cache folder of the platform."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_cache_dir("musiczoo", appauthor=False))


def _find(name_or_folder: str | Path) -> tuple[str, str, Path, list[str], BuiltIn | None]:
    """Name, title, root folder, files relative to it, and the catalogue's row."""
    if isinstance(name_or_folder, str) and name_or_folder in BUILT_IN:
        row = BUILT_IN[name_or_folder]
        root = _music21_corpus()
        found = {path for pattern in row.patterns for path in root.glob(pattern) if path.name not in row.leave_out}
        if not found:
            raise MusicZooError(
                f"The installed music21 has no {row.title}.", path=root, remedy="Install music21 with its corpus (pip install music21)."
            )
        return name_or_folder, row.title, root, sorted(path.relative_to(root).as_posix() for path in found), row
    root = Path(name_or_folder).expanduser()
    if root.is_file():
        return root.stem, root.name, root.parent, [root.name], None
    if not root.is_dir():
        near = difflib.get_close_matches(str(name_or_folder), BUILT_IN, n=3, cutoff=0.4)
        offer = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(corpus_names())}."
        raise MusicZooError(f"{str(name_or_folder)!r} is neither a corpus nor a folder.", remedy=offer)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise MusicZooError("The folder holds no music.", path=root, remedy=f"Readable are {', '.join(sorted(SUFFIXES))}.")
    return root.resolve().name, root.resolve().name, root, files, None


def _music21_corpus() -> Path:
    # Not imported: that takes seconds, and nothing but the folder is wanted.
    spec = importlib.util.find_spec("music21")
    if spec is None or spec.origin is None:
        raise MusicZooError("The built-in corpora lie in the package music21, which is not installed.", remedy="pip install music21")
    return Path(spec.origin).parent / "corpus"


def _key(root: Path, files: list[str]) -> str:
    """A digest of all that the cached rows depend on: the files and the code that reads them."""
    state = [[name, (stat := (root / name).stat()).st_size, stat.st_mtime_ns] for name in files]
    return hashlib.sha256(json.dumps([_FORMAT, _code(), str(root.resolve()), state]).encode()).hexdigest()[:16]


@remember
def _code() -> str:
    """A digest of the reading code, so that no release can forget to make its readers' old results invalid."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@remember
def _notice(name: str) -> None:
    """Say once in a process what is known of a corpus's rights."""
    row = BUILT_IN[name]
    if row.restricted:
        _log.warning("%s: use is restricted. %s", row.title, row.licence)
    else:
        _log.info("%s: %s", row.title, row.licence)
