"""The labels of a conditioning prompt, and the rules by which corpora give them.

NotaGen (Wang et al. 2025, arXiv 2502.18008, section 3.3) puts period, composer and instrumentation
before a piece. Folk tunes have no composer and no instrumentation: their source is the collection,
and the dance distinguishes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Labels:
    """The three lines of a conditioning prompt."""

    period: str
    composer: str
    instrumentation: str


LabelRule = Callable[[str, str], Labels | None]
"""``rule(path, abc)``: the labels of a work, from its path in the corpus and its ABC text.

None where they are not known.
"""

TagRule = Callable[[str], tuple[str, ...]]
"""``rule(path)``: other tags of the works of a file, such as genres."""

_RHYTHM = re.compile(r"^R:(.*)$", re.MULTILINE)
_SPELLINGS = {"slipjig": "slip jig", "fling": "highland fling"}
_NO_RHYTHM = "tune"


def one_label(period: str, composer: str, instrumentation: str) -> LabelRule:
    """The rule of a corpus in which one label fits all works."""
    labels = Labels(period, composer, instrumentation)

    def rule(path: str, abc: str) -> Labels | None:
        return labels

    return rule


def folk_tunes(collection: str) -> LabelRule:
    """The rule of a collection of folk tunes.

    The collection stands for the composer, the rhythm of the ``R:`` line for the instrumentation.

    Args:
        collection: Name of the collection; it stands in the composer's place.
    """

    def rule(path: str, abc: str) -> Labels | None:
        return Labels("Traditional", collection, rhythm(abc))

    return rule


def rhythm(abc: str) -> str:
    """The rhythm type of a tune in lower case and one spelling.

    It is ``"tune"`` where the text gives none.
    """
    found = _RHYTHM.search(abc)
    name = " ".join(found.group(1).lower().split()) if found else ""
    return _SPELLINGS.get(name, name) or _NO_RHYTHM
