"""What became of every file of a corpus."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from musiczoo.music.atomic import write_atomically
from musiczoo.music.corpora.corpus import Corpus
from musiczoo.music.corpora.table import read_table

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_PATH = re.compile(r"\S*[\\/]\S+")
_NUMBER = re.compile(r"\d[\d,.]*")
_LONGEST = 110


def report(corpus: Corpus) -> dict[str, Any]:
    """The account of a corpus, for people and programs.

    Returns:
        Counts of files: ``files`` = ``read`` + ``skipped`` + ``left_out``, where a file of which at
        least one piece was read counts as read. ``tunes_skipped`` are pieces of files that were
        read otherwise. ``reasons`` groups what was skipped or left out by kind. ``by_file`` has a
        row for each file: ``path``, ``status``, the number of ``works``, and the ``reasons``.
    """
    rows = (
        read_table(corpus.path)
        .select(["path", "number", "skipped", "left_out", "period", "tags"])
        .to_pylist()
    )
    files: dict[str, dict[str, Any]] = {}
    labelled = tagged = 0
    for row in rows:
        file = files.setdefault(
            row["path"], {"path": row["path"], "status": "", "works": 0, "reasons": []}
        )
        why = row["skipped"] or row["left_out"]
        if why is None:
            file["works"] += 1
            labelled += row["period"] is not None
            tagged += bool(row["tags"])
        else:
            file["reasons"].append(why)
        file["status"] = "read" if file["works"] else "left out" if row["left_out"] else "skipped"
    status = Counter(file["status"] for file in files.values())
    kinds = {state: _counted(files.values(), state) for state in ("skipped", "left out", "read")}
    return {
        "name": corpus.name,
        "table": str(corpus.path),
        "licence": corpus.licence,
        "files": len(files),
        "read": status["read"],
        "skipped": status["skipped"],
        "left_out": status["left out"],
        "works": len(corpus),
        "clusters": corpus.clusters,
        "labelled": labelled,
        "tagged": tagged,
        "tunes_skipped": sum(kinds["read"].values()),
        "reasons": {
            "skipped": kinds["skipped"],
            "left_out": kinds["left out"],
            "tunes_skipped": kinds["read"],
        },
        "by_file": list(files.values()),
    }


def _counted(files: Iterable[dict[str, Any]], status: str) -> dict[str, int]:
    kinds = Counter(
        kind_of(reason) for file in files if file["status"] == status for reason in file["reasons"]
    )
    return dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0])))


def write_report(corpus: Corpus) -> Path:
    """Write the account beside the table, as JSON.

    Raises:
        MusicZooError: The cache cannot be written to.
    """
    account = json.dumps(report(corpus), indent=1, ensure_ascii=False).encode()
    return write_atomically(corpus.path.with_suffix(".report.json"), account)


def kind_of(reason: str) -> str:
    """A reason without what is particular to one file, so that equal ones can be counted.

    >>> kind_of("line 7: The bar 'C2' has 3 beats.")
    "line #: The bar '...' has # beats."
    """
    kind = _NUMBER.sub("#", _PATH.sub("...", _QUOTED.sub("'...'", reason)))
    return kind if len(kind) <= _LONGEST else f"{kind[:_LONGEST]}..."
