"""Recipes for published corpora: their files, labels, duplicates and rights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from musiczoo.music.lazy import lazy_names

if TYPE_CHECKING:
    from musiczoo.music.recipes.known import RECIPES, recipe_for, recipe_named
    from musiczoo.music.recipes.recipe import Plan, Recipe

__all__ = ["RECIPES", "Plan", "Recipe", "recipe_for", "recipe_named"]

_HOMES = {
    "known": ("RECIPES", "recipe_for", "recipe_named"),
    "recipe": ("Plan", "Recipe"),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
