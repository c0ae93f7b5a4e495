"""What the participants sent back, checked against the key.

Nothing is lost silently: whatever is not used is named with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from musiczoo.music.errors import MusicZooError
from musiczoo.studies.design import NO_PREFERENCE, SIDES, Trial
from musiczoo.studies.key import Key

FORMAT = "musiczoo-study-answers"
VERSION = 1
MAX_BYTES = 32 * 2**20
Kind = Literal["damaged", "foreign", "duplicate", "incomplete", "missing"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Answers that are not used, or not there.

    Attributes:
        kind: ``"damaged"`` (not readable, or not what a sheet writes), ``"foreign"`` (of another
            study or sheet), ``"duplicate"`` (another file of the same participant is used),
            ``"incomplete"`` (questions without an answer), ``"missing"`` (no file of a
            participant).
        where: The file or the participant.
        count: How many answers it concerns.
        reason: A sentence.
    """

    kind: Kind
    where: str
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """One answer, un-blinded.

    Attributes:
        participant: Who.
        item: About which item.
        aspect: To which question.
        systems: What was on the sides, or what was rated.
        value: The system preferred, ``"none"``, or a rating.
        side: The side of the system preferred, ``""`` without one.
        listened: Whether every sound of the trial was played.
        seconds: Spent on the page of the trial.
        comment: Of the trial.
    """

    participant: str
    item: str
    aspect: str
    systems: tuple[str, ...]
    value: str | int
    side: str
    listened: bool
    seconds: float
    comment: str


@dataclass
class Answers:
    """All judgements of a study, and what was not used."""

    judgements: list[Judgement] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    participants: list[str] = field(default_factory=list)


def read_answers(key: Key, paths: Iterable[str | Path]) -> Answers:
    """Read the answers of all participants.

    Of several files of one participant the one exported last is used.

    Args:
        key: The study's key.
        paths: Files, and folders of such (subfolders too).

    Raises:
        MusicZooError: A path that does not exist, or not one answer that can be used.
    """
    answers = Answers()
    sent = _sent(key, paths, answers.problems)
    for participant, trials in key.trials.items():
        if participant not in sent:
            count = len(trials) * len(key.aspects)
            reason = "There is no file of this participant."
            answers.problems.append(Problem("missing", participant, count, reason))
            continue
        *older, latest = sorted(sent[participant], key=lambda row: row[:2])
        _, used, given = latest
        for exported, name, content in older:
            same = "the same answers" if content == given else "other answers"
            reason = (
                f"{Path(used).name}, exported later than {exported or 'this'}, is used instead; it"
                f" holds {same}."
            )
            answers.problems.append(Problem("duplicate", name, len(content), reason))
        answers.participants.append(participant)
        _read_sheet(key, participant, used, given, answers)
    if not answers.judgements:
        reasons = "; ".join(
            f"{problem.where}: {problem.reason}" for problem in answers.problems[:3]
        )
        raise MusicZooError(
            f"There is not one answer that can be used. {reasons}",
            remedy="Give the files that the sheets exported.",
        )
    return answers


def _sent(
    key: Key, paths: Iterable[str | Path], problems: list[Problem]
) -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    """Time of export, file and answers of each file of the study, by participant."""
    sent: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path in _files(paths):
        document = _document(path, problems)
        if document is None:
            continue
        participant, given = document["participant"], document["answers"]
        other = ""
        if document["study"] != key.study:
            other = "another study"
        elif participant not in key.trials:
            other = f"{participant!r}, who is no participant"
        if other:
            reason = f"The answers are of {other}."
            problems.append(Problem("foreign", str(path), len(given), reason))
        else:
            exported = str(document.get("exported", ""))
            sent.setdefault(participant, []).append((exported, str(path), given))
    return sent


