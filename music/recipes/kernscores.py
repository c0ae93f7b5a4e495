"""KernScores: the Humdrum scores of the Center for Computer Assisted Research in the Humanities."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath

from musiczoo.music.recipes.composers import as_imslp, ascii_name, period_of, period_of_years
from musiczoo.music.recipes.instrumentation import of_humdrum
from musiczoo.music.recipes.labels import Labels
from musiczoo.music.recipes.recipe import Plan, Recipe
from musiczoo.music.recipes.same_bytes import same_bytes

_YEARS = re.compile(r"^\D*(\d{4})[^-]*-\D*(\d{4})")
_FOLDERS = {
    **dict.fromkeys(
        (
            "piano",
            "keyboard",
            "organ",
            "inventions",
            "wtc",
            "longo",
            "mazurka",
            "mazurkas",
            "prelude",
            "preludes",
        ),
        "Keyboard",
    ),
    **dict.fromkeys(
        (
            "etude",
            "etudes",
            "nocturne",
            "nocturnes",
            "ragtime",
            "joplin",
            "sonatas-piano",
            "piano-sonatas",
        ),
        "Keyboard",
    ),
    **dict.fromkeys(
        ("quartet", "quartets", "string-quartets", "trio", "trios", "cello", "violin", "chamber"),
        "Chamber",
    ),
    **dict.fromkeys(
        ("chorales", "371chorales", "370-chorales", "masses", "motets", "madrigals"), "Choral"
    ),
    **dict.fromkeys(("symphony", "symphonies", "overtures", "concerto", "concertos"), "Orchestral"),
    **dict.fromkeys(("cantata", "cantatas", "oratorio", "opera"), "Vocal-Orchestral"),
    "lieder": "Art Song",
}
# Some of the folders of kern.humdrum.org, of its mirrors, and of the collection of repositories
# humdrum-data.
_TREES = (
    "users/craig",
    "musedata",
    "ccarh",
    "osu",
    "jrp",
    "humdrum-data",
    "kernscores",
    "371chorales",
)


def _recognise(root: Path) -> bool:
    if root.resolve().name.lower().removesuffix("-master").removesuffix("-main") in (
        "kernscores",
        "humdrum-data",
    ):
        return any(root.rglob("*.krn"))
    return any((root / tree).is_dir() and any((root / tree).rglob("*.krn")) for tree in _TREES)


def _plan(root: Path, files: Sequence[str]) -> Plan:
    scores = [path for path in files if path.lower().endswith(".krn")]
    left_out = dict.fromkeys(set(files) - set(scores), "no Humdrum score") | same_bytes(
        root, scores
    )

    @lru_cache(maxsize=16)  # the tunes of one file come one after the other
    def labels(path: str) -> Labels | None:
        try:
            return _labels((root / path).read_text("utf-8", errors="replace"), path)
        except OSError:  # it was there when it was read
            return None

    return Plan(left_out, lambda path, abc: labels(path))


def _labels(text: str, path: str) -> Labels | None:
    records: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("!!!") and ":" in line:
            key, _, value = line[3:].partition(":")
            records.setdefault(key.strip().upper(), value.strip())
    named = records.get("COM", "")
    composer = as_imslp(named)
    lived = _YEARS.match(records.get("CDT", ""))
    period = (
        period_of(composer)
        if composer
        else period_of_years(int(lived[1]), int(lived[2]))
        if lived
        else None
    )
    # A composer that we do not know has the name in the file, if that is written in IMSLP's way and
    # the file gives the years of life.
    composer = composer or (ascii_name(named) if named.count(",") == 1 else None)
    instrumentation = of_humdrum(_codes(text)) or next(
        (
            _FOLDERS[part]
            for part in reversed(PurePosixPath(path.lower()).parts[:-1])
            if part in _FOLDERS
        ),
        None,
    )
    return (
        Labels(period, composer, instrumentation)
        if period and composer and instrumentation
        else None
    )


def _codes(text: str) -> list[str]:
    """The instrument codes of the spines that hold notes."""
    kern: list[bool] = []
    for line in text.splitlines():
        spines = line.split("\t")
        if line.startswith("**"):
            kern = [spine == "**kern" for spine in spines]
        elif line.startswith("=") or (
            line.startswith("*") and any(spine in ("*^", "*v", "*+") for spine in spines)
        ):
            break
        # *I"Violin and *I'Vln are names, *ICstr classes, *ITrd-1c-2 transpositions, *I#1 numbers.
        elif len(spines) == len(kern) and any(
            re.fullmatch(r"\*I[a-z]+", spine) for spine in spines
        ):
            return [
                spine[2:]
                for spine, notes in zip(spines, kern, strict=True)
                if notes and re.fullmatch(r"\*I[a-z]+", spine)
            ]
    return []


KERNSCORES = Recipe(
    name="kernscores",
    title="KernScores: scores in Humdrum",
    publisher="https://kern.humdrum.org",
    licence=(
        "Each file states its own terms (records !!!YEC, !!!YEM); many reserve the rights to"
        " derivative electronic formats and refer to a licence agreement."
    ),
    restricted=True,
    layout=(
        "The tree of kern.humdrum.org (users/craig/..., musedata/..., osu/...) or the repository"
        " humdrum-data; files .krn. A folder of another name is read with --recipe kernscores."
    ),
    labels=(
        "Composer by the record !!!COM, period by the composer or the years of !!!CDT,"
        " instrumentation by the instrument codes of the spines (*Ipiano), else by the folder"
        " (piano, quartets, chorales ...)."
    ),
    duplicates=(
        "Of files with the same content the first is read: several collections hold the same"
        " encoding."
    ),
    recognise=_recognise,
    plan=_plan,
)
