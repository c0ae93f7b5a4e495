"""Corpora: their names, the files they are made of, how these are read, and the cache."""

from musiczoo.music.corpora.built_in import BUILT_IN
from musiczoo.music.corpora.cache import CACHE_VARIABLE, cache_folder
from musiczoo.music.corpora.names import (
    AUTO,
    NO_RECIPE,
    cached_corpus,
    check_name,
    corpus_names,
    corpus_of,
    find_source,
    forget,
    load_corpus,
    register,
    registered,
)

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
