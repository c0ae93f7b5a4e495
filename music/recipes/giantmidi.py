"""GiantMIDI-Piano: piano works transcribed from recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from musiczoo.music.recipes.composers import as_imslp, ascii_name, period_of, period_of_years
from musiczoo.music.recipes.labels import Labels
from musiczoo.music.recipes.recipe import Plan, Recipe
from musiczoo.music.recipes.tables import rows, years
from musiczoo.music.recipes.twins import one_of_each

_TABLES = "full_music_pieces_youtube_similarity_pianosoloprob*.csv"
_ID_LENGTH = 11


def _fields(stem: str) -> tuple[str, str, str] | None:
    """Family name, first name and YouTube identifier in a file's name.

    It is ``"Surname, First, Title, identifier"``; titles may hold commas.
    """
    parts = stem.split(", ")
    return (
        (parts[0], parts[1], parts[-1])
        if len(parts) >= 4 and len(parts[-1]) == _ID_LENGTH
        else None
    )


def _table(root: Path) -> Path | None:
    return max(
        (*root.glob(_TABLES), *root.glob(f"resources/{_TABLES}")),
        key=lambda path: len(path.name),
        default=None,
    )


def _recognise(root: Path) -> bool:
    folders = [
        root,
        *(root / name for name in ("midis", "surname_checked_midis") if (root / name).is_dir()),
    ]
    some = [
        path for folder in folders for path, _ in zip(folder.glob("*.mid"), range(20), strict=False)
    ]
    return _table(root) is not None or (bool(some) and all(_fields(path.stem) for path in some))


def _plan(root: Path, files: Sequence[str]) -> Plan:
    belong = [path for path in files if _fields(PurePosixPath(path).stem)]
    # The curated subset is a second copy of files of the whole.
    left_out = dict.fromkeys(set(files) - set(belong), "no file name of the corpus") | one_of_each(
        belong, lambda path: path.stem
    )
    table = _table(root)
    lived: dict[str, tuple[int, int]] = {}
    curated = {
        PurePosixPath(path).stem[-_ID_LENGTH:] for path in belong if "surname_checked" in path
    }
    if table is not None:
        for row in rows(table, "youtube_id", "birth", "death", delimiter="\t"):
            if found := years(row["birth"], row["death"]):
                lived[row["youtube_id"]] = found
            if row.get("surname_in_youtube_title") in ("1", "1.0"):
                curated.add(row["youtube_id"])

    def label(path: str, abc: str) -> Labels | None:
        fields = _fields(PurePosixPath(path).stem)
        if fields is None:
            return None
        family, first, identifier = fields
        composer = as_imslp(f"{family}, {first}")
        period = (
            period_of(composer)
            if composer
            else period_of_years(*lived[identifier])
            if identifier in lived
            else None
        )
        return (
            Labels(period, composer or ascii_name(f"{family}, {first}"), "Keyboard")
            if period
            else None
        )

    def tags(path: str) -> tuple[str, ...]:
        return (
            ("performance", "curated")
            if PurePosixPath(path).stem[-_ID_LENGTH:] in curated
            else ("performance",)
        )

    return Plan(left_out, label, tags)


GIANTMIDI = Recipe(
    name="giantmidi-piano",
    title="GiantMIDI-Piano: piano works transcribed from recordings",
    publisher="https://github.com/bytedance/GiantMIDI-Piano",
    licence=(
        "CC BY 4.0, with a disclaimer to accept before the download; the files are transcriptions"
        " of recordings."
    ),
    layout=(
        "midis/<Surname>, <First name>, <Title>, <YouTube identifier>.mid; surname_checked_midis/"
        " holds the curated subset again. Its table"
        " full_music_pieces_youtube_similarity_pianosoloprob_split.csv beside it (or in resources/)"
        " is used where it is there."
    ),
    labels=(
        "Composer by the file name, period by the composer or by the years of birth and death in"
        " the table, instrumentation Keyboard. Tags: performance, and curated where the recording's"
        " title names the composer. The bars are nominal: all files are written at 120 beats a"
        " minute in 4/4, so nothing about tempo or meter can be learned from them."
    ),
    duplicates="A file of the curated subset that also lies in midis/ is read once.",
    recognise=_recognise,
    plan=_plan,
)