def _files(paths: Iterable[str | Path]) -> list[Path]:
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            found.update(dict.fromkeys(sorted(file for file in path.rglob("*") if file.is_file())))
        elif path.is_file():
            found[path] = None
        else:
            raise MusicZooError("There is no such file or folder of answers.", path=path)
    return list(found)


def _document(path: Path, problems: list[Problem]) -> dict[str, Any] | None:
    """The content of an exported file, or None with the reason in ``problems``."""

    def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a name stands twice in one object")
        return dict(pairs)

    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES // 2**20} MB")
        found = json.loads(path.read_text("utf-8-sig"), object_pairs_hook=once)
    except (OSError, ValueError, RecursionError) as error:
        problems.append(
            Problem("damaged", str(path), 0, f"The file is no readable JSON ({error}).")
        )
        return None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        problems.append(Problem("foreign", str(path), 0, "The file holds no answers of a sheet."))
        return None
    if found.get("version") != VERSION:
        problems.append(
            Problem(
                "foreign",
                str(path),
                0,
                f"The answers have version {found.get('version')}; this program reads {VERSION}.",
            )
        )
        return None
    well_formed = (
        isinstance(found.get("study"), str)
        and isinstance(found.get("participant"), str)
        and isinstance(found.get("answers"), dict)
    )
    if not well_formed:
        problems.append(
            Problem(
                "damaged", str(path), 0, "The file lacks its study, its participant or its answers."
            )
        )
        return None
    return found


def _read_sheet(
    key: Key, participant: str, path: str, given: dict[str, Any], answers: Answers
) -> None:
    trials = {trial.id: trial for trial in key.trials[participant]}
    if strangers := [name for name in given if name not in trials]:
        reason = (
            f"{len(strangers)} answers are to trials that this participant's sheet does not have."
        )
        answers.problems.append(Problem("foreign", path, len(strangers), reason))
    aspects = {aspect.name for aspect in key.aspects}
    open_, damaged = [], []
    for number, (name, trial) in enumerate(trials.items(), 1):
        row = given.get(name, {})
        values = row.get("values", {}) if isinstance(row, dict) else None
        if not isinstance(values, dict):
            damaged.append(f"trial {number}")
            continue
        damaged += [f"{aspect} of trial {number}" for aspect in values if aspect not in aspects]
        for aspect in key.aspects:
            if aspect.name not in values:
                open_.append(f"{aspect.name} of trial {number}")
            # bool is an int, and 1.0 equals 1.
            elif (
                type(values[aspect.name]) not in (str, int) or values[aspect.name] not in key.values
            ):
                damaged.append(f"{aspect.name} of trial {number}")
            else:
                answers.judgements.append(
                    _judgement(participant, trial, aspect.name, values[aspect.name], row)
                )
    kinds: tuple[tuple[Kind, list[str], str], ...] = (
        ("damaged", damaged, "are not what a sheet writes"),
        ("incomplete", open_, "are not given"),
    )
    for kind, places, what in kinds:
        if places:
            shown = ", ".join(places[:3]) + (", ..." if len(places) > 3 else "")
            answers.problems.append(
                Problem(kind, path, len(places), f"{len(places)} answers {what}: {shown}.")
            )


def _judgement(
    participant: str, trial: Trial, aspect: str, value: str | int, row: dict[str, Any]
) -> Judgement:
    side = value if isinstance(value, str) and value != NO_PREFERENCE else ""
    plays = row.get("plays")
    heard = plays if isinstance(plays, dict) else {}
    # Of captions the clip that both describe is played.
    listened = bool(heard.get("common")) or all(
        heard.get(name) for name in SIDES[: len(trial.systems)]
    )
    seconds = row.get("seconds")
    return Judgement(
        participant,
        trial.item,
        aspect,
        trial.systems,
        trial.systems[SIDES.index(side)] if side else value,
        side,
        listened,
        (
            float(seconds)
            if isinstance(seconds, int | float) and not isinstance(seconds, bool)
            else 0.0
        ),
        str(row.get("comment") or ""),
    )
