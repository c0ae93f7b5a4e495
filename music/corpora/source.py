"""Where a corpus comes from: a folder with its files, its rights, and its recipe."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path

from musiczoo.music.recipes.known import recipe_for, recipe_named
from musiczoo.music.recipes.labels import LabelRule
from musiczoo.music.recipes.recipe import Recipe

AUTO = "auto"
NO_RECIPE = "none"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Where a corpus comes from.

    Attributes:
        name: Of the corpus; the ids of works begin with it.
        title: For people.
        root: The folder.
        licence: What is known of the rights.
        restricted: True where the terms restrict use.
        files: The files that belong to it, where they are named; None for all of the folder.
        label: The rule for labels, where there is one without a recipe.
        recipe: For a copy of a published corpus.
    """

    name: str
    title: str
    root: Path
    licence: str = ""
    restricted: bool = False
    files: tuple[str, ...] | None = None
    label: LabelRule | None = None
    recipe: Recipe | None = None


def folder_source(name: str, root: Path, recipe: str) -> Source:
    """A folder as a source.

    Args:
        name: Of the corpus.
        root: The folder.
        recipe: :data:`AUTO` for that of the published corpus that the folder looks like, if any;
            the name of a recipe; or :data:`NO_RECIPE`.

    Raises:
        MusicZooError: There is no such recipe.
    """
    found = None
    if recipe == AUTO:
        if root.is_dir():
            # A folder that cannot be opened is reported when it is read.
            with contextlib.suppress(OSError):
                found = recipe_for(root)
    elif recipe != NO_RECIPE:
        found = recipe_named(recipe)
    title = root.resolve().name or name
    if found is None:
        return Source(name, title, root)
    _log.info("%s is read by the recipe %s.", root, found.name)
    return Source(name, title, root, found.licence, found.restricted, recipe=found)
