"""PDMX: scores from MuseScore that are declared to be in the public domain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from musiczoo.music.recipes.composers import as_imslp, period_of
from musiczoo.music.recipes.instrumentation import of_programs
from musiczoo.music.recipes.labels import Labels
from musiczoo.music.recipes.recipe import Plan, Recipe
from musiczoo.music.recipes.tables import rows

_TABLE = "PDMX.csv"
_NONE = frozenset({"", "NA", "N/A", "nan", "None"})


def _plan(root: Path, files: Sequence[str]) -> Plan:
    left_out = {path: "a copy in another format: the compressed MusicXML is read" for path in files}
    left_out |= {path: "not in the corpus's table" for path in files if path.startswith("mxl/")}
    labels: dict[str, Labels] = {}
    tags: dict[str, tuple[str, ...]] = {}
    for row in rows(
        root / _TABLE,
        "mxl",
        "composer_name",
        "tracks",
        "subset:no_license_conflict",
        "subset:deduplicated",
    ):
        path = row["mxl"].removeprefix("./")
        if path not in left_out:
            continue
        if row["subset:no_license_conflict"] != "True":
            left_out[path] = "licence conflict: the website and the file state different licences"
        elif row["subset:deduplicated"] != "True":
            left_out[path] = (
                f"a duplicate of {row.get('best_unique_arrangement') or 'another score'}"
            )
        else:
            del left_out[path]
        composer = as_imslp(row["composer_name"]) if row["composer_name"] not in _NONE else None
        period = period_of(composer) if composer else None
        instrumentation = of_programs(
            int(program) for program in row["tracks"].split("-") if program.isdecimal()
        )
        if composer and period and instrumentation:
            labels[path] = Labels(period, composer, instrumentation)
        if row.get("genres", "") not in _NONE:
            tags[path] = tuple(f"genre:{genre}" for genre in row["genres"].split("-"))
    return Plan(left_out, lambda path, abc: labels.get(path), lambda path: tags.get(path, ()))


PDMX = Recipe(
    name="pdmx",
    title="PDMX: public-domain scores from MuseScore",
    publisher="https://zenodo.org/records/13763756",
    licence=(
        "The collection CC BY 4.0; each score public domain or CC0 by its uploader's word. Scores"
        " whose file states another licence are left out."
    ),
    layout=(
        "PDMX.csv with the folder mxl/ beside it (unpack mxl.tar.gz); data/, mid/, metadata/ and"
        " pdf/ are not needed."
    ),
    labels=(
        "Composer by composer_name where it is a well-known one, period by the composer,"
        " instrumentation by the General MIDI programs of the tracks; without all three no label."
        " Tags: genre:<genre>."
    ),
    duplicates=(
        "Read are the rows with subset:deduplicated (the publisher's best arrangement of each"
        " piece) and subset:no_license_conflict."
    ),
    recognise=lambda root: (root / _TABLE).is_file(),
    plan=_plan,
)
