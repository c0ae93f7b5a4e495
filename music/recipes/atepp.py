"""ATEPP: piano performances transcribed from recordings, with scores for about half of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from musiczoo.music.recipes.composers import as_imslp, period_of
from musiczoo.music.recipes.labels import Labels
from musiczoo.music.recipes.recipe import Plan, Recipe
from musiczoo.music.recipes.tables import rows

_TABLES = "ATEPP-metadata*.csv"


def _table(root: Path) -> Path | None:
    """The metadata of the newest version: ATEPP-metadata.csv, -1.1.csv, -1.2.csv ..."""
    return max(root.glob(_TABLES), key=lambda path: (len(path.stem), path.stem), default=None)


def _plan(root: Path, files: Sequence[str]) -> Plan:
    table = _table(root)
    assert table is not None
    # The table's paths begin at the folder of the version (ATEPP-1.2/), which may lie below the
    # table.
    by_end: dict[str, str] = {}
    for path in files:
        parts = path.split("/")
        for start in range(len(parts) - 1):
            by_end.setdefault("/".join(parts[start:]), path)
    composers: dict[str, str] = {}
    scores: dict[str, str] = {}
    performances: dict[str, list[str]] = {}
    remarks: dict[str, str] = {}
    for row in rows(table, "composer", "composition_id", "score_path", "midi_path"):
        movement = row["composition_id"]
        score, performance = by_end.get(row["score_path"]), by_end.get(row["midi_path"])
        for found in (score, performance):
            if found:
                composers[found] = row["composer"]
        if score:
            scores.setdefault(movement, score)
        if performance:
            performances.setdefault(movement, []).append(performance)
            # The column is "quality" in version 1.0, "notes" in the later ones.
            if remark := (row.get("quality") or row.get("notes", "")).strip():
                remarks[performance] = remark
    left_out = {path: "not in the corpus's table" for path in files}
    read: set[str] = set(scores.values())
    for movement, played in performances.items():
        for path in played:
            left_out[path] = f"a performance of {scores[movement]}" if movement in scores else ""
        if movement not in scores:
            kept = next((path for path in played if path not in remarks), played[0])
            read.add(kept)
            for path in played:
                left_out[path] = f"another performance of the movement in {kept}"
    for path in read:
        left_out.pop(path, None)

    def label(path: str, abc: str) -> Labels | None:
        composer = as_imslp(composers.get(path, ""))
        period = period_of(composer) if composer else None
        return Labels(period, composer, "Keyboard") if composer and period else None

    transcribed = {path for played in performances.values() for path in played}
    return Plan(
        left_out, label, lambda path: ("performance",) if path in transcribed else ("score",)
    )


ATEPP = Recipe(
    name="atepp",
    title="ATEPP: piano performances transcribed from recordings, with scores",
    publisher="https://github.com/tangjjbetsy/ATEPP",
    licence=(
        "CC BY 4.0, with a disclaimer to accept before the download; the performances are"
        " transcriptions of commercial recordings."
    ),
    layout=(
        "ATEPP-metadata*.csv (the newest is used) with the folders of the composers beside it or"
        " one folder below."
    ),
    labels=(
        "Composer by the table, period by the composer, instrumentation Keyboard. Tags: score or"
        " performance. The bars of a performance are nominal: it was written at one tempo and no"
        " beats are known."
    ),
    duplicates=(
        "A movement that has a score is read from the score; of the others one performance is read,"
        " the first that bears no remark."
    ),
    recognise=lambda root: _table(root) is not None,
    plan=_plan,
)
