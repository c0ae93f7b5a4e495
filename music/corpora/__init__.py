"""Corpora: their names, the files they are made of, how these are read, and the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from musiczoo.music.lazy import lazy_names

if TYPE_CHECKING:
    from musiczoo.music.corpora.built_in import BUILT_IN
    from musiczoo.music.corpora.cache import CACHE_VARIABLE, cache_folder
    from musiczoo.music.corpora.names import (
        cached_corpus,
        corpus_names,
        corpus_of,
        find_source,
        load_corpus,
    )
    from musiczoo.music.corpora.registration import check_name, forget, register, registered
    from musiczoo.music.corpora.source import AUTO, NO_RECIPE

__all__ = [
    "AUTO",
    "BUILT_IN",
    "CACHE_VARIABLE",
    "NO_RECIPE",
    "cache_folder",
    "cached_corpus",
    "check_name",
    "corpus_names",
    "corpus_of",
    "find_source",
    "forget",
    "load_corpus",
    "register",
    "registered",
]

_HOMES = {
    "built_in": ("BUILT_IN",),
    "cache": ("CACHE_VARIABLE", "cache_folder"),
    "names": ("cached_corpus", "corpus_names", "corpus_of", "find_source", "load_corpus"),
    "registration": ("check_name", "forget", "register", "registered"),
    "source": ("AUTO", "NO_RECIPE"),
}
__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
