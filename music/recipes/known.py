"""The recipes that musiczoo knows, by name and by the looks of a folder."""

from __future__ import annotations

import difflib
from pathlib import Path

from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.atepp import ATEPP
from musiczoo.music.recipes.dcml import DCML
from musiczoo.music.recipes.giantmidi import GIANTMIDI
from musiczoo.music.recipes.kernscores import KERNSCORES
from musiczoo.music.recipes.md5_named import LAKH, METAMIDI
from musiczoo.music.recipes.openscore import LIEDER, QUARTETS
from musiczoo.music.recipes.pdmx import PDMX
from musiczoo.music.recipes.recipe import Recipe

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (ATEPP, DCML, GIANTMIDI, KERNSCORES, LAKH, METAMIDI, LIEDER, QUARTETS, PDMX)
}


def recipe_named(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        MusicZooError: No recipe has this name.
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=3, cutoff=0.4)
        remedy = (
            f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(RECIPES)}."
        )
        raise MusicZooError(f"There is no recipe {name!r}.", remedy=remedy)
    return RECIPES[name]


def recipe_for(root: Path) -> Recipe | None:
    """The recipe whose corpus a folder is a copy of, if it looks like one."""
    return next((recipe for recipe in RECIPES.values() if recipe.recognise(root)), None)
