"""Works for data modules: read from what a user gives, named, repeated, and counted by prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from musiczoo.models.prompts import checked_labels
from musiczoo.music.abc import Tune
from musiczoo.music.corpora.corpus import Corpus, Work
from musiczoo.music.corpora.names import load_corpus
from musiczoo.music.corpora.reading import work_of
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels


def listed(sources: Any) -> list[Any]:
    """Sources of works as a list: one corpus, name, folder or file, or several of anything."""
    return [sources] if isinstance(sources, str | Path | Corpus) else list(sources)


def works_of(
    sources: Any, *, cache: str | Path | None = None, progress: bool = True
) -> Iterator[Work]:
    """The works of names of corpora, folders, files, loaded corpora, works and tunes.

    Args:
        sources: One of these, or several.
        cache: Folder of the corpus cache, see :func:`musiczoo.music.corpora.names.load_corpus`.
        progress: Show a progress bar when a corpus is read for the first time.

    Raises:
        MusicZooError: Anything else, or a corpus that cannot be read.
    """
    for source in listed(sources):
        if isinstance(source, str | Path):
            yield from load_corpus(source, cache=cache, progress=progress)
        elif isinstance(source, Corpus):
            yield from source
        elif isinstance(source, Work):
            yield source
        elif isinstance(source, Tune):
            yield work_of(source)
        else:
            raise MusicZooError(
                f"A {type(source).__name__} is no source of pieces.",
                where="corpus",
                remedy="Give names, folders, tunes or works.",
            )


def source_names(sources: Any) -> list[str]:
    """Names of sources for a published record.

    Folders are named by their last part alone: where they lie on somebody's machine is nobody
    else's business.
    """
    return [
        Path(source).name
        if isinstance(source, str | Path)
        else str(
            getattr(source, "name", None) or getattr(source, "id", None) or type(source).__name__
        )
        for source in listed(sources)
    ]


def work_names(works: Iterable[Work]) -> list[str]:
    r"""The ids of works; a work that is listed again gets a number behind its id.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> work = work_of(read_abc("L:1/4\nK:C\nCDEF|G4|\n"))
        >>> [name.removeprefix(work.id) for name in work_names([work, work])]
        ['', ':1']
    """
    times: Counter[str] = Counter()
    names = []
    for work in works:
        names.append(f"{work.id}:{times[work.id]}" if times[work.id] else work.id)
        times[work.id] += 1
    return names


def repeated(
    indices: Sequence[int], works: Sequence[Work], repeats: Mapping[str, int]
) -> list[int]:
    """Indices of works, each as often as ``repeats`` has it for the work's corpus; else once."""
    return [index for index in indices for _ in range(repeats.get(works[index].source, 1))]


def prompt_counts(labels: Iterable[Labels | None]) -> list[list[Any]]:
    """How often each prompt occurs, the most frequent one first.

    Args:
        labels: Of each piece; None where they are not known.

    Returns:
        Rows ``[period, composer, instrumentation, count]``, plain JSON values.

    Example:
        >>> prompt_counts([Labels("Baroque", "Bach", "Keyboard"), None])
        [['Baroque', 'Bach', 'Keyboard', 1]]
    """
    counts = Counter(astuple(some) for some in labels if some is not None)
    known = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    return [[*names, times] for names, times in known]


def works_by_prompt(data: Any) -> dict[Labels, list[Work]]:
    """The training works of each prompt, the most frequent prompt first.

    Labels are those that models are asked for, so that the labels of a corpus with letters outside
    ASCII are found.

    Args:
        data: A data module.

    Returns:
        The works by prompt; empty where the data module has no works or no splits.
    """
    if not hasattr(data, "works") or not hasattr(data, "splits"):
        return {}
    found: dict[Labels, list[Work]] = {}
    for index in data.splits.train:
        work = data.works[index]
        if work.labels is not None and all(astuple(work.labels)):
            found.setdefault(checked_labels(work.labels, ()), []).append(work)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), astuple(item[0]))))
