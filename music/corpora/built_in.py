"""The corpora inside music21's own package.

Nothing is distributed with musiczoo: the files lie in the package music21, whose authors pass them
on with their encoders' permission, and each row of :data:`BUILT_IN` states what is known of
the rights.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import LabelRule, folk_tunes, one_label

_MUSIC21 = (
    "Encoding distributed with music21 by permission of its encoder; the music itself is in the"
    " public domain."
)


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A corpus inside music21's package.

    Attributes:
        title: What it holds.
        patterns: Files below music21's corpus folder.
        licence: What is known of the rights.
        restricted: True where the encoders' terms restrict use; a warning is logged, and no shipped
            weights are trained on it.
        labels: The rule for the conditioning prompt, where the corpus knows period, composer and
            instrumentation.
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
        "The legal status of the collection is unclear; non-commercial distribution and use are"
        " permitted (E. Dahlig-Turek, S. Schlien).",
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
        "String quartets of Joseph Haydn",
        ("haydn/opus*/*.mxl",),
        labels=one_label("Classical", "Haydn, Joseph", "Chamber"),
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
        "Polonaises op. 1 of Clara Schumann",
        ("schumann_clara/polonaise*.mxl",),
        labels=one_label("Romantic", "Schumann, Clara", "Keyboard"),
    ),
}


def files_of(row: BuiltIn) -> tuple[Path, list[str]]:
    """music21's corpus folder, and the files of a corpus in it.

    Raises:
        MusicZooError: music21 is not installed, or was installed without these files.
    """
    root = music21_corpus()
    found = {
        path
        for pattern in row.patterns
        for path in root.glob(pattern)
        if path.name not in row.leave_out
    }
    if not found:
        raise MusicZooError(
            f"The installed music21 has no {row.title}.",
            path=root,
            remedy="Install music21 with its corpus (pip install music21).",
        )
    return root, sorted(path.relative_to(root).as_posix() for path in found)


def music21_corpus() -> Path:
    """The folder of the corpus in the installed package music21.

    Raises:
        MusicZooError: music21 is not installed.
    """
    # Not imported: that takes seconds, and nothing but the folder is wanted.
    spec = importlib.util.find_spec("music21")
    if spec is None or spec.origin is None:
        raise MusicZooError(
            "The built-in corpora lie in the package music21, which is not installed.",
            remedy="pip install music21",
        )
    return Path(spec.origin).parent / "corpus"
