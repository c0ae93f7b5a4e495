from __future__ import annotations

import csv

from musiczoo.music.recipes.labels import Labels

COLUMNS = [
    "path",
    "metadata",
    "mxl",
    "pdf",
    "mid",
    "license_conflict",
    "genres",
    "composer_name",
    "tracks",
    "best_unique_arrangement",
    "is_best_unique_arrangement",
    "subset:all",
    "subset:deduplicated",
    "subset:no_license_conflict",
    "subset:all_valid",
]


def test_the_subsets_of_the_table(root, score, load):
    rows = [
        ("a", "W. A. Mozart", "0", "True", "True", "classical"),
        ("b", "W. A. Mozart", "0", "False", "True", "classical"),
        ("c", "Beethoven", "40-40-41-42", "True", "False", "NA"),
        ("d", "Beethoven", "40-40-41-42", "True", "True", "classical-folk"),
        ("e", "Some User", "0", "True", "True", "pop"),
        ("f", "Beethoven", "27-33", "True", "True", "rock"),
        ("g", "NA", "52-52-52-52", "True", "True", "NA"),
    ]
    with (root / "PDMX.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="NA")
        writer.writeheader()
        for name, composer, tracks, deduplicated, clean, genres in rows:
            paths = {kind: f"./{kind}/1/11/{name}.{kind}" for kind in ("mxl", "pdf", "mid")}
            subsets = {"subset:deduplicated": deduplicated, "subset:no_license_conflict": clean}
            rest = {
                "composer_name": composer,
                "tracks": tracks,
                "genres": genres,
                "best_unique_arrangement": "./data/1/11/a.json",
            }
            writer.writerow(paths | subsets | rest)
            score(f"mxl/1/11/{name}.mxl")
        writer.writerow({"path": "./data/1/11/z.json", "mxl": "NA"})
    score("mxl/1/11/unlisted.mxl")
    score("mid/1/11/a.mid")
    score("data/1/11/a.json")
    corpus = load("pdmx")
    quartet = Labels("Classical", "Beethoven, Ludwig van", "Chamber")
    assert {work.path[-5:-4]: (work.labels, work.tags) for work in corpus} == {
        "a": (Labels("Classical", "Mozart, Wolfgang Amadeus", "Keyboard"), ("genre:classical",)),
        "d": (quartet, ("genre:classical", "genre:folk")),
        "e": (None, ("genre:pop",)),
        "f": (None, ("genre:rock",)),
        "g": (None, ()),
    }
    why = {skipped.path: skipped.reason for skipped in corpus.left_out}
    assert why["mxl/1/11/b.mxl"] == "a duplicate of ./data/1/11/a.json"
    assert why["mxl/1/11/c.mxl"].startswith("licence conflict")
    assert why["mxl/1/11/unlisted.mxl"] == "not in the corpus's table"
    assert why["mid/1/11/a.mid"].startswith("a copy in another format")
    assert why["data/1/11/a.json"] == "not music: .json"
    # A new edition of the table: what was left out before is read now, and labelled.
    table = root / "PDMX.csv"
    table.write_text(
        table.read_text().replace("W. A. Mozart", "Clementi").replace("False,True,", "True,True,")
    )
    assert [work.path[-5:-4] for work in load("pdmx")] == ["a", "b", "d", "e", "f", "g"]
    assert load("pdmx")[1].labels == Labels("Classical", "Clementi, Muzio", "Keyboard")
