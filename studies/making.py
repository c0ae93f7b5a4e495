"""Making a study: blinded sheets that work without a network, and the key that the maker keeps."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import random
import re
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from musiczoo.music.errors import MusicZooError
from musiczoo.studies.design import Aspect, deal
from musiczoo.studies.exhibits import Exhibits, refuse_names, render
from musiczoo.studies.key import Key
from musiczoo.studies.material import Material, Skipped
from musiczoo.studies.settings import StudySettings
from musiczoo.studies.sheets import Sheet, write_sheet

SHEETS = "sheets"
KEY = "key.json"
_PARTICIPANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True)
class Made:
    """What :func:`make_study` wrote.

    Attributes:
        key_path: The key; only the maker may see it.
        sheets: One HTML file a participant.
        key: The key's content.
        skipped: What could not be used.
    """

    key_path: Path
    sheets: list[Path]
    key: Key
    skipped: list[Skipped]


def make_study(
    kind: str,
    material: Material,
    participants: int | Sequence[str],
    output: str | Path,
    *,
    seed: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Made:
    """Write the sheets of a study to ``output/sheets/`` and its key to ``output/key.json``.

    Only the music and the captions distinguish the systems in the sheets: titles, composers,
    comments and names of voices other than instruments are dropped, trials have names drawn at
    random, sound files have no tags, and every text that is shown is searched for the systems'
    names.

    Args:
        kind: ``"ab"`` (which of two pieces, or no preference), ``"rating"`` (1 to 10) or
            ``"captions"`` (which of two captions).
        material: What :func:`~musiczoo.studies.material.read_pieces` or
            :func:`~musiczoo.studies.material.read_captions` read.
        participants: How many, or their names (letters, digits, ``-`` and ``_``).
        output: The study's folder; made if it does not exist. Sheets of an earlier study are not
            overwritten.
        seed: For order, sides and names; drawn and put into the key when None.
        progress: Called with the number of items rendered and of all items.
        settings: What is asked and shown: the attributes of
            :class:`~musiczoo.studies.settings.StudySettings`, such as ``aspects``, ``picture``,
            ``sound`` and ``title``.

    Raises:
        MusicZooError: A setting that cannot be used, no piece that can be rendered, a text that
            names a system, or a folder that holds a study.
    """
    chosen = StudySettings(**settings)
    chosen.check(kind, material)
    asked = chosen.asked(kind)
    names = _participants(participants)
    folder = Path(output)
    if (folder / KEY).exists() or (folder / SHEETS).exists():
        raise MusicZooError(
            "The folder holds a study already.",
            path=folder,
            remedy="Name another folder, or move the old study away.",
        )
    seed = secrets.randbits(53) if seed is None else seed
    skipped = list(material.skipped)
    exhibits = render(material, chosen, skipped, progress)
    texts = [chosen.title, chosen.instructions or "", *(aspect.question for aspect in asked)]
    refuse_names(exhibits, material.systems, texts)
    key = _key(kind, material, names, list(exhibits.versions), seed, asked, chosen)
    key.record = _record(material, exhibits, chosen, skipped)
    return _write(folder, key, exhibits, chosen, skipped)


def _key(
    kind: str,
    material: Material,
    names: list[str],
    items: list[str],
    seed: int,
    asked: tuple[Aspect, ...],
    settings: StudySettings,
) -> Key:
    """The key: its trials are dealt out, its record is still empty."""
    # Studies of one seed must not share names, or the answers of one would count for the other.
    content = [seed, kind, material.systems, names, items, [aspect.name for aspect in asked]]
    rng = random.Random(json.dumps(content))
    study = f"{rng.getrandbits(32):08x}"
    trials = deal(
        kind,
        items,
        material.systems,
        names,
        rng,
        items_each=settings.items_each,
        against=settings.against,
    )
    return Key(
        study,
        kind,
        seed,
        material.systems,
        asked,
        trials,
        {item: row for item, row in material.labels.items() if item in items},
        settings.against,
    )


def _record(
    material: Material, exhibits: Exhibits, settings: StudySettings, skipped: list[Skipped]
) -> dict[str, Any]:
    """What the key keeps for its reader."""
    packages = ("musiczoo", "verovio", "symusic")
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "picture": settings.picture,
        "sound": settings.sound,
        "seconds": settings.seconds,
        "sources": {item: _sources(material, item) for item in exhibits.versions},
        "skipped": [{"what": row.what, "reason": row.reason} for row in skipped],
    }


def _sheet(key: Key, participant: str, exhibits: Exhibits, settings: StudySettings) -> Sheet:
    sheet = Sheet(key, participant, settings.title, settings.instructions)
    for trial in key.trials[participant]:
        row = exhibits.versions[trial.item]
        sheet.add(trial, exhibits.above(trial.item), [row[system] for system in trial.systems])
    return sheet


def _write(
    folder: Path,
    key: Key,
    exhibits: Exhibits,
    settings: StudySettings,
    skipped: list[Skipped],
) -> Made:
    """Write sheets and key; the folder of the sheets appears with all of them or not at all."""
    part = folder / f".{SHEETS}.part"
    try:
        part.mkdir(parents=True)
        hashes = {}
        for participant in key.trials:
            sheet = _sheet(key, participant, exhibits, settings)
            path = write_sheet(sheet, part / f"{participant}.html")
            hashes[participant] = hashlib.sha256(path.read_bytes()).hexdigest()
        key.record["sheets_sha256"] = hashes
        key.write(folder / KEY)
        part.rename(folder / SHEETS)
    except OSError as error:
        raise MusicZooError(
            f"The sheets cannot be written ({error.strerror}).", path=folder
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Made(
        folder / KEY,
        [folder / SHEETS / f"{participant}.html" for participant in key.trials],
        key,
        skipped,
    )


def _participants(participants: int | Sequence[str]) -> list[str]:
    if isinstance(participants, int):
        if participants < 1:
            raise MusicZooError("A study has one participant at least.")
        return [
            f"P{number:0{max(2, len(str(participants)))}d}" for number in range(1, participants + 1)
        ]
    names = list(participants)
    if bad := [name for name in names if not _PARTICIPANT.fullmatch(name)]:
        raise MusicZooError(
            f"{bad[0]!r} cannot name a participant.",
            remedy="Use up to 40 letters, digits, - and _.",
        )
    # Upper and lower case are one file on some systems.
    if not names or len({name.lower() for name in names}) < len(names):
        raise MusicZooError(
            "The participants' names are not all different.", remedy="Give each one name."
        )
    return names


def _sources(material: Material, item: str) -> dict[str, dict[str, str]]:
    """The files of an item with their hashes when the study was made."""
    versions = dict(material.versions[item])
    if item in material.clips:
        versions["clip"] = material.clips[item]
    return {
        name: (
            {
                "file": str(version.path),
                "sha256": hashlib.sha256(version.path.read_bytes()).hexdigest(),
            }
            if version.path is not None
            else {"caption": version.caption}
        )
        for name, version in versions.items()
    }
