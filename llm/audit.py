"""Two reviewers check a sample of mined tags: the sheets, acceptance and agreement.

MIDI-LLaMA, section 2.2: "we performed a stratified sampling of 100 annotated works across different
composers and periods. Two domain experts independently reviewed the automatically extracted labels
against the retrieved web sources, marking them as unacceptable if they contained clear factual
errors and as acceptable if broadly consistent with the source information."
"""

from __future__ import annotations

import csv
import io
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from musiczoo.llm.mined_works import MinedWork
from musiczoo.llm.tags import LONG_TAGS, SHORT_TAGS, TAG_NAMES
from musiczoo.music.atomic import make_folder, write_atomically
from musiczoo.music.errors import MusicZooError

WORKS = 100
REVIEWERS = ("reviewer_1", "reviewer_2")
_COLUMNS = ("item", "title", "composer", "period", "tag", "value", "quote", "source")
_ANSWERS = ("verdict", "comment")
_YES = frozenset({"acceptable", "a", "accept", "yes", "y", "1"})
_NO = frozenset({"unacceptable", "u", "reject", "no", "n", "0"})
# A cell that begins so is a formula to spreadsheet programs.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Acceptance:
    """The verdicts on some tags.

    Attributes:
        tags: Tags that both reviewers judged.
        accepted: Part of all their verdicts that are ``acceptable``; None without any.
        by_reviewer: The same for each reviewer.
        both: Part of the tags that both accept.
        agreement: Part of the tags on which they agree.
        kappa: Cohen's kappa; None where both gave one and the same verdict to all, or for no tags.
    """

    tags: int
    accepted: float | None
    by_reviewer: tuple[float | None, float | None]
    both: float | None
    agreement: float | None
    kappa: float | None


@dataclass(frozen=True)
class Audit:
    """The result of two filled sheets.

    Attributes:
        works: Works with a verdict of both reviewers.
        open: Tags without a verdict of one of them or both, which are not counted.
        groups: ``"short"`` and ``"long"`` tags, ``"all"``, and each tag by its name.
    """

    works: int
    open: int
    groups: Mapping[str, Acceptance]

    def to_json(self) -> dict[str, Any]:
        """The result as plain JSON values."""
        return asdict(self)


def draw_sample(
    works: Sequence[MinedWork], count: int = WORKS, *, seed: int = 0
) -> list[MinedWork]:
    """A sample stratified by period, and over composers in each period.

    Each period gets its share of the sample by its number of works (largest remainders), and one
    work at least where there is room; in a period composers take turns.

    Args:
        works: Mined works; those without tags are not drawn.
        count: Works in the sample.
        seed: Of the drawing.
    """
    rng = random.Random(seed)
    periods: dict[str, list[MinedWork]] = defaultdict(list)
    for work in works:
        if work.tags:
            periods[work.work.period].append(work)
    sizes = {name: len(some) for name, some in sorted(periods.items())}
    drawn: list[MinedWork] = []
    for name, share in _shares(sizes, min(count, sum(sizes.values()))).items():
        drawn += _by_turns(periods[name], share, rng)
    return drawn


def write_sheets(works: Sequence[MinedWork], folder: str | Path, *, seed: int = 0) -> list[Path]:
    """Writes one CSV file for each reviewer, with the works in an order of its own.

    Args:
        works: The sample.
        folder: Gets the files.
        seed: Of the orders.

    Raises:
        MusicZooError: There are no works, a sheet is there already, or it cannot be written.
    """
    if not works:
        raise MusicZooError("No work has a tag.", remedy="Mine tags by musiczoo qa mine.")
    folder = make_folder(folder)
    paths = [folder / f"{name}.csv" for name in REVIEWERS]
    if there := [path for path in paths if path.exists()]:
        raise MusicZooError(
            "The sheet is there already, perhaps with verdicts.",
            path=there[0],
            remedy="Choose another folder.",
        )
    for number, path in enumerate(paths):
        order = list(works)
        random.Random(f"{seed}:{number}").shuffle(order)
        stream = io.StringIO(newline="")
        table = csv.writer(stream)
        table.writerow([*_COLUMNS, *_ANSWERS])
        for work in order:
            table.writerows(_lines(work))
        write_atomically(path, stream.getvalue().encode("utf-8-sig"))
    return paths


