"""MetaMIDI and Lakh: MIDI files from all over the net, named by the MD5 of their content."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from musiczoo.music.recipes.recipe import Plan, Recipe
from musiczoo.music.recipes.same_bytes import md5_of
from musiczoo.music.recipes.tables import json_file, json_lines

_MD5 = re.compile(r"[0-9a-f]{32}")
_GENRE_MAP = "midi_genre_map.json"
_SUBSETS = ("topmagd", "masd", "magd")
_LAKH_FOLDERS = ("lmd_full", "lmd_matched", "lmd_aligned", "clean_midi")
_SCRAPED_GENRES = "MMD_scraped_genre.jsonl"


def _once(root: Path, files: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Path -> MD5 of all files, and path -> reason of those whose content was found before."""
    contents: dict[str, str] = {}
    left_out: dict[str, str] = {}
    first: dict[str, str] = {}
    for path in sorted(files, key=_rank):
        stem = PurePosixPath(path).stem.lower()
        contents[path] = stem if _MD5.fullmatch(stem) else md5_of(root / path)
        if contents[path] in first:
            left_out[path] = f"the same file as {first[contents[path]]}"
        else:
            first[contents[path]] = path
    return contents, left_out


def _rank(path: str) -> tuple[int, str]:
    # Aligned files were stretched to a recording; they keep the name of the file that they were
    # made from.
    return (
        next((place for place, folder in enumerate(_LAKH_FOLDERS) if folder in path.split("/")), 0),
        path,
    )


def _find(root: Path, name: str) -> Path | None:
    """A metadata file in the corpus's folder, or in one folder of it."""
    return next(
        (path for path in (root / name, *sorted(root.glob(f"*/{name}"))) if path.is_file()), None
    )


def _lakh_recognise(root: Path) -> bool:
    return root.resolve().name in _LAKH_FOLDERS or any(
        (root / folder).is_dir() for folder in _LAKH_FOLDERS
    )


def _lakh_plan(root: Path, files: Sequence[str]) -> Plan:
    contents, left_out = _once(root, files)
    table = _find(root, _GENRE_MAP)
    genres: dict[str, list[str]] = {}
    for subset, labels in (json_file(table) if table else {}).items():
        if subset in _SUBSETS:
            for content, names in labels.items():
                genres.setdefault(content, []).extend(f"{subset}:{name.strip()}" for name in names)

    def tags(path: str) -> tuple[str, ...]:
        return tuple(sorted(set(genres.get(contents.get(path, ""), ()))))

    return Plan(left_out, tags=tags)


def _metamidi_plan(root: Path, files: Sequence[str]) -> Plan:
    contents, left_out = _once(root, files)
    table = _find(root, _SCRAPED_GENRES)
    genres: dict[str, Any] = (
        {row["md5"]: row["genre"] for row in json_lines(table)} if table else {}
    )

    def tags(path: str) -> tuple[str, ...]:
        found = {genre.strip() for site in genres.get(contents.get(path, ""), ()) for genre in site}
        return tuple(f"genre:{genre}" for genre in sorted(found) if genre)

    return Plan(left_out, tags=tags)


LAKH = Recipe(
    name="lakh",
    title="Lakh MIDI Dataset, with MAGD and MASD labels",
    publisher="https://colinraffel.com/projects/lmd/",
    licence="The collection CC BY 4.0; the rights in the pieces and in most files are not cleared.",
    restricted=True,
    layout=(
        "lmd_full/<x>/<md5>.mid, lmd_matched/<A>/<B>/<C>/<track>/<md5>.mid, lmd_aligned/...,"
        " clean_midi/<artist>/<title>.mid; any of them. The labels are midi_genre_map.json of"
        " https://github.com/andrebola/patterns-genres, put into the folder."
    ),
    labels=(
        "Tags topmagd:<genre>, masd:<style> and magd:<genre> by the MD5 of the file, doubles"
        " removed; no labels for prompts."
    ),
    duplicates=(
        "A file is read once: lmd_full before lmd_matched, clean_midi and, last, lmd_aligned are"
        " copies of the same content; files of clean_midi are recognised by their content."
    ),
    recognise=_lakh_recognise,
    plan=_lakh_plan,
)
METAMIDI = Recipe(
    name="metamidi",
    title="MetaMIDI Dataset",
    publisher="https://zenodo.org/records/5142664",
    licence=(
        "Given on request, for research; the rights stay with the makers of the files"
        " (MMD_copyright.txt names some)."
    ),
    restricted=True,
    layout=(
        "MMD_MIDI/<x>/<y>/<z>/<md5>.mid, with MMD_scraped_genre.jsonl beside it or one folder"
        " below."
    ),
    labels="Tags genre:<genre> as scraped, of all sites together; no labels for prompts.",
    duplicates="Files of one MD5 are read once.",
    recognise=lambda root: (root / "MMD_MIDI").is_dir() or root.resolve().name == "MMD_MIDI",
    plan=_metamidi_plan,
)
