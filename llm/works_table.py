"""The works to annotate: from a CSV table, a folder of music, or a corpus by its name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from musiczoo.llm.text_sources import surname, words_of
from musiczoo.music.corpora import find_source, load_corpus
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.errors import MusicZooError
from musiczoo.music.near_duplicates import first_connected
from musiczoo.music.recipes.tables import rows

_TITLE = re.compile(r"^T:(.*)$", re.MULTILINE)
_NOMINAL = "giantmidi-piano"
_NEEDED = ("midi", "title", "composer")


@dataclass(frozen=True)
class WorkRow:
    """A work to annotate.

    Attributes:
        midi: Its file, relative to the folder of the music; of a tune book ``file#number``.
        title: Its title.
        composer: Its composer, ``""`` where not known.
        period: Such as ``"Romantic"``, ``""`` where not known.
        dataset: Name of the corpus.
        cluster: Name of its cluster of near-duplicates, ``""`` where not known.
        nominal: Whether its tempo and bars are those of a transcription, which mean nothing.
    """

    midi: str
    title: str
    composer: str = ""
    period: str = ""
    dataset: str = ""
    cluster: str = ""
    nominal: bool = False


@dataclass(frozen=True)
class WorksTable:
    """Works and the folder in which their files lie."""

    works: tuple[WorkRow, ...]
    root: Path


def read_works(source: str | Path, *, root: str | Path | None = None) -> WorksTable:
    """The works of a table, folder or corpus.

    Args:
        source: A CSV file with the columns ``midi``, ``title`` and ``composer``, and where they are
            known ``period``, ``dataset``, ``cluster`` and ``nominal`` (1 or 0); a folder of music;
            or the name of a corpus (``musiczoo corpus list``). A copy of GiantMIDI-Piano is
            recognised, and its works are nominal.
        root: The folder of the files of a table; that of the table when None.

    Raises:
        MusicZooError: The table or folder cannot be read, or two works have one file.
    """
    if str(source).lower().endswith(".csv"):
        path = Path(source)
        table = WorksTable(tuple(map(_row, rows(path, *_NEEDED))), Path(root or path.parent))
    else:
        table = _of_corpus(source)
    twice = [name for name, count in Counter(row.midi for row in table.works).items() if count > 1]
    if twice or not table.works:
        raise MusicZooError(
            f"{len(twice)} files stand in more than one row." if twice else "There are no works.",
            path=str(source),
            where=twice[0] if twice else None,
            remedy="Give each work one row.",
        )
    return table


def _row(cells: Mapping[str, str]) -> WorkRow:
    texts = {name: " ".join(cells.get(name, "").split()) for name in WorkRow.__dataclass_fields__}
    nominal = texts.pop("nominal").lower() in ("1", "true", "yes")
    if not texts["midi"] or not texts["title"]:
        raise MusicZooError(
            "A work has no file or no title.",
            where=texts["midi"] or texts["title"] or "an empty row",
            remedy="Fill the columns midi and title.",
        )
    return WorkRow(**texts, nominal=nominal)


def _of_corpus(source: str | Path) -> WorksTable:
    found = find_source(source)
    corpus = load_corpus(source)
    nominal = found.recipe is not None and found.recipe.name == _NOMINAL
    works = list(corpus)
    tunes = Counter(work.path for work in works)
    return WorksTable(
        tuple(_of_work(work, tunes[work.path] > 1, nominal) for work in works), found.root
    )


def _of_work(work: Work, of_book: bool, nominal: bool) -> WorkRow:
    labels = work.labels
    # In the labels of folk tunes the collection stands in the composer's place.
    composer = labels.composer if labels and labels.period != "Traditional" else ""
    return WorkRow(
        midi=f"{work.path}#{work.number}" if of_book else work.path,
        title=_title(work, nominal),
        composer=composer,
        period=labels.period if labels else "",
        dataset=work.source,
        cluster=work.cluster,
        nominal=nominal,
    )


def _title(work: Work, nominal: bool) -> str:
    stem = PurePosixPath(work.path).stem
    if nominal:
        # "Surname, First name, Title, identifier"; a title may hold commas.
        return ", ".join(stem.split(", ")[2:-1]) or stem
    given = _TITLE.search(work.abc)
    return (given[1].strip() if given else "") or stem.replace("_", " ")


def groups(works: Sequence[WorkRow], near: Sequence[int] = ()) -> list[int]:
    """For each work the first one that must be in the same split.

    Works of one cluster of near-duplicates belong together, and so do those of one title and
    composer: two performances of a piece may differ in all their notes.

    Args:
        works: The works.
        near: For each work the first one of its cluster, where the notes have been compared
            (:func:`musiczoo.llm.pieces.near_works`).
    """
    first: dict[tuple[str, object], int] = {}
    pairs: list[tuple[int, int]] = list(enumerate(near))
    for index, work in enumerate(works):
        names: list[tuple[str, object]] = [("cluster", work.cluster)] if work.cluster else []
        if work.composer and (words := words_of(work.title)):
            names.append((surname(work.composer), words))
        pairs += [(first.setdefault(name, index), index) for name in names]
    return first_connected(len(works), pairs)
