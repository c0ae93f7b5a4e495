"""WordNet on this machine: sets of synonyms, for METEOR.

NLTK reads its own data. It cannot read Debian's package wordnet-base, because two files of NLTK's
copy are missing there and because NLTK opens nothing outside its data folders, so the files of the
package are read here, by the manual pages wndb(5WN) and morphy(7WN). Sets of synonyms are the same;
their relations, glosses and frequencies are not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from musiczoo.music.errors import MusicZooError

DEBIAN = Path("/usr/share/wordnet")
"""Where Debian's and Ubuntu's package wordnet-base keeps its files."""

_ENDINGS: dict[str, list[tuple[str, str]]] = {
    "adj": [("er", ""), ("est", ""), ("er", "e"), ("est", "e")],
    "adv": [],
    "noun": [
        ("s", ""),
        ("ses", "s"),
        ("ves", "f"),
        ("xes", "x"),
        ("zes", "z"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("ies", "y"),
    ],
    "verb": [
        ("s", ""),
        ("ies", "y"),
        ("es", "e"),
        ("es", ""),
        ("ed", "e"),
        ("ed", ""),
        ("ing", "e"),
        ("ing", ""),
    ],
}


@dataclass(frozen=True, slots=True)
class Lemma:
    """One word of a set of synonyms."""

    word: str

    def name(self) -> str:
        """The word; those of several words have underscores."""
        return self.word


@dataclass(frozen=True, slots=True)
class Synset:
    """A set of synonyms."""

    words: tuple[str, ...]

    def lemmas(self) -> list[Lemma]:
        """The words of the set."""
        return [Lemma(word) for word in self.words]


class Thesaurus(Protocol):
    """What METEOR asks of WordNet; NLTK's reader has it too."""

    def synsets(self, word: str) -> Sequence[Synset]:
        """The sets of synonyms of a word."""


def base_forms(word: str, part: str) -> list[str]:
    """What a regular inflected word may come from, by the endings of morphy(7WN).

    Args:
        word: In lower case.
        part: ``"noun"``, ``"verb"``, ``"adj"`` or ``"adv"``.

    >>> base_forms("waltzes", "noun")
    ['waltze', 'waltz']
    """
    return [word[: -len(ending)] + base for ending, base in _ENDINGS[part] if word.endswith(ending)]


class WordNetFolder:
    """The sets of synonyms in a folder of WordNet's database files.

    Args:
        folder: With ``index.noun``, ``data.noun``, ``noun.exc`` and the same of verb, adj and adv.

    Raises:
        MusicZooError: A file is missing or is no part of WordNet.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._offsets: dict[str, dict[str, list[int]]] = {}
        self._exceptions: dict[str, dict[str, list[str]]] = {}
        self._data: dict[str, bytes] = {}
        for part in _ENDINGS:
            self._data[part] = self._read(f"data.{part}")
            self._offsets[part] = dict(map(_index_row, self._rows(f"index.{part}")))
            self._exceptions[part] = {
                row[0]: row[1:] for row in map(str.split, self._rows(f"{part}.exc"))
            }

    def synsets(self, word: str) -> list[Synset]:
        """The sets of synonyms of a word, of all parts of speech.

        Args:
            word: In any case, inflected or not.

        Raises:
            MusicZooError: The index names a place without a set.
        """
        word = word.lower()
        found = []
        for part, offsets in self._offsets.items():
            bases = self._exceptions[part].get(word) or base_forms(word, part)
            for form in dict.fromkeys([word, *bases]):
                found += [self._synset(part, offset) for offset in offsets.get(form, ())]
        return found

    def _synset(self, part: str, offset: int) -> Synset:
        data = self._data[part]
        # offset, file number, kind, number of words (hexadecimal), then each word and its number
        row = data[offset : data.find(b"\n", offset)].decode("utf-8").split(" ")
        if row[0] != f"{offset:08d}":
            raise MusicZooError(
                f"There is no set of synonyms at {offset}.",
                path=self.folder / f"data.{part}",
                remedy="Install WordNet again.",
            )
        words = row[4 : 4 + 2 * int(row[3], 16) : 2]
        # Adjectives may carry a mark of their place: "galore(ip)".
        return Synset(tuple(word.partition("(")[0] for word in words))

    def _rows(self, name: str) -> list[str]:
        # Lines of the licence begin with blanks.
        lines = self._read(name).decode("utf-8").splitlines()
        return [line for line in lines if line and not line.startswith(" ")]

    def _read(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise MusicZooError(
                "This file of WordNet cannot be read.",
                path=self.folder / name,
                remedy="Install WordNet again.",
            ) from error


def _index_row(line: str) -> tuple[str, list[int]]:
    # lemma, part, number of sets, number of pointers, pointers, two counts, one offset a set
    row = line.split()
    sets = int(row[2])
    return row[0], [int(offset) for offset in row[-sets:]]


def system_wordnet() -> tuple[Thesaurus, str] | None:
    """WordNet as NLTK's data or as Debian's package has it, and which it is; else None.

    Raises:
        MusicZooError: Debian's package is incomplete.
        ImportError: NLTK is not installed.
    """
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except LookupError:
        pass
    else:
        return wordnet, f"WordNet {wordnet.get_version()} of NLTK's data"
    if (DEBIAN / "index.noun").is_file():
        return WordNetFolder(DEBIAN), f"WordNet of {DEBIAN}"
    return None
