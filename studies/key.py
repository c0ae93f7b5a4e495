"""The key of a study: which system is on which side of which trial.

It is never written to the participants' folder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError
from musiczoo.studies.design import KINDS, NO_PREFERENCE, RATINGS, SIDES, Aspect, Trial

FORMAT = "musiczoo-study-key"
VERSION = 1


@dataclass
class Key:
    """Everything that analysing a study needs apart from the answers.

    Attributes:
        study: The study's name as it stands in sheets and answers, drawn at random.
        kind: One of :data:`~musiczoo.studies.design.KINDS`.
        seed: What the order, the sides and the names were drawn from.
        systems: Names of the systems; the first is the baseline of mixed-effects models.
        aspects: What was asked.
        trials: The trials of each participant in the order of the sheet.
        labels: Labels of each item.
        against: The system with which the others are compared, or None for all pairs.
        record: What the analysis does not need: sources and their hashes, sheets and their
            hashes, what was skipped, versions.
    """

    study: str
    kind: str
    seed: int
    systems: tuple[str, ...]
    aspects: tuple[Aspect, ...]
    trials: dict[str, list[Trial]]
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    against: str | None = None
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> tuple[str | int, ...]:
        """The answers that a question allows."""
        return RATINGS if self.kind == "rating" else (SIDES[0], NO_PREFERENCE, SIDES[1])

    def write(self, path: str | Path) -> Path:
        """Write the key as JSON.

        Raises:
            MusicZooError: The file cannot be written.
        """
        document = {
            "format": FORMAT,
            "version": VERSION,
            "study": self.study,
            "kind": self.kind,
            "seed": self.seed,
            "systems": self.systems,
            "against": self.against,
            "aspects": [
                {"name": aspect.name, "question": aspect.question} for aspect in self.aspects
            ],
            "participants": {
                participant: [
                    {"id": trial.id, "item": trial.item, "systems": trial.systems}
                    for trial in trials
                ]
                for participant, trials in self.trials.items()
            },
            "labels": self.labels,
            "record": self.record,
        }
        return write_atomically(
            path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
        )


def read_key(path: str | Path) -> Key:
    """Read a key.

    Raises:
        MusicZooError: No such file, or no key of a version that this program knows.
    """
    remedy = "Give the key.json that musiczoo study make wrote."
    try:
        found = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise MusicZooError(
            f"The key cannot be read ({error.strerror}).", path=path, remedy=remedy
        ) from None
    except ValueError as error:
        raise MusicZooError(f"The key is no JSON ({error}).", path=path, remedy=remedy) from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise MusicZooError("This is no key of a study.", path=path, remedy=remedy)
    if found.get("version") != VERSION:
        raise MusicZooError(
            f"The key has version {found.get('version')}; this program reads {VERSION}.",
            path=path,
            remedy="Update musiczoo.",
        )
    try:
        key = Key(
            study=str(found["study"]),
            kind=str(found["kind"]),
            seed=int(found["seed"]),
            systems=tuple(map(str, found["systems"])),
            aspects=tuple(
                Aspect(str(row["name"]), str(row["question"])) for row in found["aspects"]
            ),
            trials={
                str(name): [
                    Trial(str(row["id"]), str(row["item"]), tuple(map(str, row["systems"])))
                    for row in rows
                ]
                for name, rows in found["participants"].items()
            },
            labels={str(item): dict(row) for item, row in found["labels"].items()},
            against=found["against"],
            record=dict(found["record"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MusicZooError(
            f"The key is damaged ({type(error).__name__}: {error}).", path=path, remedy=remedy
        ) from None
    if key.kind not in KINDS:
        raise MusicZooError(
            f"The key is of an unknown kind {key.kind!r}.",
            path=path,
            remedy=f"Known are {', '.join(KINDS)}.",
        )
    return key
