"""The analysis of answers: preferences, ratings, and how far raters agree.

Preferences are counted by majority and tested exactly; ratings have mixed-effects models.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from musiczoo.studies.answers import Answers, Judgement, Problem, read_answers
from musiczoo.studies.design import NO_PREFERENCE, pairs_of
from musiczoo.studies.key import Key, read_key
from musiczoo.studies.ratings import RatingModel, fit_ratings
from musiczoo.studies.statistics import Binomial, binomial, holm, krippendorff_alpha, majority


@dataclass(frozen=True)
class Preference:
    """Two systems compared in one aspect.

    Attributes:
        aspect: The aspect.
        first: A system; wins are its wins.
        second: The other.
        items: Items that somebody judged.
        wins: Items of which more participants prefer the first than the second or neither.
        ties: Items without such a majority for a system.
        losses: Items that the second wins.
        test: Wins against losses, by items.
        p_holm: Its p-value corrected for all tests of the study.
        votes: Single votes for the first, for neither and for the second. Votes of a participant
            and on an item are not independent, so they are not tested.
        alpha: Krippendorff's (nominal) of the votes by item.
        by_label: Wins, ties and losses by label and value.
    """

    aspect: str
    first: str
    second: str
    items: int
    wins: int
    ties: int
    losses: int
    test: Binomial
    p_holm: float
    votes: tuple[int, int, int]
    alpha: float | None
    by_label: dict[str, dict[str, tuple[int, int, int]]]


@dataclass(frozen=True)
class SystemRating:
    """How one system was rated in one aspect.

    Attributes:
        system: The system.
        ratings: Number of ratings.
        mean: Mean of all ratings.
        deviation: Standard deviation; None for a single rating.
        histogram: Number of ratings by value, 1 to 10.
        by_participant: Each participant's mean.
        by_label: Mean by label and value.
    """

    system: str
    ratings: int
    mean: float
    deviation: float | None
    histogram: tuple[int, ...]
    by_participant: dict[str, float]
    by_label: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Rating:
    """All systems rated in one aspect.

    Attributes:
        aspect: The aspect.
        systems: Each system's ratings.
        model: The mixed-effects model, or None where there are too few answers for one.
        p_holm: For each effect of the model its p-value corrected for all tests of the study.
        alpha: Krippendorff's (interval) of the ratings by excerpt.
    """

    aspect: str
    systems: tuple[SystemRating, ...]
    model: RatingModel | None
    p_holm: tuple[float, ...]
    alpha: float | None


@dataclass
class Analysis:
    """The result of a study.

    Attributes:
        study: The study's name.
        kind: Its kind.
        systems: Its systems.
        participants: Participants whose answers are used.
        expected: Number of participants.
        judgements: Number of answers used.
        unheard: Answers to trials of which not every sound was played.
        sides: In comparisons how often A, neither and B were chosen.
        median_seconds: Median time on a trial.
        comments: Participant, item and comment.
        preferences: Comparisons of two systems, by aspect.
        ratings: Ratings, by aspect.
        problems: Answers not used or not there.
        table: Every answer used.
    """

    study: str
    kind: str
    systems: tuple[str, ...]
    participants: tuple[str, ...]
    expected: int
    judgements: int
    unheard: int
    sides: tuple[int, int, int]
    median_seconds: float
    comments: list[tuple[str, str, str]]
    preferences: list[Preference] = field(default_factory=list)
    ratings: list[Rating] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    table: list[Judgement] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Everything but the table of answers, as plain values."""
        document = asdict(self)
        del document["table"]
        return document


def analyse(key: str | Path | Key, answers: Iterable[str | Path]) -> Analysis:
    """Un-blind and analyse the answers of a study.

    Args:
        key: The study's key, or the file that holds it.
        answers: Files that the sheets exported, and folders of such.

    Raises:
        MusicZooError: No such file, no answer that can be used, or the extra ``study`` is not
            installed.
    """
    key = key if isinstance(key, Key) else read_key(key)
    read = read_answers(key, answers)
    trials = {(row.participant, row.item, row.systems): row for row in read.judgements}
    sides = Counter(row.side for row in read.judgements)
    analysis = Analysis(
        study=key.study,
        kind=key.kind,
        systems=key.systems,
        participants=tuple(read.participants),
        expected=len(key.trials),
        judgements=len(read.judgements),
        unheard=(
            sum(not row.listened for row in read.judgements) if key.record.get("sound", True) else 0
        ),
        sides=(sides["A"], sides[""] if key.kind != "rating" else 0, sides["B"]),
        median_seconds=float(np.median([row.seconds for row in trials.values()])),
        comments=[
            (row.participant, row.item, row.comment) for row in trials.values() if row.comment
        ],
        problems=read.problems,
        table=read.judgements,
    )
    if key.kind == "rating":
        analysis.ratings = _ratings(key, read)
    else:
        analysis.preferences = _preferences(key, read)
    return analysis