def read_audit(first: str | Path, second: str | Path) -> Audit:
    """Acceptance and agreement of two filled sheets.

    Args:
        first: Of one reviewer.
        second: Of the other.

    Raises:
        MusicZooError: A sheet cannot be read, holds a verdict that is none, or is of another
            sample.
    """
    one, other = _verdicts(Path(first)), _verdicts(Path(second))
    if set(one) != set(other):
        raise MusicZooError(
            "The two sheets are not of the same sample.",
            path=second,
            remedy="Give the two sheets that were drawn together, with all their rows.",
        )
    pairs = {
        key: (mine, theirs)
        for key, mine in one.items()
        if mine is not None and (theirs := other[key]) is not None
    }
    named = {"all": TAG_NAMES, "short": SHORT_TAGS, "long": LONG_TAGS}
    named |= {name: (name,) for name in TAG_NAMES}
    groups = {
        name: acceptance([pair for key, pair in pairs.items() if key[1] in tags])
        for name, tags in named.items()
    }
    return Audit(len({item for item, _ in pairs}), len(one) - len(pairs), groups)


def acceptance(verdicts: Sequence[tuple[bool, bool]]) -> Acceptance:
    """Acceptance and agreement of two reviewers.

    Args:
        verdicts: For each tag whether the first and whether the second reviewer accepts it.
    """
    count = len(verdicts)
    if not count:
        return Acceptance(0, None, (None, None), None, None, None)
    first, second = (sum(pair[side] for pair in verdicts) / count for side in (0, 1))
    both = sum(a and b for a, b in verdicts) / count
    agreement = sum(a == b for a, b in verdicts) / count
    kappa = cohens_kappa(agreement, first, second)
    return Acceptance(count, (first + second) / 2, (first, second), both, agreement, kappa)


def cohens_kappa(agreement: float, first: float, second: float) -> float | None:
    """Cohen's kappa of two raters with two verdicts (Cohen 1960).

    Args:
        agreement: Part of the items on which they agree.
        first: Part that the first accepts.
        second: Part that the second accepts.

    Returns:
        Kappa; None where both give the same verdict to all, so that chance explains everything.

    Example:
        >>> round(cohens_kappa(0.7, 0.5, 0.6), 3)
        0.4
    """
    chance = first * second + (1 - first) * (1 - second)
    return None if chance >= 1 else (agreement - chance) / (1 - chance)


def _shares(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """How many of each stratum are drawn, by largest remainders."""
    total = sum(sizes.values())
    exact = {name: count * size / total for name, size in sizes.items()} if total else {}
    shares = {name: int(value) for name, value in exact.items()}
    if len(sizes) <= count:
        shares = {name: max(value, 1) for name, value in shares.items()}
    while missing := count - sum(shares.values()):
        step = 1 if missing > 0 else -1
        least = 1 if len(sizes) <= count else 0
        free = [name for name in exact if least <= shares[name] + step <= sizes[name]]
        # The stratum that is farthest from its exact share gives or takes one.
        name = min(free, key=lambda one: (step * (shares[one] - exact[one]), one))
        shares[name] += step
    return shares


def _by_turns(works: Sequence[MinedWork], count: int, rng: random.Random) -> list[MinedWork]:
    """Works of one period, a composer at a time."""
    composers: dict[str, list[MinedWork]] = defaultdict(list)
    for work in sorted(works, key=lambda one: one.work.midi):
        composers[work.work.composer].append(work)
    turns = list(composers.values())
    rng.shuffle(turns)
    for some in turns:
        rng.shuffle(some)
    drawn: list[MinedWork] = []
    while len(drawn) < count:
        drawn += [some.pop() for some in turns[: count - len(drawn)]]
        turns = [some for some in turns if some]
    return drawn


def _lines(work: MinedWork) -> list[list[str]]:
    row = work.work
    return [
        [_cell(text) for text in (row.midi, row.title, row.composer, row.period, name)]
        + [_cell(work.tags[name].value), _cell(work.tags[name].quote), _cell(work.origin), "", ""]
        for name in TAG_NAMES
        if name in work.tags
    ]


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _verdicts(path: Path) -> dict[tuple[str, str], bool | None]:
    """The verdict of each work and tag; None where there is none yet."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MusicZooError(
            f"The sheet cannot be read: {error}.", path=path, remedy="Save it as CSV in UTF-8."
        ) from error
    # Spreadsheet programs of some countries write semicolons.
    delimiter = ";" if text.partition("\n")[0].count(";") > 2 else ","
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    if missing := {"item", "tag", "verdict"} - set(table.fieldnames or ()):
        raise MusicZooError(
            f"The sheet has no column {', '.join(sorted(missing))}.",
            path=path,
            remedy="Give a sheet that musiczoo qa audit has written.",
        )
    found: dict[tuple[str, str], bool | None] = {}
    for row in table:
        verdict = (row["verdict"] or "").strip().lower()
        if verdict and verdict not in _YES | _NO:
            raise MusicZooError(
                f"{row['verdict']!r} is no verdict.",
                path=path,
                where=f"line {table.line_num}",
                remedy="Write acceptable or unacceptable.",
            )
        found[row["item"], row["tag"]] = None if not verdict else verdict in _YES
    return found
