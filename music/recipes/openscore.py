"""OpenScore Lieder and OpenScore String Quartets: two repositories of one layout."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from musiczoo.music.recipes.composers import as_imslp, ascii_name, period_of, period_of_years
from musiczoo.music.recipes.labels import Labels
from musiczoo.music.recipes.recipe import Plan, Recipe
from musiczoo.music.recipes.tables import rows, years
from musiczoo.music.recipes.twins import one_of_each

_SCORES = "scores"
_TABLE = "data/composers.tsv"


def _composers(root: Path) -> dict[str, tuple[str, str]]:
    """Folder of a composer -> name as on IMSLP, and period."""
    found: dict[str, tuple[str, str]] = {}
    if not (root / _TABLE).is_file():
        return found
    for row in rows(root / _TABLE, "path", "born", "died", delimiter="\t"):
        lived = years(row["born"], row["died"])
        period = period_of_years(*lived) if lived else None
        if period:
            page = unquote(row.get("imslp", "")).partition("Category:")[2]
            name = page or row["path"].partition("_-_aka")[0]
            found[row["path"]] = ascii_name(name.replace("_", " ")), period
    return found


def _recipe(
    name: str,
    title: str,
    publisher: str,
    prefix: str,
    instrumentation: str,
    layout: str,
    whole: str,
) -> Recipe:
    score_name = re.compile(rf"{prefix}\d+")

    def recognise(root: Path) -> bool:
        # A copy has a folder for each composer; the first few show how the scores are named.
        folders = sorted((root / _SCORES).iterdir())[:5] if (root / _SCORES).is_dir() else []
        return any(
            score_name.fullmatch(path.stem)
            for folder in folders
            if folder.is_dir()
            for path in folder.rglob(f"{prefix}*.m*")
        )

    def plan(root: Path, files: Sequence[str]) -> Plan:
        composers = _composers(root)
        belong = [
            path
            for path in files
            if path.startswith(f"{_SCORES}/") and score_name.fullmatch(PurePosixPath(path).stem)
        ]
        others = set(files) - set(belong)
        left_out = dict.fromkeys(others, f"no {whole} of the corpus") | one_of_each(
            belong, lambda path: path.stem
        )

        def label(path: str, abc: str) -> Labels | None:
            folder = path.split("/")[1]
            composer, period = composers.get(folder, (as_imslp(folder.replace("_", " ")), None))
            if composer and period is None:
                period = period_of(composer)
            return Labels(period, composer, instrumentation) if composer and period else None

        return Plan(left_out, label)

    return Recipe(
        name=name,
        title=title,
        publisher=publisher,
        licence="CC0: public domain; credit to OpenScore is asked for.",
        layout=(
            f"scores/{layout}/{prefix}<id>.mxl, with {_TABLE}. A score in MuseScore's format alone"
            " (.mscx, .mscz) has to be exported to MusicXML under the same name."
        ),
        labels=(
            f"Composer by the folder, as IMSLP writes it where {_TABLE} has its page; period by the"
            " years of birth and death in that table, or in ours where it is missing;"
            f" instrumentation {instrumentation}."
        ),
        duplicates="A score in several formats is read once.",
        recognise=recognise,
        plan=plan,
    )


LIEDER = _recipe(
    "openscore-lieder",
    "OpenScore Lieder: songs of the nineteenth century",
    "https://github.com/OpenScore/Lieder",
    "lc",
    "Art Song",
    "<composer>/<set>/<song>",
    "song",
)
QUARTETS = _recipe(
    "openscore-quartets",
    "OpenScore String Quartets of the long nineteenth century",
    "https://github.com/OpenScore/StringQuartets",
    "sq",
    "Chamber",
    "<composer>/<work>",
    "quartet",
)