def _preferences(key: Key, answers: Answers) -> list[Preference]:
    found = []
    for first, second in pairs_of(key.systems, key.against):
        for aspect in key.aspects:
            votes: dict[str, list[str]] = defaultdict(list)
            for row in answers.judgements:
                if row.aspect == aspect.name and set(row.systems) == {first, second}:
                    votes[row.item].append(str(row.value))
            if votes:
                found.append(_preference(key, aspect.name, first, second, votes))
    corrected = holm([preference.test.p_value for preference in found])
    return [
        replace(preference, p_holm=p_value)
        for preference, p_value in zip(found, corrected, strict=True)
    ]


def _preference(
    key: Key, aspect: str, first: str, second: str, votes: dict[str, list[str]]
) -> Preference:
    winners = {item: majority(row) for item, row in votes.items()}

    def outcome(items: Iterable[str]) -> tuple[int, int, int]:
        counted = Counter(winners[item] for item in items)
        return counted[first], counted[None] + counted[NO_PREFERENCE], counted[second]

    wins, ties, losses = outcome(winners)
    single = Counter(vote for row in votes.values() for vote in row)
    test = binomial(wins, losses)
    return Preference(
        aspect,
        first,
        second,
        len(winners),
        wins,
        ties,
        losses,
        test,
        test.p_value,
        (single[first], single[NO_PREFERENCE], single[second]),
        krippendorff_alpha(votes, "nominal"),
        {
            label: {value: outcome(items) for value, items in groups.items()}
            for label, groups in _groups(key, winners).items()
        },
    )


def _ratings(key: Key, answers: Answers) -> list[Rating]:
    found = []
    for aspect in key.aspects:
        rows = [row for row in answers.judgements if row.aspect == aspect.name]
        systems = [
            system for system in key.systems if any(row.systems[0] == system for row in rows)
        ]
        units: dict[str, list[float | str]] = defaultdict(list)
        for row in rows:
            units[f"{row.systems[0]}\n{row.item}"].append(float(row.value))
        rated = tuple(
            _system_rating(key, system, [row for row in rows if row.systems[0] == system])
            for system in systems
        )
        model = fit_ratings(
            [(row.participant, row.systems[0], float(row.value)) for row in rows], systems
        )
        if rows:
            found.append(
                Rating(aspect.name, rated, model, (), krippendorff_alpha(units, "interval"))
            )
    corrected = iter(
        holm(
            [effect.p_value for rating in found if rating.model for effect in rating.model.effects]
        )
    )
    return [
        replace(
            rating,
            p_holm=tuple(next(corrected) for _ in rating.model.effects) if rating.model else (),
        )
        for rating in found
    ]


def _system_rating(key: Key, system: str, rows: Sequence[Judgement]) -> SystemRating:
    values = np.array([float(row.value) for row in rows])
    people: dict[str, list[float]] = defaultdict(list)
    items: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        people[row.participant].append(float(row.value))
        items[row.item].append(float(row.value))
    return SystemRating(
        system,
        len(rows),
        float(values.mean()),
        float(values.std(ddof=1)) if len(rows) > 1 else None,
        tuple(int((values == value).sum()) for value in range(1, 11)),
        {participant: float(np.mean(given)) for participant, given in people.items()},
        {
            label: {
                value: float(np.mean([rating for item in group for rating in items[item]]))
                for value, group in groups.items()
            }
            for label, groups in _groups(key, items).items()
        },
    )


def _groups(key: Key, items: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """The items by label and value."""
    groups: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        for label, value in key.labels.get(item, {}).items():
            groups[label][value].append(item)
    return {label: dict(sorted(values.items())) for label, values in sorted(groups.items())}
