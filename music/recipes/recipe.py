"""A recipe: how to read a published corpus from a copy that the user has downloaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from musiczoo.music.recipes.labels import LabelRule, TagRule


@dataclass(frozen=True)
class Plan:
    """How the files of one copy of a corpus are read and labelled.

    Attributes:
        left_out: Path -> why the file is not read. Files that are no music anyway need not be
            named.
        label: The rule for period, composer and instrumentation.
        tags: The rule for other tags that the corpus gives a work.
    """

    left_out: dict[str, str] = field(default_factory=dict)
    label: LabelRule | None = None
    tags: TagRule | None = None


@dataclass(frozen=True)
class Recipe:
    """A published corpus. Nothing of it is distributed with musiczoo, and nothing is downloaded.

    Attributes:
        name: As on the command line.
        title: What it holds.
        publisher: Page to download it from.
        licence: What is known of the rights.
        restricted: True where the terms restrict use; a warning is logged.
        layout: What the folder looks like, for people.
        labels: Where labels and tags come from, for people.
        duplicates: What is left out, and why, for people.
        recognise: True of a folder that is a copy of the corpus.
        plan: ``plan(root, files)``: what to do with the files of a copy; ``files`` are the paths of
            all that may be music.
    """

    name: str
    title: str
    publisher: str
    licence: str
    layout: str
    labels: str
    duplicates: str
    recognise: Callable[[Path], bool] = field(repr=False)
    plan: Callable[[Path, Sequence[str]], Plan] = field(repr=False)
    restricted: bool = False
