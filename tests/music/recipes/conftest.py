"""Miniature copies of published corpora: the published layout, with a few bars of our own in every file."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from musiczoo.music import write
from musiczoo.music.abc import read_abc
from musiczoo.music.corpora.corpus import Corpus
from musiczoo.music.corpora.names import find_source, load_corpus

Score = Callable[[str], Path]
Load = Callable[..., Corpus]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    folder.mkdir()
    return folder


@pytest.fixture
def score(root: Path) -> Score:
    """Writes a score at a path of the copy, in the format of its ending; each path has music of its own."""

    def written(name: str, seed: str = "") -> Path:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = random.Random(seed or name)
        bars = "|".join("".join(rng.choice("CDEFGABcdefg") for _ in range(4)) for _ in range(4))
        if path.suffix in (".mscx", ".mscz", ".pdf", ".json", ".txt"):
            path.write_text("not for us")
        elif path.suffix == ".krn":
            path.write_text(
                "**kern\n" + "".join(f"4{rng.choice('cdefgab')}\n" for _ in range(16)) + "*-\n"
            )
        else:
            write(read_abc(f"X:1\nM:4/4\nL:1/4\nK:C\n{bars}|\n"), path)
        return path

    return written


@pytest.fixture
def load(root: Path, tmp_path: Path) -> Load:
    """Reads the copy by the recipe that it is recognised by, which has to be the expected one."""

    def loaded(recipe: str, folder: Path = root, **options: object) -> Corpus:
        source = find_source(folder)
        assert source.recipe is not None
        assert source.recipe.name == recipe
        corpus = load_corpus(folder, cache=tmp_path / "cache", workers=1, progress=False, **options)
        assert corpus.licence == source.licence
        return corpus

    return loaded
