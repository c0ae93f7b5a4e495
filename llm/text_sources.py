"""Texts about works, found by title and composer: in a folder, by a list of pages, by a search."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from unidecode import unidecode

from musiczoo.llm.page_text import plain_text
from musiczoo.llm.pages import Pages
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.tables import rows

SUFFIXES = (".txt", ".md", ".html", ".htm")
#: Part of the words of a title and of a name of a text that both must share.
MIN_SHARE = 0.6
_MOST_BYTES = 4 * 2**20
_NUMBER = re.compile(r"\d")
# Words that many titles share, in the languages of titles.
_COMMON = frozenset(
    {"a", "an", "and", "the", "in", "on", "of", "for", "no", "nr", "op", "de", "la", "le", "les"}
    | {"der", "die", "das", "und", "et", "du"}
)


@dataclass(frozen=True)
class SourceText:
    """A text about a work.

    Attributes:
        text: The text.
        origin: Its file or address.
    """

    text: str
    origin: str

    @property
    def sha256(self) -> str:
        """Of the text, so that a later reader knows whether it has changed."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class TextSource(Protocol):
    """Finds the text about a work."""

    def find(self, title: str, composer: str) -> SourceText | None:
        """The text; None where there is none that is surely about this work.

        Raises:
            MusicZooError: The source cannot be read.
        """
        ...


def words_of(text: str) -> frozenset[str]:
    """The words of a title or name, without accents, case, and words that many titles share.

    >>> sorted(words_of("Étude No. 3 in E major, Op. 10"))
    ['10', '3', 'e', 'etude', 'major']
    """
    found = re.findall(r"[a-z0-9]+", unidecode(text).lower())
    return frozenset(found) - _COMMON


def likeness(title: str, other: str) -> float:
    """How well two titles agree, 0 to 1: the F-measure of their words.

    0 where both have numbers (of a work, of an opus) and these are not the same.

    >>> likeness("Nocturne Op. 9 No. 2", "Nocturne No. 1, Op. 9")
    0.0
    """
    first, second = words_of(title), words_of(other)
    numbers, others = ({word for word in some if _NUMBER.search(word)} for some in (first, second))
    if not first or not second or (numbers and others and numbers != others):
        return 0.0
    return 2 * len(first & second) / (len(first) + len(second))


def surname(composer: str) -> str:
    """The family name: before a comma, or the last word.

    >>> surname("Chopin, Frédéric"), surname("Clara Schumann")
    ('chopin', 'schumann')
    """
    before, comma, _ = composer.partition(",")
    words = re.findall(r"[a-z]+", unidecode(before if comma else composer).lower())
    return words[-1] if words else ""


def best_match(title: str, composer: str, names: Iterable[tuple[str, str]]) -> int | None:
    """The place of the name that is surely that of a work.

    Args:
        title: Of the work.
        composer: Of the work; ``""`` where it is not known.
        names: (title, composer) of what there is to choose from; an empty composer stands for one
            that is named in the title.

    Returns:
        The place; None where no name is like the title, or two are so in the same degree.
    """
    family = surname(composer)
    scores: list[tuple[float, int]] = []
    for place, (name, by) in enumerate(names):
        bare = name
        if by:
            if family and surname(by) != family:
                continue
        elif family:
            if family not in words_of(name):
                continue
            theirs = words_of(composer) - words_of(title)
            bare = " ".join(words_of(name) - theirs)
        scores.append((likeness(title, bare), place))
    scores.sort(reverse=True)
    if not scores or scores[0][0] < MIN_SHARE:
        return None
    return None if len(scores) > 1 and scores[1][0] == scores[0][0] else scores[0][1]


class TextFolder:
    """Texts in a folder and those below it, named after composer and title.

    Args:
        folder: With files such as ``Chopin - Nocturne Op. 9 No. 2.txt``, of plain text, Markdown or
            HTML. A folder named after a composer holds for its files.

    Raises:
        MusicZooError: There is no such folder, or no text in it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        files = (path for path in sorted(self.folder.rglob("*")) if path.suffix.lower() in SUFFIXES)
        self.files = [path for path in files if path.is_file()]
        if not self.files:
            raise MusicZooError(
                "There are no texts in this folder.",
                path=folder,
                remedy=f"Put files in it that end with {', '.join(SUFFIXES)}.",
            )
        named = (path.relative_to(self.folder).with_suffix("") for path in self.files)
        self._names = [(" ".join(path.parts), "") for path in named]

    def find(self, title: str, composer: str) -> SourceText | None:
        """The text of the file that is named after the work."""
        place = best_match(title, composer, self._names)
        if place is None:
            return None
        path = self.files[place]
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise MusicZooError(
                    f"The text has more than {_MOST_BYTES:,} bytes.", path=path, remedy="Split it."
                )
            data = path.read_bytes()
        except OSError as error:
            raise MusicZooError(
                f"The text cannot be read: {error.strerror or error}.", path=path
            ) from error
        text = plain_text(data, is_html=path.suffix.lower() in (".html", ".htm"))
        origin = path.relative_to(self.folder).as_posix()
        return SourceText(text, origin) if text else None


class UrlList:
    """Pages that a table names.

    Args:
        table: CSV with the columns ``title``, ``composer`` and ``url``.
        pages: Reads them.

    Raises:
        MusicZooError: The table cannot be read.
    """

    def __init__(self, table: str | Path, pages: Pages) -> None:
        self.pages = pages
        found = list(rows(Path(table), "title", "composer", "url"))
        self._names = [(row["title"], row["composer"]) for row in found]
        self._urls = [row["url"].strip() for row in found]

    def find(self, title: str, composer: str) -> SourceText | None:
        """The text of the page that the table names for the work."""
        place = best_match(title, composer, self._names)
        if place is None:
            return None
        text = self.pages.text(self._urls[place])
        return SourceText(text, self._urls[place]) if text else None


class HttpSource:
    """Pages whose address follows from title and composer.

    Args:
        template: An address with ``{title}`` and ``{composer}``, such as
            ``"https://example.org/works/{composer}/{title}"``.
        pages: Reads them.

    Raises:
        MusicZooError: The template has no place for the title.
    """

    def __init__(self, template: str, pages: Pages) -> None:
        if "{title}" not in template:
            raise MusicZooError(
                "The address has no place for the title.",
                where="--url-template",
                remedy="Write {title}, and {composer} where it is needed.",
            )
        self.template = template
        self.pages = pages

    def find(self, title: str, composer: str) -> SourceText | None:
        """The text of the page, if it names the work: its title's words and the composer."""
        url = self.template.replace("{title}", quote(title, safe=""))
        url = url.replace("{composer}", quote(composer, safe=""))
        text = self.pages.text(url)
        if not text:
            return None
        words = words_of(text)
        wanted = words_of(title)
        about = len(wanted & words) >= MIN_SHARE * len(wanted)
        named = not composer or surname(composer) in words
        return SourceText(text, url) if about and named else None
